package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// scheduleBatch bounds the messages of one level that are delivered before the next level's turn.
const scheduleBatch = 32

// clockStepMax is how much further away than its level allows a message may be due: a clock that is set back by less only
// makes it late. Java delivers at once what is due further away by a millisecond.
const clockStepMax = time.Minute

// scheduleRetry is the time after which a delivery that failed is tried again.
const scheduleRetry = time.Second

// A scheduleStore is what the scheduler needs of the store.
type scheduleStore interface {
	Get(*engine.GetRequest, *engine.GetResult)
	PutAsync(*message.Message, engine.Completion)
	Flush() error
	MinOffset(topic string, queue int32) message.QueueOffset
	MaxOffset(topic string, queue int32) message.QueueOffset
}

// guardedStore is the store, with puts that keep clear of the deletion of their topic, and gets that wait for the disk
// without keeping others from a processor.
type guardedStore struct {
	*engine.Store
	topics *metadata.Topics
	cold   *coldReads
}

// Get reads messages of a queue.
func (s guardedStore) Get(req *engine.GetRequest, res *engine.GetResult) { s.cold.Get(req, res) }

// PutAsync puts the message, unless its topic is being deleted.
func (s guardedStore) PutAsync(m *message.Message, done engine.Completion) {
	if t := s.topics.Get(m.Topic); t != nil {
		if !t.Enter() {
			done.PutDone(engine.PutResult{Status: engine.MessageIllegal, Err: fmt.Errorf("topic %s is being deleted", m.Topic)})
			return
		}
		defer t.Leave()
	}
	s.Store.PutAsync(m, done)
}

// A scheduler delivers delayed messages when they are due (Java's ScheduleMessageService). Each delay level is a queue of
// the schedule topic, in which messages lie in the order in which they fall due; the due time stands in the consume queue.
// The scheduler sleeps until the first of them, and is woken when one arrives at a level that was empty.
//
// A delivery is an ordinary put. How far each level is delivered is kept in config/delayOffset.json; it is written after
// the log is on disk, so that a power loss may repeat a delivery and never loses one. Between two of its writes a progress
// file keeps a killed process from repeating more than a batch.
type scheduler struct {
	store  scheduleStore
	levels []time.Duration
	now    func() time.Time
	log    *slog.Logger
	file   state.File
	armed  func() // called when there is something to persist

	progress *delayProgress // nil: there is none

	mu struct {
		sync.Mutex
		offsets map[int32]int64 // by level, from 1
		version protocol.DataVersion
		dirty   bool
	}
	state []levelState // by level; the run goroutine's
	wake  chan struct{}
	stop  chan struct{} // nil: it does not run
	done  sync.WaitGroup
}

// levelState is what the run goroutine knows of a level.
type levelState struct {
	next int64 // ms at which there is something to do; 0: nothing until a message arrives
	res  engine.GetResult
}

// delayOffsetsFile is the shape of delayOffset.json.
type delayOffsetsFile struct {
	DataVersion protocol.DataVersion `json:"dataVersion"`
	OffsetTable map[int32]int64      `json:"offsetTable"`
}

// newScheduler returns a scheduler that may be told of arrivals; its store is set before it is loaded and started.
func newScheduler(file state.File, levels []time.Duration, now func() time.Time, log *slog.Logger, armed func()) *scheduler {
	s := &scheduler{
		file: file, levels: levels, now: now, log: log, armed: armed,
		state: make([]levelState, len(levels)+1), wake: make(chan struct{}, 1),
	}
	s.mu.offsets = map[int32]int64{}
	s.mu.version.Timestamp = now().UnixMilli()
	return s
}

// load reads how far the levels are delivered, and brings it within what the store has.
func (s *scheduler) load() error {
	file, err := state.Load[delayOffsetsFile](s.file)
	if file != nil {
		s.mu.version = file.DataVersion
		maps.Copy(s.mu.offsets, file.OffsetTable)
	}
	stale, progressErr := s.loadProgress()
	if progressErr != nil {
		s.log.Warn("progress of delayed messages cannot be read; some may be delivered again", "error", progressErr)
	}
	for level := range s.mu.offsets {
		if level < 1 || int(level) > len(s.levels) {
			continue // a level of other times: Java keeps it too
		}
		first, last := s.bounds(level)
		s.mu.offsets[level] = min(max(s.mu.offsets[level], first), last)
	}
	if stale {
		if err := s.progress.replace(s.levelOffsets()); err != nil {
			return fmt.Errorf("progress of delayed messages that a power loss took cannot be replaced: %w", err)
		}
	}
	return err
}

// loadProgress goes on from where the last process was. It is true when that is lost, and the file still speaks of it.
func (s *scheduler) loadProgress() (stale bool, err error) {
	if s.progress == nil {
		return false, nil
	}
	offsets, stale, err := s.progress.read()
	for i, offset := range offsets {
		if level := int32(i) + 1; offset > s.mu.offsets[level] {
			s.mu.offsets[level] = offset
		}
	}
	return stale, err
}

// noteProgress says how far the levels are, to the next process.
func (s *scheduler) noteProgress() {
	if s.progress == nil {
		return
	}
	if err := s.progress.write(s.levelOffsets()); err != nil {
		s.log.Warn("progress of delayed messages cannot be written; after a crash some may be delivered again", "error", err)
	}
}

// levelOffsets are how far the levels from 1 on are delivered.
func (s *scheduler) levelOffsets() []int64 {
	offsets := make([]int64, len(s.levels))
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range offsets {
		offsets[i] = s.mu.offsets[int32(i)+1]
	}
	return offsets
}

func (s *scheduler) bounds(level int32) (first, last int64) {
	return int64(s.store.MinOffset(message.ScheduleTopic, level-1)), int64(s.store.MaxOffset(message.ScheduleTopic, level-1))
}

func (s *scheduler) start() {
	s.stop = make(chan struct{})
	clear(s.state) // what was found when it ran before
	s.done.Add(1)
	go s.run()
}

// pause stops the deliveries until the next start; what is under way is finished.
func (s *scheduler) pause() {
	if s.stop == nil {
		return
	}
	close(s.stop)
	s.done.Wait()
	s.stop = nil
}

// close stops the deliveries for good.
func (s *scheduler) close() {
	s.pause()
	if s.progress != nil {
		s.progress.file.Close() //nolint:errcheck // nothing waits to be written
	}
}

// arrived is called by the dispatch for each message of the schedule topic.
func (s *scheduler) arrived() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run delivers what is due, and sleeps until something is.
func (s *scheduler) run() {
	defer s.done.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.wake:
		case <-timer.C:
		}
		if next, ok := s.deliverDue(); ok {
			timer.Reset(next)
		} else {
			timer.Stop()
		}
	}
}

// deliverDue delivers what is due at all levels, and returns the time until the next message is; ok is false when there is
// none.
func (s *scheduler) deliverDue() (next time.Duration, ok bool) {
	for again := true; again; {
		again = false
		for level := int32(1); int(level) <= len(s.levels); level++ {
			select {
			case <-s.stop:
				return 0, false
			default:
			}
			if now := s.now().UnixMilli(); s.state[level].next <= now {
				s.state[level].next = 0
				again = s.deliverLevel(level, now) || again
			}
		}
	}
	first := int64(0)
	for _, state := range s.state {
		if state.next > 0 && (first == 0 || state.next < first) {
			first = state.next
		}
	}
	if first == 0 {
		return 0, false
	}
	return max(time.Duration(first-s.now().UnixMilli())*time.Millisecond, 0), true
}

// dueFilter passes the queue entries that are due, up to the first that is not.
type dueFilter struct {
	now, delay int64
	passed     int64
	next       int64 // when the first one that is not is due; 0: all were
}

// MatchTags reports whether the message is due. What stands in the entry is the time at which it is; one much further
// away than the level's delay is due now: the clock was set back.
func (f *dueFilter) MatchTags(due int64) bool {
	if f.next == 0 && (due <= f.now || due > f.now+f.delay+clockStepMax.Milliseconds()) {
		f.passed++
		return true
	}
	if f.next == 0 {
		f.next = due
	}
	return false
}

// MatchRecord takes every record.
func (f *dueFilter) MatchRecord(message.Record) bool { return true }

// deliverLevel delivers the next due messages of a level. It reports whether there may be more.
func (s *scheduler) deliverLevel(level int32, now int64) (more bool) {
	state, from := &s.state[level], s.offset(level)
	f := dueFilter{now: now, delay: s.levels[level-1].Milliseconds()}
	s.store.Get(&engine.GetRequest{
		Topic: message.ScheduleTopic, QueueID: level - 1, Offset: message.QueueOffset(from), MaxMsgs: scheduleBatch, Filter: &f,
	}, &state.res)
	defer state.res.Release()
	switch state.res.Status {
	case engine.Found:
		delivered, err := s.deliver(level, state.res.Segments)
		s.noteProgress()
		var format *message.FormatError
		if errors.As(err, &format) && delivered == from {
			s.log.Error("delayed message is dropped: its record is damaged", "level", level, "queueOffset", from, "error", err)
			s.setOffset(level, from+1)
			return true
		}
		if err != nil {
			s.log.Warn("delayed messages cannot be delivered", "level", level, "offset", delivered, "error", err)
			state.next = now + scheduleRetry.Milliseconds()
			return false
		}
	case engine.NoMatchedMessage, engine.MessageWasRemoving:
		if f.passed > 0 {
			// Due, but their records are deleted.
			s.setOffset(level, from+f.passed)
		}
	case engine.OffsetTooSmall, engine.OffsetOverflowBadly, engine.OffsetFoundNull:
		if next := int64(state.res.NextOffset); next != from {
			s.log.Warn("delayed messages are not where they were", "level", level, "from", from, "to", next, "status", state.res.Status)
			s.setOffset(level, next)
			return true
		}
	}
	state.next = f.next
	return f.next == 0 && s.offset(level) < int64(s.store.MaxOffset(message.ScheduleTopic, level-1)) && s.offset(level) > from
}

// deliver puts the messages of the records back to where they were meant for, in order, and moves the level's offset
// behind each that is stored. It returns the offset of the first that is not.
func (s *scheduler) deliver(level int32, segments [][]byte) (offset int64, err error) {
	var batch delivery
	var ends []int64
	err = eachRecord(segments, func(r message.Record) {
		ends = append(ends, int64(r.QueueOffset())+1)
		m, err := timeUp(r)
		if err != nil {
			s.log.Error("delayed message is dropped", "level", level, "queueOffset", r.QueueOffset(), "phyOffset", r.PhyOffset(), "error", err)
			batch.skip()
			return
		}
		batch.put(s.store, m)
	})
	results := batch.wait()
	for i, r := range results {
		if !r.Status.Stored() && r.Status != engine.MessageIllegal && r.Status != engine.PropertiesSizeExceeded {
			return ends[i] - 1, fmt.Errorf("%v: %w", r.Status, r.Err)
		}
		if !r.Status.Stored() {
			s.log.Error("delayed message is dropped", "level", level, "queueOffset", ends[i]-1, "error", r.Err)
		}
		s.setOffset(level, ends[i])
	}
	return s.offset(level), err
}

// delivery is a number of puts that are waited for together.
type delivery struct {
	results []*deliveryResult
	wg      sync.WaitGroup
}

type deliveryResult struct {
	engine.PutResult
	wg *sync.WaitGroup
}

// PutDone takes the outcome of one put.
func (r *deliveryResult) PutDone(result engine.PutResult) {
	r.PutResult = result
	r.wg.Done()
}

func (d *delivery) put(store scheduleStore, m *message.Message) {
	r := &deliveryResult{wg: &d.wg}
	d.results = append(d.results, r)
	d.wg.Add(1)
	store.PutAsync(m, r)
}

func (d *delivery) skip() { d.results = append(d.results, &deliveryResult{}) }

func (d *delivery) wait() []*deliveryResult {
	d.wg.Wait()
	return d.results
}

var errNoRealQueue = errors.New("it does not say where it is meant for")

// timeUp makes the message that a delayed one becomes when it is due. Its properties stay as they are, as in Java.
func timeUp(r message.Record) (*message.Message, error) {
	m := new(message.Message)
	r.Decode(m)
	topic, ok := m.Properties.Get(message.PropertyRealTopic)
	queue, okQueue := m.Properties.Get(message.PropertyRealQueueID)
	id, err := strconv.ParseInt(string(queue), 10, 32)
	switch {
	case !ok || !okQueue || err != nil || id < 0:
		return nil, errNoRealQueue
	case string(topic) == message.HalfTopic || string(topic) == message.ScheduleTopic:
		return nil, fmt.Errorf("it is meant for %s, which no message is delivered to", topic)
	}
	m.Topic, m.QueueID = string(topic), int32(id)
	return m, nil
}

// eachRecord calls visit for each of the records in the segments.
func eachRecord(segments [][]byte, visit func(message.Record)) error {
	for _, segment := range segments {
		for len(segment) > 0 {
			r, err := message.ParseRecord(segment)
			if err != nil {
				return err
			}
			visit(r)
			segment = segment[r.Size():]
		}
	}
	return nil
}

// offset returns how far the level is delivered.
func (s *scheduler) offset(level int32) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.offsets[level]
}

func (s *scheduler) setOffset(level int32, offset int64) {
	s.mu.Lock()
	s.mu.offsets[level] = offset
	arm := !s.mu.dirty
	s.mu.dirty = true
	s.mu.version.Next(0, s.now().UnixMilli())
	s.mu.Unlock()
	if arm {
		s.armed()
	}
}

func (s *scheduler) snapshot() *delayOffsetsFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &delayOffsetsFile{DataVersion: s.mu.version, OffsetTable: maps.Clone(s.mu.offsets)}
}

// rewrite writes the file whether anything changed or not.
func (s *scheduler) rewrite() error {
	s.mu.Lock()
	s.mu.dirty = true
	s.mu.Unlock()
	return s.persist()
}

// persist makes the offsets durable, after the messages that they say are delivered.
func (s *scheduler) persist() error {
	s.mu.Lock()
	dirty := s.mu.dirty
	s.mu.dirty = false
	s.mu.Unlock()
	if !dirty {
		return nil
	}
	file := s.snapshot() // before the flush, which must cover it
	err := s.store.Flush()
	if err == nil {
		err = s.file.Write(file)
	}
	if err != nil {
		s.mu.Lock()
		s.mu.dirty = true
		s.mu.Unlock()
	}
	return err
}
