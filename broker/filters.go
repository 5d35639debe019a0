package broker

import (
	"encoding/binary"
	"maps"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/broker/filter"
	"github.com/rocketlog/rocketlog/broker/state"
)

// filterPersistDelay is the time from a change to its being durable, as in Java.
const filterPersistDelay = 10 * time.Second

// loadedDeathAge is how long ago a consumer is taken to have gone whose filter a start finds alive, in ms.
const loadedDeathAge = 30_000

// filterTable remembers which groups filter by properties (Java's ConsumerFilterManager), in config/consumerFilter.json.
// Pulls do not look here: what they evaluate comes with the subscription. The file is for a Java broker that takes the
// store over, and for who wants to know how a group that is gone has filtered.
type filterTable struct {
	file  state.File
	now   func() int64 // ms
	armed func()       // called when there is something to persist

	mu struct {
		sync.Mutex
		groups map[string]map[string]*filterData // by group and topic; no inner one is empty
	}
}

// filterData is one group's filter of a topic, in Java's shape (ConsumerFilterData).
type filterData struct {
	BloomFilterData *bloomFilterData `json:"bloomFilterData,omitempty"`
	BornTime        int64            `json:"bornTime"`
	ClientVersion   int64            `json:"clientVersion"` // the subscription's: an older one changes nothing
	ConsumerGroup   string           `json:"consumerGroup"`
	Dead            bool             `json:"dead"`
	DeadTime        int64            `json:"deadTime"` // 0 while the group is online
	Expression      string           `json:"expression"`
	ExpressionType  string           `json:"expressionType"`
	Topic           string           `json:"topic"`
}

// bloomFilterData are the bits that a Java broker looks at in the extension of consume queues. Without them it ignores the
// whole file.
type bloomFilterData struct {
	BitNum int32   `json:"bitNum"`
	BitPos []int32 `json:"bitPos"`
}

// filtersFile is the shape of consumerFilter.json.
type filtersFile struct {
	FilterDataByTopic map[string]*filtersOfTopic `json:"filterDataByTopic"`
}

type filtersOfTopic struct {
	GroupFilterData map[string]*filterData `json:"groupFilterData"`
	Topic           string                 `json:"topic"`
}

func newFilterTable(file state.File, now func() int64, armed func()) *filterTable {
	t := &filterTable{file: file, now: now, armed: armed}
	t.mu.groups = map[string]map[string]*filterData{}
	return t
}

// register notes what a group subscribes to: that by properties is kept, and what it does not subscribe to any more is dead.
func (t *filterTable) register(group string, list []*subscription) {
	changed := false
	topics := map[string]bool{}
	t.mu.Lock()
	for _, s := range list {
		topics[s.data.Topic] = true
		if !filter.IsTag(s.data.ExpressionType) && t.registerLocked(group, s) {
			changed = true
		}
	}
	for topic, d := range t.mu.groups[group] {
		if !topics[topic] && d.DeadTime == 0 {
			d.DeadTime, changed = t.now(), true
		}
	}
	t.mu.Unlock()
	if changed {
		t.armed()
	}
}

// registerLocked notes one subscription, as FilterDataMapByTopic.register does. It reports whether that changed anything.
func (t *filterTable) registerLocked(group string, s *subscription) bool {
	old := t.mu.groups[group][s.data.Topic]
	version := s.data.SubVersion
	switch {
	case old != nil && version <= old.ClientVersion:
		if version == old.ClientVersion && old.DeadTime != 0 {
			old.DeadTime = 0
			return true
		}
		return false
	case s.filter == nil: // it cannot be compiled
		t.removeLocked(group, s.data.Topic)
		return old != nil
	case old != nil && old.Expression == s.data.SubString && old.ExpressionType == s.data.ExpressionType:
		old.ClientVersion, old.DeadTime = version, 0
		return true
	}
	t.putLocked(&filterData{
		BloomFilterData: newBloomFilterData(group, s.data.Topic), BornTime: t.now(), ClientVersion: version,
		ConsumerGroup: group, Expression: s.data.SubString, ExpressionType: s.data.ExpressionType, Topic: s.data.Topic,
	})
	return true
}

func (t *filterTable) putLocked(d *filterData) {
	if t.mu.groups[d.ConsumerGroup] == nil {
		t.mu.groups[d.ConsumerGroup] = map[string]*filterData{}
	}
	t.mu.groups[d.ConsumerGroup][d.Topic] = d
}

func (t *filterTable) removeLocked(group, topic string) {
	delete(t.mu.groups[group], topic)
	if len(t.mu.groups[group]) == 0 {
		delete(t.mu.groups, group)
	}
}

// knows reports whether the group has a filter, dead or alive.
func (t *filterTable) knows(group string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.groups[group] != nil
}

// expire notes which groups are gone, and forgets those that are for longer than keep ms.
func (t *filterTable) expire(online func(group string) bool, keep int64) {
	t.mu.Lock()
	names := slices.Collect(maps.Keys(t.mu.groups))
	t.mu.Unlock()
	alive := map[string]bool{}
	for _, group := range names {
		alive[group] = online(group)
	}
	now, changed := t.now(), false
	t.mu.Lock()
	for group, topics := range t.mu.groups {
		for topic, d := range topics {
			switch up, looked := alive[group]; {
			case !looked:
			case d.DeadTime == 0 && up:
			case d.DeadTime == 0:
				d.DeadTime, changed = now, true
			case now-d.DeadTime >= keep:
				t.removeLocked(group, topic)
				changed = true
			}
		}
	}
	t.mu.Unlock()
	if changed {
		t.armed()
	}
}

// of returns the text and the type of the group's filter of the topic, dead or alive.
func (t *filterTable) of(topic, group string) (kind, text string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.mu.groups[group][topic]
	if d == nil {
		return "", "", false
	}
	return d.ExpressionType, d.Expression, true
}

// remove forgets the filters of a group that is deleted.
func (t *filterTable) remove(group string) {
	t.mu.Lock()
	_, known := t.mu.groups[group]
	delete(t.mu.groups, group)
	t.mu.Unlock()
	if known {
		t.armed()
	}
}

func (t *filterTable) load() error {
	file, complaint := state.Load[filtersFile](t.file)
	if file == nil {
		return complaint
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for topic, groups := range file.FilterDataByTopic {
		if groups == nil {
			continue
		}
		for group, d := range groups.GroupFilterData {
			if d == nil {
				continue
			}
			d.Topic, d.ConsumerGroup = topic, group
			if d.DeadTime < d.BornTime { // it was alive: nobody can be online yet
				d.DeadTime = max(d.BornTime, t.now()-loadedDeathAge)
			}
			t.putLocked(d)
		}
	}
	return complaint
}

// snapshot is the file's content.
func (t *filterTable) snapshot() *filtersFile {
	t.mu.Lock()
	defer t.mu.Unlock()
	file := &filtersFile{FilterDataByTopic: map[string]*filtersOfTopic{}}
	for group, topics := range t.mu.groups {
		for topic, d := range topics {
			of := file.FilterDataByTopic[topic]
			if of == nil {
				of = &filtersOfTopic{GroupFilterData: map[string]*filterData{}, Topic: topic}
				file.FilterDataByTopic[topic] = of
			}
			c := *d
			c.Dead = c.DeadTime >= c.BornTime
			of.GroupFilterData[group] = &c
		}
	}
	return file
}

func (t *filterTable) persist() error { return t.file.Write(t.snapshot()) }

// The dimensions of Java's bloom filter by its defaults: an error rate of 20 % among 32 consumers.
const (
	bloomBits   = 112
	bloomHashes = 3
)

// newBloomFilterData are the bits of a group's filter of a topic (Java's BloomFilter.generate).
func newBloomFilterData(group, topic string) *bloomFilterData {
	sum := murmur128([]byte(group + "#" + topic))
	d := &bloomFilterData{BitNum: bloomBits}
	for i := int32(1); i <= bloomHashes; i++ {
		h := int32(uint32(sum)) + i*int32(uint32(sum>>32))
		if h < 0 {
			h = ^h
		}
		d.BitPos = append(d.BitPos, h%bloomBits)
	}
	return d
}

// murmur128 is the first half of MurmurHash3 x64 128 with seed 0, as Guava's murmur3_128().asLong().
func murmur128(data []byte) uint64 {
	const c1, c2 = 0x87c37b91114253d5, 0x4cf5ad432745937f
	mix1 := func(k uint64) uint64 { return bits.RotateLeft64(k*c1, 31) * c2 }
	mix2 := func(k uint64) uint64 { return bits.RotateLeft64(k*c2, 33) * c1 }
	size := uint64(len(data))
	var h1, h2 uint64
	for ; len(data) >= 16; data = data[16:] {
		h1 ^= mix1(binary.LittleEndian.Uint64(data))
		h1 = (bits.RotateLeft64(h1, 27)+h2)*5 + 0x52dce729
		h2 ^= mix2(binary.LittleEndian.Uint64(data[8:]))
		h2 = (bits.RotateLeft64(h2, 31)+h1)*5 + 0x38495ab5
	}
	if len(data) > 0 {
		var tail [16]byte
		copy(tail[:], data)
		h1 ^= mix1(binary.LittleEndian.Uint64(tail[:]))
		h2 ^= mix2(binary.LittleEndian.Uint64(tail[8:]))
	}
	final := func(h uint64) uint64 {
		h = (h ^ h>>33) * 0xff51afd7ed558ccd
		h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
		return h ^ h>>33
	}
	h1 ^= size
	h2 ^= size
	h1 += h2
	h2 += h1
	return final(h1) + final(h2)
}
