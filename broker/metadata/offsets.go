package metadata

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// GroupSeparator stands between topic and group in the keys of the offset table.
const GroupSeparator = "@"

// Offsets knows how far each group has consumed each queue (Java's ConsumerOffsetManager), kept in
// config/consumerOffset.json, or where there are light queues, as by Java, in lmqConsumerOffset.json. Commits are durable only with the next persist: a consumer may see again what it
// committed since, never miss anything.
type Offsets struct {
	OffsetOptions
	saver *state.Saver
	now   func() int64

	mu struct {
		sync.RWMutex
		table   map[offsetsKey]*queueOffsets
		version protocol.DataVersion
		commits int64
		dirty   bool
	}
	armed func()
}

// offsetsKey is a key without the concatenation that the file has.
type offsetsKey struct{ topic, group string }

// queueOffsets are the offsets of one group in one topic, guarded by the table's lock.
type queueOffsets struct {
	committed map[int32]int64
	pulled    map[int32]int64 // where the group last read
	local     map[int32]bool  // of a slave: committed here, by consumers that the master was gone for
	reset     map[int32]int64 // where the group must go on, memory only; taken by the next pull
}

// OffsetsFile is the shape of consumerOffset.json and lmqConsumerOffset.json.
type OffsetsFile struct {
	DataVersion   protocol.DataVersion       `json:"dataVersion"`
	GroupTopicMap map[string][]string        `json:"groupTopicMap"` // derived, of no use to a reader
	OffsetTable   map[string]map[int32]int64 `json:"offsetTable"`
	PullOffsets   map[string]map[int32]int64 `json:"pullOffsetTable"`          // 5.5.0 keeps them too
	Local         map[string][]int32         `json:"localQueues,omitempty"`    // ours: what a slave has to give back to its master
	LightOffsets  map[string]int64           `json:"lmqOffsetTable,omitempty"` // of groups of light queues, in their only queue
}

// OffsetOptions say how the offsets of a broker are kept.
type OffsetOptions struct {
	VersionStep int64       // commits per data version
	Light       bool        // there are light queues
	Following   bool        // a slave's: commits are noted as such
	Before      *state.File // read where there is no file yet
}

// NewOffsets returns an empty table. armed is called without lock when a commit makes a clean table dirty.
func NewOffsets(file state.File, o OffsetOptions, now func() int64, armed func()) *Offsets {
	t := &Offsets{OffsetOptions: o, now: now, armed: armed}
	t.VersionStep = max(t.VersionStep, 1)
	t.mu.table = map[offsetsKey]*queueOffsets{}
	t.mu.version.Timestamp = now()
	t.saver = state.NewSaver(file, func() any { return t.Snapshot() })
	return t
}

// Load adds what the file has.
func (t *Offsets) Load() error {
	file, err := state.Load[OffsetsFile](t.saver.File)
	if file == nil && err == nil && t.Before != nil {
		file, err = state.Load[OffsetsFile](*t.Before)
	}
	if file == nil {
		return err
	}
	file.Spread()
	t.mu.version = file.DataVersion
	for key, queues := range file.OffsetTable {
		if topic, group, ok := strings.Cut(key, GroupSeparator); ok {
			maps.Copy(t.entry(topic, group).committed, queues)
		}
	}
	for key, queues := range file.PullOffsets {
		if topic, group, ok := strings.Cut(key, GroupSeparator); ok {
			maps.Copy(t.entry(topic, group).pulled, queues)
		}
	}
	for key, queues := range file.Local {
		if topic, group, ok := strings.Cut(key, GroupSeparator); ok && t.Following {
			for _, queue := range queues {
				t.entry(topic, group).own(queue)
			}
		}
	}
	return err
}

// Spread puts the offsets of light queues among the others.
func (f *OffsetsFile) Spread() {
	for key, offset := range f.LightOffsets {
		if f.OffsetTable == nil {
			f.OffsetTable = map[string]map[int32]int64{}
		}
		f.OffsetTable[key] = map[int32]int64{message.LightQueueID: offset}
	}
	f.LightOffsets = nil
}

// Clamp moves offsets behind the end of their queue back to it, and returns how many. The log may have lost, by a power
// loss, messages that were consumed already; what takes their place must not be passed over.
func (t *Offsets) Clamp(end func(topic string, queue int32) int64) (moved int) {
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
func (t *Offsets) entry(topic, group string) *queueOffsets {
	key := offsetsKey{topic, group}
	e := t.mu.table[key]
	if e == nil {
		e = &queueOffsets{committed: map[int32]int64{}, pulled: map[int32]int64{}}
		t.mu.table[offsetsKey{strings.Clone(topic), strings.Clone(group)}] = e
	}
	return e
}

// Commit notes that the group has consumed everything below offset.
func (t *Offsets) Commit(topic, group string, queue int32, offset int64) {
	t.mu.Lock()
	e := t.entry(topic, group)
	old, had := e.committed[queue]
	if had && old == offset {
		t.mu.Unlock()
		return
	}
	e.committed[queue] = offset
	if t.Following {
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
func (t *Offsets) touchLocked() {
	t.mu.commits++
	if t.mu.commits%t.VersionStep == 0 {
		t.mu.version.Next(0, t.now())
	}
	arm := !t.mu.dirty
	t.mu.dirty = true
	t.mu.Unlock()
	if arm {
		t.armed()
	}
}

// Committed returns how far the group has consumed the queue.
func (t *Offsets) Committed(topic, group string, queue int32) (int64, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	e := t.mu.table[offsetsKey{topic, group}]
	if e == nil {
		return 0, false
	}
	offset, ok := e.committed[queue]
	return offset, ok
}

// NotePull remembers where the group reads, for those who ask how far it is.
func (t *Offsets) NotePull(topic, group string, queue int32, offset int64) {
	t.mu.Lock()
	t.entry(topic, group).pulled[queue] = offset
	t.mu.Unlock()
}

// Pulled is where the group read last.
func (t *Offsets) Pulled(topic, group string, queue int32) int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if e := t.mu.table[offsetsKey{topic, group}]; e != nil {
		return e.pulled[queue]
	}
	return 0
}

// Reset makes the group go on at offset: its next pull of the queue is told so, and commits do not count until then.
func (t *Offsets) Reset(topic, group string, queue int32, offset int64) {
	t.mu.Lock()
	e := t.entry(topic, group)
	if e.reset == nil {
		e.reset = map[int32]int64{}
	}
	e.reset[queue] = offset
	e.committed[queue] = offset
	t.touchLocked()
}

// PendingReset reports whether the group has yet to take up a reset of the queue.
func (t *Offsets) PendingReset(topic, group string, queue int32) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	e := t.mu.table[offsetsKey{topic, group}]
	if e == nil {
		return false
	}
	_, ok := e.reset[queue]
	return ok
}

// TakeReset returns where a reset sends the group, and ends it.
func (t *Offsets) TakeReset(topic, group string, queue int32) (int64, bool) {
	if !t.PendingReset(topic, group, queue) {
		return 0, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.mu.table[offsetsKey{topic, group}]
	if e == nil {
		return 0, false
	}
	offset, ok := e.reset[queue]
	delete(e.reset, queue)
	return offset, ok
}

// Queues returns a copy of what the group has committed in the topic; nil when it has nothing there.
func (t *Offsets) Queues(topic, group string) map[int32]int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if e := t.mu.table[offsetsKey{topic, group}]; e != nil {
		return maps.Clone(e.committed)
	}
	return nil
}

// TopicsOf returns the topics in which the group has offsets, in order.
func (t *Offsets) TopicsOf(group string) []string {
	return t.keys(func(k offsetsKey) (string, bool) { return k.topic, k.group == group })
}

// GroupsOf returns the groups that have offsets in the topic, in order.
func (t *Offsets) GroupsOf(topic string) []string {
	return t.keys(func(k offsetsKey) (string, bool) { return k.group, k.topic == topic })
}

func (t *Offsets) keys(pick func(offsetsKey) (string, bool)) (list []string) {
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

// CopyGroup gives one group the offsets of another in the topic.
func (t *Offsets) CopyGroup(topic, from, to string) {
	t.mu.Lock()
	e := t.mu.table[offsetsKey{topic, from}]
	if e == nil {
		t.mu.Unlock()
		return
	}
	target := t.entry(topic, to)
	target.committed = maps.Clone(e.committed)
	t.touchLocked()
}

// Forget drops all offsets for which the predicate holds.
func (t *Offsets) Forget(drop func(topic, group string) bool) {
	t.mu.Lock()
	maps.DeleteFunc(t.mu.table, func(k offsetsKey, _ *queueOffsets) bool { return drop(k.topic, k.group) })
	t.touchLocked()
}

// Persist makes what was committed so far durable, if anything was since the last time.
func (t *Offsets) Persist() error {
	return t.saver.SaveDirty(&t.mu, &t.mu.dirty)
}

// State writes the table.
func (t *Offsets) State() *state.Saver { return t.saver }

// Snapshot is the file's content.
func (t *Offsets) Snapshot() *OffsetsFile {
	t.mu.RLock()
	defer t.mu.RUnlock()
	s := &OffsetsFile{
		DataVersion:   t.mu.version,
		GroupTopicMap: map[string][]string{},
		OffsetTable:   make(map[string]map[int32]int64, len(t.mu.table)),
		PullOffsets:   make(map[string]map[int32]int64, len(t.mu.table)),
		LightOffsets:  map[string]int64{},
	}
	for k, e := range t.mu.table {
		if len(e.pulled) > 0 {
			s.PullOffsets[k.topic+GroupSeparator+k.group] = maps.Clone(e.pulled)
		}
		if len(e.local) > 0 {
			if s.Local == nil {
				s.Local = map[string][]int32{}
			}
			s.Local[k.topic+GroupSeparator+k.group] = slices.Sorted(maps.Keys(e.local))
		}
		if len(e.committed) == 0 {
			continue
		}
		if offset, ok := e.committed[message.LightQueueID]; ok && t.Light && message.IsLightQueue(k.group) {
			s.LightOffsets[k.topic+GroupSeparator+k.group] = offset
			continue
		}
		s.OffsetTable[k.topic+GroupSeparator+k.group] = maps.Clone(e.committed)
		s.GroupTopicMap[k.group] = append(s.GroupTopicMap[k.group], k.topic)
	}
	for _, topics := range s.GroupTopicMap {
		slices.Sort(topics)
	}
	return s
}
