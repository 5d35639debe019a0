package schedule

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// batchMax bounds the messages of one level that are delivered before the next level's turn.
const batchMax = 32

// clockStepMax is how much further away than its level allows a message may be due: a clock that is set back by less only
// makes it late. Java delivers at once what is due further away by a millisecond.
const clockStepMax = time.Minute

// retryPause is the time after which a delivery that failed is tried again.
const retryPause = time.Second

// A Store is what the scheduler needs of the store.
type Store interface {
	Get(*engine.GetRequest, *engine.GetResult)
	PutAsync(*message.Message, engine.Completion)
	Flush() error
	MinOffset(topic string, queue int32) message.QueueOffset
	MaxOffset(topic string, queue int32) message.QueueOffset
}

// A Scheduler delivers delayed messages when they are due (Java's ScheduleMessageService). Each delay level is a queue of
// the schedule topic, in which messages lie in the order in which they fall due; the due time stands in the consume queue.
// The scheduler sleeps until the first of them, and is woken when one arrives at a level that was empty.
//
// A delivery is an ordinary put. How far each level is delivered is kept in config/delayOffset.json; it is written after
// the log is on disk, so that a power loss may repeat a delivery and never loses one. Between two of its writes a progress
// file keeps a killed process from repeating more than a batch.
type Scheduler struct {
	store  Store
	levels []time.Duration
	now    func() time.Time
	log    *slog.Logger
	file   state.File
	armed  func()

	progress *progress // nil: there is none

	mu struct {
		sync.Mutex
		offsets map[int32]int64 // by level, from 1
		version protocol.DataVersion
		dirty   bool
	}
	seen []levelState // by level; the run goroutine's
	wake chan struct{}
	stop chan struct{} // nil: it does not run
	done sync.WaitGroup
}

// levelState is what the run goroutine knows of a level.
type levelState struct {
	next int64 // ms at which there is something to do; 0: nothing until a message arrives
	res  engine.GetResult
}

// New returns a scheduler that may be told of arrivals; it is opened and loaded before it is started. armed is called
// without lock when there is something to persist.
func New(file state.File, levels []time.Duration, now func() time.Time, log *slog.Logger, armed func()) *Scheduler {
	s := &Scheduler{
		file: file, levels: levels, now: now, log: log, armed: armed,
		seen: make([]levelState, len(levels)+1), wake: make(chan struct{}, 1),
	}
	s.mu.offsets = map[int32]int64{}
	s.mu.version.Timestamp = now().UnixMilli()
	return s
}

// Open sets the store that messages are read from and put to, and opens the progress file below root. logEnd is the end of
// the log. A scheduler without a progress file works; after a crash more is delivered again.
func (s *Scheduler) Open(store Store, fsys vfs.FS, root string, logEnd func() message.PhyOffset) (err error) {
	s.store = store
	s.progress, err = openProgress(fsys, filepath.Join(root, ProgressName), logEnd)
	return err
}

func (s *Scheduler) bounds(level int32) (first, last int64) {
	return int64(s.store.MinOffset(message.ScheduleTopic, level-1)), int64(s.store.MaxOffset(message.ScheduleTopic, level-1))
}

// Start has messages delivered until pause.
func (s *Scheduler) Start() {
	s.stop = make(chan struct{})
	clear(s.seen) // what was found when it ran before
	s.done.Add(1)
	go s.run()
}

// Pause stops the deliveries until the next start; what is under way is finished.
func (s *Scheduler) Pause() {
	if s.stop == nil {
		return
	}
	close(s.stop)
	s.done.Wait()
	s.stop = nil
}

// Close stops the deliveries for good.
func (s *Scheduler) Close() {
	s.Pause()
	if s.progress != nil {
		s.progress.file.Close() //nolint:errcheck // nothing waits to be written
	}
}

// Arrived is called by the dispatch for each message of the schedule topic.
func (s *Scheduler) Arrived() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run delivers what is due, and sleeps until something is.
func (s *Scheduler) run() {
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
func (s *Scheduler) deliverDue() (next time.Duration, ok bool) {
	for again := true; again; {
		again = false
		for level := int32(1); int(level) <= len(s.levels); level++ {
			select {
			case <-s.stop:
				return 0, false
			default:
			}
			if now := s.now().UnixMilli(); s.seen[level].next <= now {
				s.seen[level].next = 0
				again = s.deliverLevel(level, now) || again
			}
		}
	}
	first := int64(0)
	for _, state := range s.seen {
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
func (s *Scheduler) deliverLevel(level int32, now int64) (more bool) {
	at, from := &s.seen[level], s.offset(level)
	f := dueFilter{now: now, delay: s.levels[level-1].Milliseconds()}
	s.store.Get(&engine.GetRequest{
		Topic: message.ScheduleTopic, QueueID: level - 1, Offset: message.QueueOffset(from), MaxMsgs: batchMax, Filter: &f,
	}, &at.res)
	defer at.res.Release()
	switch at.res.Status {
	case engine.Found:
		delivered, err := s.deliver(level, at.res.Segments)
		s.noteProgress()
		var format *message.FormatError
		if errors.As(err, &format) && delivered == from {
			s.log.Error("delayed message is dropped: its record is damaged", "level", level, "queueOffset", from, "error", err)
			s.setOffset(level, from+1)
			return true
		}
		if err != nil {
			s.log.Warn("delayed messages cannot be delivered", "level", level, "offset", delivered, "error", err)
			at.next = now + retryPause.Milliseconds()
			return false
		}
	case engine.NoMatchedMessage, engine.MessageWasRemoving:
		if f.passed > 0 {
			// Due, but their records are deleted.
			s.setOffset(level, from+f.passed)
		}
	case engine.OffsetTooSmall, engine.OffsetOverflowBadly, engine.OffsetFoundNull:
		if next := int64(at.res.NextOffset); next != from {
			s.log.Warn("delayed messages are not where they were", "level", level, "from", from, "to", next, "status", at.res.Status)
			s.setOffset(level, next)
			return true
		}
	}
	at.next = f.next
	return f.next == 0 && s.offset(level) < int64(s.store.MaxOffset(message.ScheduleTopic, level-1)) && s.offset(level) > from
}

// deliver puts the messages of the records back to where they were meant for, in order, and moves the level's offset
// behind each that is stored. It returns the offset of the first that is not.
func (s *Scheduler) deliver(level int32, segments [][]byte) (offset int64, err error) {
	var batch engine.Puts
	var ends []int64
	err = message.EachRecord(segments, func(r message.Record) {
		ends = append(ends, int64(r.QueueOffset())+1)
		m, err := timeUp(r)
		if err != nil {
			s.log.Error("delayed message is dropped", "level", level, "queueOffset", r.QueueOffset(), "phyOffset", r.PhyOffset(), "error", err)
			batch.Skip()
			return
		}
		batch.Put(s.store, m)
	})
	results := batch.Wait()
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

// Pending counts the messages that wait, for each delay level that has some.
func (s *Scheduler) Pending() map[int32]int64 {
	pending := map[int32]int64{}
	for level := int32(1); level <= int32(len(s.levels)); level++ {
		first, last := s.bounds(level)
		if n := last - max(s.offset(level), first); n > 0 {
			pending[level] = n
		}
	}
	return pending
}
