package subscription

import (
	"maps"
	"slices"
	"sync"

	"github.com/rocketlog/rocketlog/broker/filter"
	"github.com/rocketlog/rocketlog/broker/state"
)

// loadedDeathAge is how long ago a consumer is taken to have gone whose filter a start finds alive, in ms.
const loadedDeathAge = 30_000

// Filters remembers which groups filter by properties (Java's ConsumerFilterManager), in config/consumerFilter.json.
// Pulls do not look here: what they evaluate comes with the subscription. The file is for a Java broker that takes the
// store over, and for who wants to know how a group that is gone has filtered.
type Filters struct {
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

// FiltersFile is the shape of consumerFilter.json.
type FiltersFile struct {
	FilterDataByTopic map[string]*filtersOfTopic `json:"filterDataByTopic"`
}

type filtersOfTopic struct {
	GroupFilterData map[string]*filterData `json:"groupFilterData"`
	Topic           string                 `json:"topic"`
}

// NewFilters returns a table without what the file has. armed is called without lock when there is something to persist.
func NewFilters(file state.File, now func() int64, armed func()) *Filters {
	t := &Filters{file: file, now: now, armed: armed}
	t.mu.groups = map[string]map[string]*filterData{}
	return t
}

// Register notes what a group subscribes to: that by properties is kept, and what it does not subscribe to any more is dead.
func (t *Filters) Register(group string, list []*Subscription) {
	changed := false
	topics := map[string]bool{}
	t.mu.Lock()
	for _, s := range list {
		topics[s.Data.Topic] = true
		if !filter.IsTag(s.Data.ExpressionType) && t.registerLocked(group, s) {
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
func (t *Filters) registerLocked(group string, s *Subscription) bool {
	old := t.mu.groups[group][s.Data.Topic]
	version := s.Data.SubVersion
	switch {
	case old != nil && version <= old.ClientVersion:
		if version == old.ClientVersion && old.DeadTime != 0 {
			old.DeadTime = 0
			return true
		}
		return false
	case s.Filter == nil: // it cannot be compiled
		t.removeLocked(group, s.Data.Topic)
		return old != nil
	case old != nil && old.Expression == s.Data.SubString && old.ExpressionType == s.Data.ExpressionType:
		old.ClientVersion, old.DeadTime = version, 0
		return true
	}
	t.putLocked(&filterData{
		BloomFilterData: newBloomFilterData(group, s.Data.Topic), BornTime: t.now(), ClientVersion: version,
		ConsumerGroup: group, Expression: s.Data.SubString, ExpressionType: s.Data.ExpressionType, Topic: s.Data.Topic,
	})
	return true
}

func (t *Filters) putLocked(d *filterData) {
	if t.mu.groups[d.ConsumerGroup] == nil {
		t.mu.groups[d.ConsumerGroup] = map[string]*filterData{}
	}
	t.mu.groups[d.ConsumerGroup][d.Topic] = d
}

func (t *Filters) removeLocked(group, topic string) {
	delete(t.mu.groups[group], topic)
	if len(t.mu.groups[group]) == 0 {
		delete(t.mu.groups, group)
	}
}

// Knows reports whether the group has a filter, dead or alive.
func (t *Filters) Knows(group string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.groups[group] != nil
}

// Expire notes which groups are gone, and forgets those that are for longer than keep ms.
func (t *Filters) Expire(online func(group string) bool, keep int64) {
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

// Of returns the text and the type of the group's filter of the topic, dead or alive.
func (t *Filters) Of(topic, group string) (kind, text string, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.mu.groups[group][topic]
	if d == nil {
		return "", "", false
	}
	return d.ExpressionType, d.Expression, true
}

// Remove forgets the filters of a group that is deleted.
func (t *Filters) Remove(group string) {
	t.mu.Lock()
	_, known := t.mu.groups[group]
	delete(t.mu.groups, group)
	t.mu.Unlock()
	if known {
		t.armed()
	}
}

// Load adds what the file has. Nobody is online yet.
func (t *Filters) Load() error {
	file, complaint := state.Load[FiltersFile](t.file)
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
func (t *Filters) snapshot() *FiltersFile {
	t.mu.Lock()
	defer t.mu.Unlock()
	file := &FiltersFile{FilterDataByTopic: map[string]*filtersOfTopic{}}
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

// State is the file.
func (t *Filters) State() state.File { return t.file }

// Persist writes the table.
func (t *Filters) Persist() error { return t.file.Write(t.snapshot()) }
