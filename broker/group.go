package broker

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

// groupTable is the table of consumer groups (Java's SubscriptionGroupManager), kept in config/subscriptionGroup.json.
type groupTable struct {
	saver *state.Saver
	light bool // groups of light queues are there without being in the table

	mu struct {
		sync.RWMutex
		table     map[string]*protocol.SubscriptionGroupConfig // configs are never changed in place
		forbidden map[string]map[string]int32                  // group, topic: bits
		version   protocol.DataVersion
	}
}

// groupsFile is the shape of subscriptionGroup.json.
type groupsFile struct {
	DataVersion            protocol.DataVersion        `json:"dataVersion"`
	ForbiddenTable         map[string]map[string]int32 `json:"forbiddenTable"`
	SubscriptionGroupTable map[string]*groupEntry      `json:"subscriptionGroupTable"`
}

// groupEntry is a group's configuration in the file: what an older writer left out has its default, not zero.
type groupEntry protocol.SubscriptionGroupConfig

// UnmarshalJSON fills the configuration over Java's defaults.
func (e *groupEntry) UnmarshalJSON(data []byte) error {
	c := protocol.NewSubscriptionGroupConfig("")
	err := protocol.UnmarshalJSON(data, c)
	*e = groupEntry(*c)
	return err
}

func newGroupTable(file state.File, o *Options, now int64) *groupTable {
	t := &groupTable{light: o.EnableLmq}
	t.mu.table = map[string]*protocol.SubscriptionGroupConfig{}
	t.mu.forbidden = map[string]map[string]int32{}
	t.mu.version.Timestamp = now
	t.saver = state.NewSaver(file, func() any { return t.snapshot() })
	for _, name := range systemGroups {
		t.mu.table[name] = protocol.NewSubscriptionGroupConfig(name)
	}
	return t
}

// load adds what the file has.
func (t *groupTable) load() error {
	file, err := state.Load[groupsFile](t.saver.File)
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

// find returns the configuration of the group, or nil. It allocates nothing.
func (t *groupTable) find(name []byte) *protocol.SubscriptionGroupConfig {
	t.mu.RLock()
	c := t.mu.table[string(name)]
	t.mu.RUnlock()
	if c == nil && t.light && message.IsLightQueue(name) {
		return protocol.NewSubscriptionGroupConfig(string(name))
	}
	return c
}

func (t *groupTable) get(name string) *protocol.SubscriptionGroupConfig {
	t.mu.RLock()
	c := t.mu.table[name]
	t.mu.RUnlock()
	if c == nil && t.light && message.IsLightQueue(name) { // as Java's LmqSubscriptionGroupManager
		return protocol.NewSubscriptionGroupConfig(strings.Clone(name))
	}
	return c
}

// findOrCreate returns the configuration of the group, which it makes where the options allow it; else nil.
func (t *groupTable) findOrCreate(name string, o *Options, now int64) (*protocol.SubscriptionGroupConfig, error) {
	if c := t.get(name); c != nil {
		return c, nil
	}
	if !o.AutoCreateSubscriptionGroup && !strings.HasPrefix(name, message.SystemGroupPrefix) {
		return nil, nil
	}
	if groupNameFault(name) != "" {
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

// update sets configurations that an administrator gives.
func (t *groupTable) update(configs []*protocol.SubscriptionGroupConfig, now int64) error {
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

// remove forgets the group.
func (t *groupTable) remove(name string, now int64) error {
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

// forbid takes the topic from the group's readers, or gives it back.
func (t *groupTable) forbid(group, topic string, readable bool, now int64) error {
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

// readForbidden reports whether the group may not read the topic.
func (t *groupTable) readForbidden(group, topic string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.mu.forbidden[group][topic]&forbiddenRead != 0
}

func (t *groupTable) snapshot() *groupsFile {
	t.mu.RLock()
	defer t.mu.RUnlock()
	s := &groupsFile{
		DataVersion:            t.mu.version,
		ForbiddenTable:         map[string]map[string]int32{},
		SubscriptionGroupTable: make(map[string]*groupEntry, len(t.mu.table)),
	}
	for name, c := range t.mu.table {
		s.SubscriptionGroupTable[name] = (*groupEntry)(c)
	}
	for group, topics := range t.mu.forbidden {
		s.ForbiddenTable[group] = maps.Clone(topics)
	}
	return s
}

// names returns the names of all groups in order.
func (t *groupTable) names() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Sorted(maps.Keys(t.mu.table))
}

func (t *groupTable) nextVersion(now int64) {
	t.mu.version.Next(0, now)
}
