package metadata

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// forbiddenRead is the bit of the forbidden table that takes a topic from a group's readers.
const forbiddenRead = 1 << 2

// systemGroups are the consumer groups that a broker knows from its first start (Java's SubscriptionGroupManager.init).
var systemGroups = []string{
	"TOOLS_CONSUMER", "FILTERSRV_CONSUMER", "SELF_TEST_C_GROUP", "CID_ONS-HTTP-PROXY", "CID_ONSAPI_PULL", "CID_ONSAPI_PERMISSION",
	"CID_ONSAPI_OWNER", "CID_RMQ_SYS_TRANS",
}

// Groups is the table of consumer groups (Java's SubscriptionGroupManager), kept in config/subscriptionGroup.json.
type Groups struct {
	saver *state.Saver
	light bool // groups of light queues are there without being in the table

	mu struct {
		sync.RWMutex
		table     map[string]*protocol.SubscriptionGroupConfig // configs are never changed in place
		forbidden map[string]map[string]int32                  // group, topic: bits
		version   protocol.DataVersion
	}
}

// GroupsFile is the shape of subscriptionGroup.json.
type GroupsFile struct {
	DataVersion            protocol.DataVersion        `json:"dataVersion"`
	ForbiddenTable         map[string]map[string]int32 `json:"forbiddenTable"`
	SubscriptionGroupTable map[string]*GroupEntry      `json:"subscriptionGroupTable"`
}

// GroupEntry is a group's configuration in the file: what an older writer left out has its default, not zero.
type GroupEntry protocol.SubscriptionGroupConfig

// UnmarshalJSON fills the configuration over Java's defaults.
func (e *GroupEntry) UnmarshalJSON(data []byte) error {
	c := protocol.NewSubscriptionGroupConfig("")
	err := protocol.UnmarshalJSON(data, c)
	*e = GroupEntry(*c)
	return err
}

// NewGroups returns the table without what the file has. light says that there are light queues.
func NewGroups(file state.File, light bool, now int64) *Groups {
	t := &Groups{light: light}
	t.mu.table = map[string]*protocol.SubscriptionGroupConfig{}
	t.mu.forbidden = map[string]map[string]int32{}
	t.mu.version.Timestamp = now
	t.saver = state.NewSaver(file, func() any { return t.Snapshot() })
	for _, name := range systemGroups {
		t.mu.table[name] = protocol.NewSubscriptionGroupConfig(name)
	}
	return t
}

// Load adds what the file has.
func (t *Groups) Load() error {
	file, err := state.Load[GroupsFile](t.saver.File)
	if file == nil {
		return err
	}
	t.mu.version = file.DataVersion
	for name, entry := range file.SubscriptionGroupTable {
		if c := (*protocol.SubscriptionGroupConfig)(entry); c != nil {
			c.GroupName = cmp.Or(c.GroupName, name)
			t.mu.table[name] = c
		}
	}
	for group, topics := range file.ForbiddenTable {
		t.mu.forbidden[group] = maps.Clone(topics)
	}
	return err
}

// Find returns the configuration of the group, or nil. It allocates nothing.
func (t *Groups) Find(name []byte) *protocol.SubscriptionGroupConfig {
	t.mu.RLock()
	c := t.mu.table[string(name)]
	t.mu.RUnlock()
	if c == nil && t.light && message.IsLightQueue(name) {
		return protocol.NewSubscriptionGroupConfig(string(name))
	}
	return c
}

// Get is find by a string.
func (t *Groups) Get(name string) *protocol.SubscriptionGroupConfig {
	t.mu.RLock()
	c := t.mu.table[name]
	t.mu.RUnlock()
	if c == nil && t.light && message.IsLightQueue(name) { // as Java's LmqSubscriptionGroupManager
		return protocol.NewSubscriptionGroupConfig(strings.Clone(name))
	}
	return c
}

// FindOrCreate returns the configuration of the group, which it makes if auto allows it, or the name is a system group's; else
// nil. With an error it is made and not on disk.
func (t *Groups) FindOrCreate(name string, auto bool, now int64) (*protocol.SubscriptionGroupConfig, error) {
	if c := t.Get(name); c != nil {
		return c, nil
	}
	if !auto && !strings.HasPrefix(name, message.SystemGroupPrefix) {
		return nil, nil
	}
	if GroupNameFault(name) != "" {
		return nil, nil
	}
	t.mu.Lock()
	c := t.mu.table[name]
	if c != nil {
		t.mu.Unlock()
		return c, nil
	}
	name = strings.Clone(name)
	c = protocol.NewSubscriptionGroupConfig(name)
	t.mu.table[name] = c
	t.nextVersion(now)
	t.mu.Unlock()
	return c, t.saver.Save()
}

// Update sets configurations that an administrator gives.
func (t *Groups) Update(configs []*protocol.SubscriptionGroupConfig, now int64) error {
	t.mu.Lock()
	for _, c := range configs {
		if t.light && message.IsLightQueue(c.GroupName) {
			continue
		}
		t.mu.table[c.GroupName] = c
	}
	t.nextVersion(now)
	t.mu.Unlock()
	return t.saver.Save()
}

// Remove forgets the group.
func (t *Groups) Remove(name string, now int64) error {
	t.mu.Lock()
	if t.mu.table[name] == nil {
		t.mu.Unlock()
		return nil
	}
	delete(t.mu.table, name)
	t.nextVersion(now)
	t.mu.Unlock()
	return t.saver.Save()
}

// Forbid takes the topic from the group's readers, or gives it back.
func (t *Groups) Forbid(group, topic string, readable bool, now int64) error {
	t.mu.Lock()
	bits := t.mu.forbidden[group][topic]
	changed := bits | forbiddenRead
	if readable {
		changed = bits &^ forbiddenRead
	}
	if changed == bits {
		t.mu.Unlock()
		return nil
	}
	if t.mu.forbidden[group] == nil {
		t.mu.forbidden[group] = map[string]int32{}
	}
	if changed == 0 {
		delete(t.mu.forbidden[group], topic)
	} else {
		t.mu.forbidden[group][topic] = changed
	}
	if len(t.mu.forbidden[group]) == 0 {
		delete(t.mu.forbidden, group)
	}
	t.nextVersion(now)
	t.mu.Unlock()
	return t.saver.Save()
}

// ReadForbidden reports whether the group may not read the topic.
func (t *Groups) ReadForbidden(group, topic string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.mu.forbidden[group][topic]&forbiddenRead != 0
}

// State writes the table.
func (t *Groups) State() *state.Saver { return t.saver }

// Snapshot is the file's content.
func (t *Groups) Snapshot() *GroupsFile {
	t.mu.RLock()
	defer t.mu.RUnlock()
	s := &GroupsFile{
		DataVersion:            t.mu.version,
		ForbiddenTable:         map[string]map[string]int32{},
		SubscriptionGroupTable: make(map[string]*GroupEntry, len(t.mu.table)),
	}
	for name, c := range t.mu.table {
		s.SubscriptionGroupTable[name] = (*GroupEntry)(c)
	}
	for group, topics := range t.mu.forbidden {
		s.ForbiddenTable[group] = maps.Clone(topics)
	}
	return s
}

// Names returns the names of all groups in order.
func (t *Groups) Names() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Sorted(maps.Keys(t.mu.table))
}

func (t *Groups) nextVersion(now int64) {
	t.mu.version.Next(0, now)
}

// Replace makes the table that of the master.
func (t *Groups) Replace(table map[string]*GroupEntry, forbidden map[string]map[string]int32, now int64) error {
	t.mu.Lock()
	clear(t.mu.table)
	for name, c := range table {
		t.mu.table[name] = (*protocol.SubscriptionGroupConfig)(c)
	}
	t.mu.forbidden = forbidden
	t.nextVersion(now)
	t.mu.Unlock()
	return t.saver.Save()
}
