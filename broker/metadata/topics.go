package metadata

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/broker/stats"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// Topics is the table of topics (Java's TopicConfigManager), kept in config/topics.json. Readers find a topic
// without allocating; changes are durable when the method that makes them returns.
type Topics struct {
	saver   *state.Saver
	light   bool            // there are light queues: their topics are there without being in the table
	system  map[string]bool // fixed once made
	noSend  map[string]bool // fixed once made
	static  map[string]bool // fixed once loaded
	changed func()          // see OnChange
	epoch   int64           // of the broker's role, which goes into each version; fixed once loaded; 0 without auto-switch HA

	mappings state.File // of static topics; written by Java's brokers only

	mu struct {
		sync.RWMutex
		table   map[string]*Topic
		version protocol.DataVersion
	}
}

// TopicsFile is the shape of topics.json.
type TopicsFile struct {
	DataVersion      protocol.DataVersion             `json:"dataVersion"`
	TopicConfigTable map[string]*protocol.TopicConfig `json:"topicConfigTable"`
}

// TopicOptions say which topics a broker has of itself.
type TopicOptions struct {
	System []*protocol.TopicConfig // there from the first start on; users neither make nor delete them
	Light  bool                    // there are light queues
}

// NewTopics returns the table without what the file has. mappings is the file of static topics, which only Java's brokers
// write.
func NewTopics(file, mappings state.File, o TopicOptions, now int64) *Topics {
	t := &Topics{mappings: mappings, changed: func() {}, light: o.Light}
	t.mu.table = map[string]*Topic{}
	t.mu.version.Timestamp = now
	t.saver = state.NewSaver(file, func() any { return t.Snapshot() })
	t.noSend = map[string]bool{
		message.ScheduleTopic: true, message.HalfTopic: true, message.OpHalfTopic: true, message.TransCheckMaxTopic: true, message.SelfTestTopic: true, message.OffsetMovedTopic: true,
	}
	t.system = map[string]bool{message.TransCheckMaxTopic: true, message.AutoCreateTopic: true}
	for _, c := range o.System {
		t.system[c.TopicName] = true
		t.put(c)
	}
	return t
}

// StaticTopicsFile is what of Java's topicQueueMapping.json counts here.
type StaticTopicsFile struct {
	Mappings map[string]*protocol.TopicQueueMappingDetail `json:"topicQueueMappingInfoMap"`
}

// LoadStatic reads which topics are static, before load: they are neither written nor read, as the queues and offsets that
// clients have of them are not those of this store.
func (t *Topics) LoadStatic() error {
	mappings, err := state.Load[StaticTopicsFile](t.mappings)
	if mappings != nil {
		t.static = map[string]bool{}
		for name := range mappings.Mappings {
			t.static[name] = true
		}
	}
	return err
}

// OnChange has changed called after each change, without lock. It is called before others know the table.
func (t *Topics) OnChange(changed func()) { t.changed = changed }

// State writes the table.
func (t *Topics) State() *state.Saver { return t.saver }

// StaticNames are the names of the static topics.
func (t *Topics) StaticNames() []string { return slices.Sorted(maps.Keys(t.static)) }

// IsStatic tells whether the name is a static topic's, which need not be in the table.
func (t *Topics) IsStatic(name string) bool { return t.static[name] }

// Load adds what the file has. What is in the file wins over the system topics made before.
func (t *Topics) Load() error {
	file, err := state.Load[TopicsFile](t.saver.File)
	if file == nil {
		return err
	}
	t.mu.version = file.DataVersion
	for name, c := range file.TopicConfigTable {
		if c == nil {
			continue
		}
		if c.TopicName == "" {
			c.TopicName = name
		}
		t.put(c)
	}
	return err
}

// put sets a topic's configuration. The caller holds the lock, or is alone.
func (t *Topics) put(c *protocol.TopicConfig) *Topic {
	e := t.mu.table[c.TopicName]
	if e == nil {
		e = &Topic{Name: strings.Clone(c.TopicName), Static: t.static[c.TopicName]}
		t.mu.table[e.Name] = e
	}
	e.current.Store(c)
	return e
}

// Find returns the topic of that name, or nil. It allocates nothing.
func (t *Topics) Find(name []byte) *Topic {
	t.mu.RLock()
	e := t.mu.table[string(name)]
	t.mu.RUnlock()
	if e == nil && t.light && message.IsLightQueue(name) {
		return newLightTopic(string(name))
	}
	return e
}

// Get is find by a string.
func (t *Topics) Get(name string) *Topic {
	t.mu.RLock()
	e := t.mu.table[name]
	t.mu.RUnlock()
	if e == nil && t.light && message.IsLightQueue(name) {
		return newLightTopic(name)
	}
	return e
}

// Still tells whether a topic that was found before is there yet.
func (t *Topics) Still(e *Topic) bool {
	now := t.Get(e.Name)
	return now == e || now != nil && now.Light && e.Light
}

// Destination is the topic that a message is put to: its own, or the one that its way leads over.
func (t *Topics) Destination(own *Topic, name string) *Topic {
	if own.Name == name {
		return own
	}
	if e := t.Get(name); e != nil {
		return e
	}
	return own
}

// List returns all topics in the order of their names.
func (t *Topics) List() []*Topic {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.SortedFunc(maps.Values(t.mu.table), func(a, b *Topic) int { return cmp.Compare(a.Name, b.Name) })
}

// Puts are the counters of what was put to each topic.
func (t *Topics) Puts() iter.Seq[*stats.Traffic] {
	return func(yield func(*stats.Traffic) bool) {
		for _, e := range t.List() {
			if !yield(&e.Puts) {
				return
			}
		}
	}
}

// PutsTo are the counters of what was put to a topic, nil if there is no such topic.
func (t *Topics) PutsTo(name string) *stats.Traffic {
	if e := t.Get(name); e != nil {
		return &e.Puts
	}
	return nil
}

// Snapshot is the file's content.
func (t *Topics) Snapshot() *TopicsFile {
	t.mu.RLock()
	defer t.mu.RUnlock()
	s := &TopicsFile{DataVersion: t.mu.version, TopicConfigTable: make(map[string]*protocol.TopicConfig, len(t.mu.table))}
	for name, e := range t.mu.table {
		s.TopicConfigTable[name] = e.Config()
	}
	return s
}

// version is the table's, which grows with each change.
func (t *Topics) version() protocol.DataVersion {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.mu.version
}

// CreateOnSend makes a topic that a message is sent to, after the template that the producer names (TBW102), as Java's
// createTopicInSendMessageMethod. It returns nil and the reason when there is no template to make it after; auto says that AutoCreateTopic is
// one.
func (t *Topics) CreateOnSend(name, template string, queues int32, auto bool, now int64) (*Topic, error) {
	t.mu.Lock()
	if e := t.mu.table[name]; e != nil {
		t.mu.Unlock()
		return e, nil
	}
	base := t.mu.table[template]
	if base == nil {
		t.mu.Unlock()
		return nil, fmt.Errorf("the default topic %q is not there", template)
	}
	from := base.Config()
	if from.Perm&PermInherit == 0 || (template == message.AutoCreateTopic && !auto) {
		t.mu.Unlock()
		return nil, fmt.Errorf("topics are not made automatically after %q (autoCreateTopicEnable=%t)", template, auto)
	}
	c := NewTopicConfig(name, max(min(queues, from.WriteQueueNums), 0))
	c.Perm = from.Perm &^ PermInherit
	c.TopicFilterType = from.TopicFilterType
	e := t.put(c)
	t.nextVersion(now)
	t.mu.Unlock()
	return e, t.publish()
}

// CreateIfAbsent makes a topic of the broker's own: retry and dead-letter topics.
func (t *Topics) CreateIfAbsent(c *protocol.TopicConfig, now int64) (*Topic, error) {
	if e := t.Get(c.TopicName); e != nil {
		return e, nil
	}
	t.mu.Lock()
	if e := t.mu.table[c.TopicName]; e != nil {
		t.mu.Unlock()
		return e, nil
	}
	e := t.put(c)
	t.nextVersion(now)
	t.mu.Unlock()
	return e, t.publish()
}

// Update sets the configuration of topics that an administrator asks for. Topics that are so already do not count as a
// change.
func (t *Topics) Update(configs []*protocol.TopicConfig, now int64) error {
	t.mu.Lock()
	changed := false
	for _, c := range configs {
		if e := t.mu.table[c.TopicName]; e != nil && sameTopicConfig(e.Config(), c) || t.light && message.IsLightQueue(c.TopicName) {
			continue
		}
		t.put(c)
		changed = true
	}
	if !changed {
		t.mu.Unlock()
		return nil
	}
	t.nextVersion(now)
	t.mu.Unlock()
	return t.publish()
}

// Remove forgets topics, and returns those that there were.
func (t *Topics) Remove(names []string, now int64) (gone []*Topic, err error) {
	t.mu.Lock()
	for _, name := range names {
		if e := t.mu.table[name]; e != nil {
			delete(t.mu.table, name)
			gone = append(gone, e)
		}
	}
	if len(gone) == 0 {
		t.mu.Unlock()
		return nil, nil
	}
	t.nextVersion(now)
	t.mu.Unlock()
	return gone, t.publish()
}

// MarkOrdered notes which topics the name servers hold to be ordered ones.
func (t *Topics) MarkOrdered(names iter.Seq[string], now int64) {
	t.mu.Lock()
	changed := false
	for name := range names {
		e := t.mu.table[name]
		if e == nil || e.Config().Order {
			continue
		}
		c := *e.Config()
		c.Order = true
		e.current.Store(&c)
		changed = true
	}
	if changed {
		t.nextVersion(now)
	}
	t.mu.Unlock()
	if changed {
		t.publish() //nolint:errcheck // it is told again every 30 s
	}
}

func (t *Topics) publish() error {
	err := t.saver.Save()
	t.changed()
	return err
}

func (t *Topics) nextVersion(now int64) {
	t.mu.version.Next(t.epoch, now)
}

// Reign has the table's version bear the epoch of the broker's role, after load: of two brokers that register as master of a
// name, name servers keep to the one with the higher state version.
func (t *Topics) Reign(epoch int32, now int64) {
	t.epoch = int64(epoch)
	if t.mu.version.StateVersion != t.epoch {
		t.nextVersion(now)
	}
}

// IsSystem reports whether the name is a system topic's, which users neither make nor delete.
func (t *Topics) IsSystem(name string) bool {
	return t.system[name] || strings.HasPrefix(name, message.SystemTopicPrefix)
}

// SystemNames are the names of the topics that the broker has of itself.
func (t *Topics) SystemNames() []string { return slices.Sorted(maps.Keys(t.system)) }

// SendForbidden reports whether clients may not send to the topic of that name.
func (t *Topics) SendForbidden(name []byte) bool { return t.noSend[string(name)] }

func sameTopicConfig(a, b *protocol.TopicConfig) bool {
	return a.ReadQueueNums == b.ReadQueueNums && a.WriteQueueNums == b.WriteQueueNums && a.Perm == b.Perm && a.Order == b.Order &&
		a.TopicFilterType == b.TopicFilterType && a.TopicSysFlag == b.TopicSysFlag && maps.Equal(a.Attributes, b.Attributes)
}
