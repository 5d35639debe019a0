package engine

import (
	"errors"
	"runtime/debug"
	"slices"

	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/index"
	"github.com/rocketlog/rocketlog/internal/mappedfile"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// ErrNoMessage is returned where the log has no message at a place asked for.
var ErrNoMessage = errors.New("engine: no message there")

// Ref is a held record.
type Ref struct {
	record message.Record
	ref    mappedfile.Ref
}

// Record returns the record, valid until Release.
func (r *Ref) Record() message.Record { return r.record }

// Release gives the record back.
func (r *Ref) Release() {
	r.ref.Release()
	r.record = nil
}

// RecordAt returns the record at a place of the log, dispatched or not but
// below the confirmed end. The error wraps ErrNoMessage if none begins there.
func (s *Store) RecordAt(off message.PhyOffset) (Ref, error) {
	if off < 0 || off >= s.log.ConfirmOffset() {
		return Ref{}, ErrNoMessage
	}
	ref, ok, err := s.log.Read(off)
	if err != nil {
		return Ref{}, err
	}
	if !ok {
		return Ref{}, ErrNoMessage
	}
	r, err := recordIn(ref.Bytes(), off)
	if err != nil {
		ref.Release()
		return Ref{}, err
	}
	return Ref{record: r, ref: ref}, nil
}

// recordIn parses the record at off, all of which can be read then.
func recordIn(b []byte, off message.PhyOffset) (r message.Record, err error) {
	defer vfs.CatchFaults(debug.SetPanicOnFault(true), &err)
	r, err = message.ParseRecord(b)
	if err != nil || r.PhyOffset() != off {
		return nil, ErrNoMessage
	}
	vfs.Touch(r)
	return r, nil
}

// RecordAtQueue returns the record at an offset of a queue.
func (s *Store) RecordAtQueue(topic string, queueID int32, off message.QueueOffset) (Ref, error) {
	u, ok := s.unitAt(topic, queueID, off)
	if !ok {
		return Ref{}, ErrNoMessage
	}
	return s.RecordAt(u.Offset)
}

func (s *Store) unitAt(topic string, queueID int32, off message.QueueOffset) (consumequeue.Unit, bool) {
	q := s.queues.Queue(topic, queueID)
	if q == nil || off < q.MinOffset() || off >= q.MaxOffset() {
		return consumequeue.Unit{}, false
	}
	var units [1]consumequeue.Unit
	n, err := q.Read(off, units[:])
	return units[0], err == nil && n == 1
}

// QueryResult is what a query by key found.
type QueryResult struct {
	Offsets []message.PhyOffset // of the messages, ascending
	// IndexTime and IndexOffset are the store time in ms and the place of the
	// newest message in the index.
	IndexTime   int64
	IndexOffset message.PhyOffset
}

// QueryByKey finds messages of a topic by one of their keys, stored from begin
// to end in ms, at most limit and RocketMQ's maxMsgsNumBatch. As in Java keys
// of the same hash come along; callers compare.
func (s *Store) QueryByKey(topic, key string, limit int, begin, end int64) (QueryResult, error) {
	if s.index == nil {
		return QueryResult{}, nil
	}
	res, err := s.index.Query(topic, key, min(limit, s.opts.MaxMessagesPerQuery), begin, end)
	slices.Sort(res.Offsets)
	return QueryResult{Offsets: res.Offsets, IndexTime: res.LastUpdateTime, IndexOffset: res.LastUpdatePhy}, err
}

// QueryByTag is QueryByKey for a tag. What Java brokers before 5.5 have
// indexed is not found by its tag.
func (s *Store) QueryByTag(topic, tag string, limit int, begin, end int64) (QueryResult, error) {
	return s.QueryByKey(topic, index.TagKeyPrefix+tag, limit, begin, end)
}

// MinOffset returns the first offset kept of a queue, 0 if there is none.
func (s *Store) MinOffset(topic string, queueID int32) message.QueueOffset {
	if q := s.queues.Queue(topic, queueID); q != nil {
		return q.MinOffset()
	}
	return 0
}

// MaxOffset returns the offset behind the last message of a queue that can be
// read, 0 if there is no such queue.
func (s *Store) MaxOffset(topic string, queueID int32) message.QueueOffset {
	if q := s.queues.Queue(topic, queueID); q != nil {
		return q.MaxOffset()
	}
	return 0
}

// OffsetByTime returns the offset of a queue for a store time in ms, by Java's
// rules for the boundary.
func (s *Store) OffsetByTime(topic string, queueID int32, t int64, b consumequeue.Boundary) (message.QueueOffset, error) {
	q := s.queues.Queue(topic, queueID)
	if q == nil {
		return 0, nil
	}
	off, err := q.OffsetByTime(t, b, s.storeTime)
	return min(max(off, q.MinOffset()), q.MaxOffset()), err
}

// storeTime returns the store time of the record that an entry points to.
func (s *Store) storeTime(u consumequeue.Unit) (int64, bool) {
	ref, err := s.RecordAt(u.Offset)
	if err != nil {
		return 0, false
	}
	defer ref.Release()
	return ref.Record().StoreTimestamp(), true
}

// StoreTimeAt returns the store time in ms of the message at an offset of a
// queue, false if there is none.
func (s *Store) StoreTimeAt(topic string, queueID int32, off message.QueueOffset) (int64, bool) {
	u, ok := s.unitAt(topic, queueID, off)
	if !ok {
		return 0, false
	}
	return s.storeTime(u)
}

// EarliestTime returns the store time in ms of a queue's first message, false
// if there is none.
func (s *Store) EarliestTime(topic string, queueID int32) (int64, bool) {
	return s.StoreTimeAt(topic, queueID, s.MinOffset(topic, queueID))
}

// EarliestLogTime returns the store time in ms of the first record of the
// log, false if it is empty.
func (s *Store) EarliestLogTime() (int64, bool) {
	ref, err := s.RecordAt(s.log.MinOffset())
	if err != nil {
		return 0, false
	}
	defer ref.Release()
	return ref.Record().StoreTimestamp(), true
}

// Topics returns the names of the topics that have queues, sorted.
func (s *Store) Topics() []string {
	seen := map[string]bool{}
	for _, q := range s.queues.Queues() {
		seen[q.Key().Topic] = true
	}
	topics := make([]string, 0, len(seen))
	for t := range seen {
		topics = append(topics, t)
	}
	slices.Sort(topics)
	return topics
}

// QueueIDs returns the queues of a topic that exist, sorted.
func (s *Store) QueueIDs(topic string) []int32 {
	var ids []int32
	for _, q := range s.queues.Queues() {
		if k := q.Key(); k.Topic == topic {
			ids = append(ids, k.QueueID)
		}
	}
	slices.Sort(ids)
	return ids
}

// DeleteTopic removes the queues of a topic. Its messages stay in the log
// until they expire. Nothing may be put to the topic meanwhile.
func (s *Store) DeleteTopic(topic string) error {
	s.fanning.Lock()
	defer s.fanning.Unlock()
	s.forgetSequences(topic)
	err := s.queues.DeleteTopic(topic)
	s.recount.Store(true)
	s.checkpoints.due.Store(true) // or a crash would bring the queues back
	s.dispatch.notify()
	return err
}
