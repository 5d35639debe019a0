package broker

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// groupSeparator stands between topic and group in the keys of the offset table.
const groupSeparator = "@"

// offsetTable knows how far each group has consumed each queue (Java's ConsumerOffsetManager), kept in
// config/consumerOffset.json, or where there are light queues, as by Java, in lmqConsumerOffset.json. Commits are durable only with the next persist: a consumer may see again what it
// committed since, never miss anything.
type offsetTable struct {
	offsetOptions
	saver *state.Saver
	now   func() int64

	mu struct {
		sync.RWMutex
		table   map[topicGroup]*queueOffsets
		version protocol.DataVersion
		commits int64
		dirty   bool
	}
	armed func()
}

// topicGroup is a key without the concatenation that the file has.
type topicGroup struct{ topic, group string }

// queueOffsets are the offsets of one group in one topic, guarded by the table's lock.
type queueOffsets struct {
	committed map[int32]int64
	pulled    map[int32]int64 // where the group last read
	local     map[int32]bool  // of a slave: committed here, by consumers that the master was gone for
	reset     map[int32]int64 // where the group must go on, memory only; taken by the next pull
}

// offsetsFile is the shape of consumerOffset.json and lmqConsumerOffset.json.
type offsetsFile struct {
	DataVersion   protocol.DataVersion       `json:"dataVersion"`
	GroupTopicMap map[string][]string        `json:"groupTopicMap"` // derived, of no use to a reader
	OffsetTable   map[string]map[int32]int64 `json:"offsetTable"`
	PullOffsets   map[string]map[int32]int64 `json:"pullOffsetTable"`          // 5.5.0 keeps them too
	Local         map[string][]int32         `json:"localQueues,omitempty"`    // ours: what a slave has to give back to its master
	LightOffsets  map[string]int64           `json:"lmqOffsetTable,omitempty"` // of groups of light queues, in their only queue
}

// offsetOptions say how the offsets of a broker are kept.
type offsetOptions struct {
	versionStep int64       // commits per data version
	light       bool        // there are light queues
	following   bool        // a slave's: commits are noted as such
	before      *state.File // read where there is no file yet
}

// newOffsetTable returns an empty table. armed is called without lock when a commit makes a clean table dirty.
func newOffsetTable(file state.File, o offsetOptions, now func() int64, armed func()) *offsetTable {
	t := &offsetTable{offsetOptions: o, now: now, armed: armed}
	t.versionStep = max(t.versionStep, 1)
	t.mu.table = map[topicGroup]*queueOffsets{}
	t.mu.version.Timestamp = now()
	t.saver = state.NewSaver(file, func() any { return t.snapshot() })
	return t
}

func (t *offsetTable) load() error {
	file, err := state.Load[offsetsFile](t.saver.File)
	if file == nil && err == nil && t.before != nil {
		file, err = state.Load[offsetsFile](*t.before)
	}
	if file == nil {
		return err
	}
	file.spread()
	t.mu.version = file.DataVersion
	for key, queues := range file.OffsetTable {
		if topic, group, ok := strings.Cut(key, groupSeparator); ok {
			maps.Copy(t.entry(topic, group).committed, queues)
		}
	}
	for key, queues := range file.PullOffsets {
		if topic, group, ok := strings.Cut(key, groupSeparator); ok {
			maps.Copy(t.entry(topic, group).pulled, queues)
		}
	}
	for key, queues := range file.Local {
		if topic, group, ok := strings.Cut(key, groupSeparator); ok && t.following {
			for _, queue := range queues {
				t.entry(topic, group).own(queue)
			}
		}
	}
	return err
}

// spread puts the offsets of light queues among the others.
func (f *offsetsFile) spread() {
	for key, offset := range f.LightOffsets {
		if f.OffsetTable == nil {
			f.OffsetTable = map[string]map[int32]int64{}
		}
		f.OffsetTable[key] = map[int32]int64{message.LightQueueID: offset}
	}
	f.LightOffsets = nil
}

// clamp moves offsets behind the end of their queue back to it, and returns how many. The log may have lost, by a power
// loss, messages that were consumed already; what takes their place must not be passed over.
func (t *offsetTable) clamp(end func(topic string, queue int32) int64) (moved int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, e := range t.mu.table {
		for queue, offset := range e.committed {
			if last := end(key.topic, queue); offset > last {
				e.committed[queue] = last
				moved++
			}
		}
	}
	return moved
}

// entry returns the offsets of the group in the topic, made where needed. The caller holds the lock, or is alone.
func (t *offsetTable) entry(topic, group string) *queueOffsets {
	key := topicGroup{topic, group}
	e := t.mu.table[key]
	if e == nil {
		e = &queueOffsets{committed: map[int32]int64{}, pulled: map[int32]int64{}}
		t.mu.table[topicGroup{strings.Clone(topic), strings.Clone(group)}] = e
	}
	return e
}

// commit notes that the group has consumed everything below offset.
func (t *offsetTable) commit(topic, group string, queue int32, offset int64) {
	t.mu.Lock()
	e := t.entry(topic, group)
	old, had := e.committed[queue]
	if had && old == offset {
		t.mu.Unlock()
		return
	}
	e.committed[queue] = offset
	if t.following {
		e.own(queue)
	}
	t.touchLocked()
}

// own notes of a slave that consumers committed the queue's offset here. It stays so over a restart.
func (e *queueOffsets) own(queue int32) {
	if e.local == nil {
		e.local = map[int32]bool{}
	}
	e.local[queue] = true
}

// touchLocked counts a change, and releases the lock.
func (t *offsetTable) touchLocked() {
	t.mu.commits++
	if t.mu.commits%t.versionStep == 0 {
		t.mu.version.Next(0, t.now())
	}
	arm := !t.mu.dirty
	t.mu.dirty = true
	t.mu.Unlock()
	if arm {
		t.armed()
	}
}

// committed returns how far the group has consumed the queue.
func (t *offsetTable) committed(topic, group string, queue int32) (int64, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	e := t.mu.table[topicGroup{topic, group}]
	if e == nil {
		return 0, false
	}
	offset, ok := e.committed[queue]
	return offset, ok
}

// notePull remembers where the group reads, for those who ask how far it is.
func (t *offsetTable) notePull(topic, group string, queue int32, offset int64) {
	t.mu.Lock()
	t.entry(topic, group).pulled[queue] = offset
	t.mu.Unlock()
}

func (t *offsetTable) pulled(topic, group string, queue int32) int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if e := t.mu.table[topicGroup{topic, group}]; e != nil {
		return e.pulled[queue]
	}
	return 0
}

// reset makes the group go on at offset: its next pull of the queue is told so, and commits do not count until then.
func (t *offsetTable) reset(topic, group string, queue int32, offset int64) {
	t.mu.Lock()
	e := t.entry(topic, group)
	if e.reset == nil {
		e.reset = map[int32]int64{}
	}
	e.reset[queue] = offset
	e.committed[queue] = offset
	t.touchLocked()
}

// pendingReset reports whether the group has yet to take up a reset of the queue.
func (t *offsetTable) pendingReset(topic, group string, queue int32) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	e := t.mu.table[topicGroup{topic, group}]
	if e == nil {
		return false
	}
	_, ok := e.reset[queue]
	return ok
}

// takeReset returns where a reset sends the group, and ends it.
func (t *offsetTable) takeReset(topic, group string, queue int32) (int64, bool) {
	if !t.pendingReset(topic, group, queue) {
		return 0, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.mu.table[topicGroup{topic, group}]
	if e == nil {
		return 0, false
	}
	offset, ok := e.reset[queue]
	delete(e.reset, queue)
	return offset, ok
}

// queues returns a copy of what the group has committed in the topic; nil when it has nothing there.
func (t *offsetTable) queues(topic, group string) map[int32]int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if e := t.mu.table[topicGroup{topic, group}]; e != nil {
		return maps.Clone(e.committed)
	}
	return nil
}

// topicsOf returns the topics in which the group has offsets, groupsOf the groups that have some in the topic; in order.
func (t *offsetTable) topicsOf(group string) []string {
	return t.keys(func(k topicGroup) (string, bool) { return k.topic, k.group == group })
}

func (t *offsetTable) groupsOf(topic string) []string {
	return t.keys(func(k topicGroup) (string, bool) { return k.group, k.topic == topic })
}

func (t *offsetTable) keys(pick func(topicGroup) (string, bool)) (list []string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for k, e := range t.mu.table {
		if name, ok := pick(k); ok && len(e.committed) > 0 {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// copyGroup gives one group the offsets of another in the topic.
func (t *offsetTable) copyGroup(topic, from, to string) {
	t.mu.Lock()
	e := t.mu.table[topicGroup{topic, from}]
	if e == nil {
		t.mu.Unlock()
		return
	}
	target := t.entry(topic, to)
	target.committed = maps.Clone(e.committed)
	t.touchLocked()
}

// forget drops all offsets for which the predicate holds.
func (t *offsetTable) forget(drop func(topic, group string) bool) {
	t.mu.Lock()
	maps.DeleteFunc(t.mu.table, func(k topicGroup, _ *queueOffsets) bool { return drop(k.topic, k.group) })
	t.touchLocked()
}

// persist makes what was committed so far durable, if anything was since the last time.
func (t *offsetTable) persist() error {
	return t.saver.SaveDirty(&t.mu, &t.mu.dirty)
}

func (t *offsetTable) snapshot() *offsetsFile {
	t.mu.RLock()
	defer t.mu.RUnlock()
	s := &offsetsFile{
		DataVersion:   t.mu.version,
		GroupTopicMap: map[string][]string{},
		OffsetTable:   make(map[string]map[int32]int64, len(t.mu.table)),
		PullOffsets:   make(map[string]map[int32]int64, len(t.mu.table)),
		LightOffsets:  map[string]int64{},
	}
	for k, e := range t.mu.table {
		if len(e.pulled) > 0 {
			s.PullOffsets[k.topic+groupSeparator+k.group] = maps.Clone(e.pulled)
		}
		if len(e.local) > 0 {
			if s.Local == nil {
				s.Local = map[string][]int32{}
			}
			s.Local[k.topic+groupSeparator+k.group] = slices.Sorted(maps.Keys(e.local))
		}
		if len(e.committed) == 0 {
			continue
		}
		if offset, ok := e.committed[message.LightQueueID]; ok && t.light && message.IsLightQueue(k.group) {
			s.LightOffsets[k.topic+groupSeparator+k.group] = offset
			continue
		}
		s.OffsetTable[k.topic+groupSeparator+k.group] = maps.Clone(e.committed)
		s.GroupTopicMap[k.group] = append(s.GroupTopicMap[k.group], k.topic)
	}
	for _, topics := range s.GroupTopicMap {
		slices.Sort(topics)
	}
	return s
}
