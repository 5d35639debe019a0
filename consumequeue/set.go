package consumequeue

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Bounds of what a queue buffers, in units. The call that writes them costs 3 µs.
const (
	tailUnitsMax = 8 * blockUnits
	tailUnitsMin = 8
)

// Set is all consume queues of a store.
//
// Lock order: syncing, then walking, then a queue's io, then its mu, then any of the mutexes
// below, of which nobody holds two.
type Set struct {
	fs           vfs.FS
	dir          string
	opts         Options
	fileSize     int64
	unitsPerFile int64
	openFlag     int
	handles      handles
	ahead        [aheadBlocks]ahead
	tailUnits    atomic.Int32 // what one queue may buffer
	closed       atomic.Bool

	mu struct {
		sync.RWMutex
		topics map[string]*topicQueues
		count  int      // of queues
		stray  []string // files and folders that are none of ours
	}
	lastTopic atomic.Pointer[topicQueues] // of the last QueueBytes

	active struct {
		sync.Mutex
		queues []*ConsumeQueue // those with a tail or unsynced units
	}
	dirs struct {
		sync.Mutex
		unsynced map[string]struct{} // folders whose names have changed
	}

	// walking is held by who visits the active queues, syncing by who makes them
	// durable, too: what the device takes its time for keeps no WriteOut waiting.
	walking   sync.Mutex
	syncing   sync.Mutex
	syncErr   error         // of a failed sync: final; guarded by syncing
	cutting   bool          // a Truncate is not durable yet; guarded by syncing
	marked    bool          // the marker is there, see markerName; guarded by syncing
	covered   bool          // what earlier processes wrote and cut is durable; guarded by syncing
	loaded    []loadedQueue // found by Open; guarded by syncing
	recovered atomic.Bool
	logMin    atomic.Int64 // to which minimum offsets are corrected
}

// topicQueues is the queues of a topic, ascending by id.
type topicQueues struct {
	name string
	// The slice only grows behind its end in place; any other change makes a
	// new one, so that lookups need no lock.
	list atomic.Pointer[queueList]
}

type queueList struct {
	queues []*ConsumeQueue
	// Ids run from 0 without gaps, as they mostly do: the id is the index, and
	// no queue is touched to find it.
	dense bool
}

func (t *topicQueues) queues() []*ConsumeQueue { return t.list.Load().queues }

// setQueues makes queues the topic's.
func (t *topicQueues) setQueues(queues []*ConsumeQueue) {
	dense := len(queues) == 0 || queues[0].key.QueueID == 0 && int(queues[len(queues)-1].key.QueueID) == len(queues)-1
	t.list.Store(&queueList{queues, dense})
}

// get finds a queue.
func (t *topicQueues) get(id int32) *ConsumeQueue {
	l := t.list.Load()
	if l.dense {
		if id >= 0 && int(id) < len(l.queues) {
			return l.queues[id]
		}
		return nil
	}
	if i, ok := searchID(l.queues, id); ok {
		return l.queues[i]
	}
	return nil
}

func searchID(queues []*ConsumeQueue, id int32) (int, bool) {
	return slices.BinarySearchFunc(queues, id, func(q *ConsumeQueue, id int32) int {
		return cmp.Compare(q.key.QueueID, id)
	})
}

// Queue returns a queue, nil if there is none.
func (s *Set) Queue(topic string, queueID int32) *ConsumeQueue {
	s.mu.RLock()
	t := s.mu.topics[topic]
	s.mu.RUnlock()
	if t == nil {
		return nil
	}
	return t.get(queueID)
}

// QueueBytes is Queue for a topic in a record. It does not allocate, and is
// fastest when successive calls ask for the same topic.
func (s *Set) QueueBytes(topic []byte, queueID int32) *ConsumeQueue {
	if t := s.lastTopic.Load(); t != nil && t.name == string(topic) {
		if q := t.get(queueID); q != nil {
			return q
		}
	}
	s.mu.RLock()
	t := s.mu.topics[string(topic)]
	s.mu.RUnlock()
	if t == nil {
		return nil
	}
	if s.lastTopic.Load() != t {
		s.lastTopic.Store(t)
	}
	return t.get(queueID)
}

// QueueOrCreate returns a queue and makes it if needed. A new queue gets its
// folder with its first file.
func (s *Set) QueueOrCreate(topic string, queueID int32) (*ConsumeQueue, error) {
	if q := s.Queue(topic, queueID); q != nil {
		return q, nil
	}
	switch {
	case queueID < 0 || !validTopic(topic):
		return nil, (&ConsumeQueue{key: Key{topic, queueID}}).wrap(ErrBadTopic)
	case s.closed.Load():
		return nil, ErrClosed
	case s.opts.ReadOnly:
		return nil, ErrReadOnly
	case !s.recovered.Load():
		return nil, ErrNotRecovered
	}
	return s.add(strings.Clone(topic), queueID, queueOpen), nil
}

// validTopic says whether a topic can be the name of a folder.
func validTopic(topic string) bool {
	return topic != "" && topic != "." && topic != ".." && len(topic) <= 255 &&
		!strings.ContainsAny(topic, "/\x00") && !strings.ContainsRune(topic, filepath.Separator)
}

// add returns the queue of that name, a new one if there is none.
func (s *Set) add(topic string, queueID int32, state queueState) *ConsumeQueue {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.mu.topics[topic]
	if t == nil {
		t = &topicQueues{name: topic}
		t.setQueues(nil)
		s.mu.topics[topic] = t
	}
	queues := t.queues()
	i, ok := searchID(queues, queueID)
	if ok {
		return queues[i]
	}
	q := &ConsumeQueue{set: s, key: Key{t.name, queueID}, state: state, minPhy: -1, aheadSlot: uint8(s.mu.count % aheadBlocks)}
	if i == len(queues) {
		queues = append(queues, q)
	} else {
		queues = slices.Insert(slices.Clone(queues), i, q)
	}
	t.setQueues(queues)
	s.mu.count++
	s.setTailUnits()
	return q
}

// remove takes a queue out of the set; only its files, if any, are left.
func (s *Set) remove(q *ConsumeQueue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.mu.topics[q.key.Topic]
	if t == nil || t.get(q.key.QueueID) != q {
		return
	}
	queues := slices.DeleteFunc(slices.Clone(t.queues()), func(x *ConsumeQueue) bool { return x == q })
	t.setQueues(queues)
	if len(queues) == 0 {
		delete(s.mu.topics, t.name)
		s.lastTopic.CompareAndSwap(t, nil)
	}
	s.mu.count--
	s.setTailUnits()
}

// setTailUnits divides the memory for tails among the queues. Called with mu held.
func (s *Set) setTailUnits() {
	n := s.opts.TailBytes / unitSize / max(s.mu.count, 1)
	s.tailUnits.Store(int32(min(max(n, tailUnitsMin), tailUnitsMax)))
}

// Queues lists all queues, in no order.
func (s *Set) Queues() []*ConsumeQueue {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*ConsumeQueue, 0, s.mu.count)
	for _, t := range s.mu.topics {
		all = append(all, t.queues()...)
	}
	return all
}

// TopicQueues lists the queues of a topic, ascending by id.
func (s *Set) TopicQueues(topic string) []*ConsumeQueue {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t := s.mu.topics[topic]; t != nil {
		return slices.Clone(t.queues())
	}
	return nil
}

// Topics lists the topics that have queues, sorted.
func (s *Set) Topics() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := make([]string, 0, len(s.mu.topics))
	for name := range s.mu.topics {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// MaxPhy is the highest end of a record over all units; 0 without units.
func (s *Set) MaxPhy() message.PhyOffset {
	var end int64
	for _, q := range s.Queues() {
		end = max(end, q.end())
	}
	return message.PhyOffset(end)
}

// OpenFiles is how many descriptors are open.
func (s *Set) OpenFiles() int { return s.handles.count() }

// Stray lists files and folders among the queues that do not belong to them.
// They are left alone. A Java broker may refuse to start on some of them.
func (s *Set) Stray() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.mu.stray)
}

// strayMax bounds what Stray remembers.
const strayMax = 1000

func (s *Set) addStray(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.stray) < strayMax {
		s.mu.stray = append(s.mu.stray, path)
	}
}

func (s *Set) list(q *ConsumeQueue) {
	s.active.Lock()
	defer s.active.Unlock()
	s.active.queues = append(s.active.queues, q)
}

// markDirs remembers folders whose names have changed, for the next Sync.
func (s *Set) markDirs(dirs ...string) {
	s.dirs.Lock()
	defer s.dirs.Unlock()
	for _, dir := range dirs {
		s.dirs.unsynced[dir] = struct{}{}
	}
}

// Close writes buffered units to their files and closes these. It makes nothing
// durable: call Sync before. A second call does nothing.
func (s *Set) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	var err error
	if !s.opts.ReadOnly {
		err = s.writeOut()
	}
	for _, q := range s.Queues() {
		q.retire()
	}
	s.handles.close()
	return err
}

// retire ends the use of a queue and returns its files; readers that are at it
// get their answer or an error.
func (q *ConsumeQueue) retire() []*file {
	q.io.Lock()
	defer q.io.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.state = queueGone
	q.tail = nil
	q.max.Store(min(q.max.Load(), q.written))
	return q.files
}
