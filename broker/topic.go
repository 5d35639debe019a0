package broker

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/broker/stats"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// Permission bits of a topic and of a broker (Java's PermName).
const (
	permInherit = 1 << 0
	permWrite   = 1 << 1
	permRead    = 1 << 2
)

// Lengths that Java's TopicValidator and the store allow.
const (
	topicNameMax      = 127
	retryTopicNameMax = 255
	groupNameMax      = 120
)

// Queues of topics that the broker makes itself.
const (
	scheduleQueues = 18
	reviveQueues   = 8
	dlqQueues      = 1
)

// A topic is one topic of this broker. Its identity is kept for as long as the topic exists, so that handlers may hold
// its name (one string for all messages) and its counters.
type topic struct {
	name   string
	config atomic.Pointer[protocol.TopicConfig] // never changed in place

	puts stats.Traffic

	// light says that the topic is a light queue's, made for one request.
	light bool
	// static says that its queues are numbered by a mapping of Java's brokers, which is not followed here.
	static bool

	appending atomic.Int64 // puts between enter and leave
	deleted   atomic.Bool
}

// enter begins a put to the topic, unless it is deleted; leave ends it, once the store has given the message its place.
// A deletion waits for those between, since the store must not see both at once.
func (t *topic) enter() bool {
	t.appending.Add(1)
	if t.deleted.Load() {
		t.appending.Add(-1)
		return false
	}
	return true
}

func (t *topic) leave() { t.appending.Add(-1) }

// errStillInUse says that a topic is not deleted because puts to it do not end.
var errStillInUse = errors.New("messages are still being put to it")

// retire lets no further put begin and waits for those under way.
func (t *topic) retire(patience time.Duration) error {
	t.deleted.Store(true)
	for wait := time.Duration(0); t.appending.Load() > 0; wait += time.Millisecond {
		if wait > patience {
			return fmt.Errorf("topic %s: %w", t.name, errStillInUse)
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

func (t *topic) readable() bool  { return t.config.Load().Perm&permRead != 0 && !t.static }
func (t *topic) writeable() bool { return t.config.Load().Perm&permWrite != 0 && !t.static }

// topicTable is the table of topics (Java's TopicConfigManager), kept in config/topics.json. Readers find a topic
// without allocating; changes are durable when the method that makes them returns.
type topicTable struct {
	saver   *state.Saver
	light   bool            // there are light queues: their topics are there without being in the table
	system  map[string]bool // fixed once made
	noSend  map[string]bool // fixed once made
	static  map[string]bool // fixed once loaded
	changed func()          // called after each change, without lock
	epoch   int64           // of the broker's role, which goes into each version; fixed once loaded; 0 without auto-switch HA

	mappings state.File // of static topics; written by Java's brokers only

	mu struct {
		sync.RWMutex
		table   map[string]*topic
		version protocol.DataVersion
	}
}

// topicsFile is the shape of topics.json.
type topicsFile struct {
	DataVersion      protocol.DataVersion             `json:"dataVersion"`
	TopicConfigTable map[string]*protocol.TopicConfig `json:"topicConfigTable"`
}

func newTopicTable(file state.File, o *Options, now int64) *topicTable {
	t := &topicTable{changed: func() {}, light: o.EnableLmq}
	t.mu.table = map[string]*topic{}
	t.mu.version.Timestamp = now
	t.saver = state.NewSaver(file, func() any { return t.snapshot() })
	t.noSend = map[string]bool{
		message.ScheduleTopic: true, message.HalfTopic: true, message.OpHalfTopic: true, message.TransCheckMaxTopic: true, message.SelfTestTopic: true, message.OffsetMovedTopic: true,
	}
	t.system = map[string]bool{message.TransCheckMaxTopic: true, message.AutoCreateTopic: true}
	for _, c := range systemTopics(o) {
		t.system[c.TopicName] = true
		t.put(c)
	}
	return t
}

// systemTopics are the topics that a broker makes at its first start, as TopicConfigManager.init does.
func systemTopics(o *Options) []*protocol.TopicConfig {
	config := func(name string, queues int32, perm int32) *protocol.TopicConfig {
		c := newTopicConfig(name, queues)
		c.Perm = perm
		return c
	}
	whenEnabled := func(on bool) int32 {
		if on {
			return permInherit | permRead | permWrite
		}
		return permInherit
	}
	const rw = permRead | permWrite
	list := []*protocol.TopicConfig{
		config(message.SelfTestTopic, 1, rw),
		config(message.BenchmarkTopic, 1024, rw),
		config(o.BrokerClusterName, 16, whenEnabled(o.ClusterTopicEnable)),
		config(o.BrokerName, 1, whenEnabled(o.BrokerTopicEnable)),
		config(message.OffsetMovedTopic, 1, rw),
		config(message.ScheduleTopic, scheduleQueues, rw),
		config(o.BrokerClusterName+"_"+message.ReplyTopicPostfix, 1, rw),
		config(message.ReviveTopicPrefix+o.BrokerClusterName, reviveQueues, rw),
		config(message.SyncMemberPrefix+o.BrokerName, 1, permInherit),
		config(message.HalfTopic, 1, rw),
		config(message.OpHalfTopic, 1, rw),
		config(message.TimerTopic, 1, rw),
	}
	if o.AutoCreateTopicEnable {
		list = append(list, config(message.AutoCreateTopic, o.DefaultTopicQueueNums, rw|permInherit))
	}
	if o.TraceTopicEnable {
		list = append(list, config(o.MsgTraceTopicName, 1, rw))
	}
	return list
}

func newTopicConfig(name string, queues int32) *protocol.TopicConfig {
	return &protocol.TopicConfig{
		TopicName:       name,
		ReadQueueNums:   queues,
		WriteQueueNums:  queues,
		Perm:            permRead | permWrite,
		TopicFilterType: protocol.FilterSingleTag,
	}
}

// staticTopicsFile is what of Java's topicQueueMapping.json counts here.
type staticTopicsFile struct {
	Mappings map[string]*protocol.TopicQueueMappingDetail `json:"topicQueueMappingInfoMap"`
}

// loadStatic reads which topics are static, before load: they are neither written nor read, as the queues and offsets that
// clients have of them are not those of this store.
func (t *topicTable) loadStatic() error {
	mappings, err := state.Load[staticTopicsFile](t.mappings)
	if mappings != nil {
		t.static = map[string]bool{}
		for name := range mappings.Mappings {
			t.static[name] = true
		}
	}
	return err
}

// load adds what the file has. What is in the file wins over the system topics made before.
func (t *topicTable) load() error {
	file, err := state.Load[topicsFile](t.saver.File)
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
func (t *topicTable) put(c *protocol.TopicConfig) *topic {
	e := t.mu.table[c.TopicName]
	if e == nil {
		e = &topic{name: strings.Clone(c.TopicName), static: t.static[c.TopicName]}
		t.mu.table[e.name] = e
	}
	e.config.Store(c)
	return e
}

// find returns the topic of that name, or nil. It allocates nothing.
func (t *topicTable) find(name []byte) *topic {
	t.mu.RLock()
	e := t.mu.table[string(name)]
	t.mu.RUnlock()
	if e == nil && t.light && message.IsLightQueue(name) {
		return newLightTopic(string(name))
	}
	return e
}

func (t *topicTable) get(name string) *topic {
	t.mu.RLock()
	e := t.mu.table[name]
	t.mu.RUnlock()
	if e == nil && t.light && message.IsLightQueue(name) {
		return newLightTopic(name)
	}
	return e
}

// newLightTopic makes the topic of a light queue, as Java's LmqTopicConfigManager does: no table has it, no name server is
// told of it.
func newLightTopic(name string) *topic {
	e := &topic{name: strings.Clone(name), light: true}
	e.config.Store(newTopicConfig(e.name, 1))
	return e
}

// still tells whether a topic that was found before is there yet.
func (t *topicTable) still(e *topic) bool {
	now := t.get(e.name)
	return now == e || now != nil && now.light && e.light
}

// destination is the topic that a message is put to: its own, or the one that its way leads over.
func (t *topicTable) destination(own *topic, name string) *topic {
	if own.name == name {
		return own
	}
	if e := t.get(name); e != nil {
		return e
	}
	return own
}

// list returns all topics in the order of their names.
func (t *topicTable) list() []*topic {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.SortedFunc(maps.Values(t.mu.table), func(a, b *topic) int { return cmp.Compare(a.name, b.name) })
}

// puts are the counters of what was put to each topic, putsTo those of one, nil if there is no such topic.
func (t *topicTable) puts() iter.Seq[*stats.Traffic] {
	return func(yield func(*stats.Traffic) bool) {
		for _, e := range t.list() {
			if !yield(&e.puts) {
				return
			}
		}
	}
}

func (t *topicTable) putsTo(name string) *stats.Traffic {
	if e := t.get(name); e != nil {
		return &e.puts
	}
	return nil
}

func (t *topicTable) snapshot() *topicsFile {
	t.mu.RLock()
	defer t.mu.RUnlock()
	s := &topicsFile{DataVersion: t.mu.version, TopicConfigTable: make(map[string]*protocol.TopicConfig, len(t.mu.table))}
	for name, e := range t.mu.table {
		s.TopicConfigTable[name] = e.config.Load()
	}
	return s
}

func (t *topicTable) version() protocol.DataVersion {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.mu.version
}

// createOnSend makes a topic that a message is sent to, after the template that the producer names (TBW102), as Java's
// createTopicInSendMessageMethod. It returns nil and the reason when there is no template to make it after.
func (t *topicTable) createOnSend(name, template string, queues int32, o *Options, now int64) (*topic, error) {
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
	from := base.config.Load()
	if from.Perm&permInherit == 0 || (template == message.AutoCreateTopic && !o.AutoCreateTopicEnable) {
		t.mu.Unlock()
		return nil, fmt.Errorf("topics are not made automatically after %q (autoCreateTopicEnable=%t)", template, o.AutoCreateTopicEnable)
	}
	c := newTopicConfig(name, max(min(queues, from.WriteQueueNums), 0))
	c.Perm = from.Perm &^ permInherit
	c.TopicFilterType = from.TopicFilterType
	e := t.put(c)
	t.nextVersion(now)
	t.mu.Unlock()
	return e, t.publish()
}

// createIfAbsent makes a topic of the broker's own: retry and dead-letter topics.
func (t *topicTable) createIfAbsent(c *protocol.TopicConfig, now int64) (*topic, error) {
	if e := t.get(c.TopicName); e != nil {
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

// update sets the configuration of topics that an administrator asks for. Topics that are so already do not count as a
// change.
func (t *topicTable) update(configs []*protocol.TopicConfig, now int64) error {
	t.mu.Lock()
	changed := false
	for _, c := range configs {
		if e := t.mu.table[c.TopicName]; e != nil && sameTopicConfig(e.config.Load(), c) || t.light && message.IsLightQueue(c.TopicName) {
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

// remove forgets topics, and returns those that there were.
func (t *topicTable) remove(names []string, now int64) (gone []*topic, err error) {
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

// markOrdered notes which topics the name servers hold to be ordered ones.
func (t *topicTable) markOrdered(names iter.Seq[string], now int64) {
	t.mu.Lock()
	changed := false
	for name := range names {
		e := t.mu.table[name]
		if e == nil || e.config.Load().Order {
			continue
		}
		c := *e.config.Load()
		c.Order = true
		e.config.Store(&c)
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

func (t *topicTable) publish() error {
	err := t.saver.Save()
	t.changed()
	return err
}

func (t *topicTable) nextVersion(now int64) {
	t.mu.version.Next(t.epoch, now)
}

// reign has the table's version bear the epoch of the broker's role, after load: of two brokers that register as master of a
// name, name servers keep to the one with the higher state version.
func (t *topicTable) reign(epoch int32, now int64) {
	t.epoch = int64(epoch)
	if t.mu.version.StateVersion != t.epoch {
		t.nextVersion(now)
	}
}

// isSystem reports whether the name is a system topic's, which users neither make nor delete.
func (t *topicTable) isSystem(name string) bool {
	return t.system[name] || strings.HasPrefix(name, message.SystemTopicPrefix)
}

func (t *topicTable) systemNames() []string { return slices.Sorted(maps.Keys(t.system)) }

// sendForbidden reports whether clients may not send to the topic of that name.
func (t *topicTable) sendForbidden(name []byte) bool { return t.noSend[string(name)] }

func sameTopicConfig(a, b *protocol.TopicConfig) bool {
	return a.ReadQueueNums == b.ReadQueueNums && a.WriteQueueNums == b.WriteQueueNums && a.Perm == b.Perm && a.Order == b.Order &&
		a.TopicFilterType == b.TopicFilterType && a.TopicSysFlag == b.TopicSysFlag && maps.Equal(a.Attributes, b.Attributes)
}

// topicNameFault says what is wrong with the name of a topic, in words for a client; nothing is the empty text.
func topicNameFault[S string | []byte](name S) string {
	switch {
	case strings.TrimSpace(string(name)) == "":
		return "The specified topic is blank."
	case !plainName(name):
		return fmt.Sprintf("The specified topic: %s, contains illegal characters, allowing only ^[%%|a-zA-Z0-9_-]+$", string(name))
	}
	longest := topicNameMax
	if strings.HasPrefix(string(name), message.RetryTopicPrefix) || strings.HasPrefix(string(name), message.DLQTopicPrefix) {
		longest = retryTopicNameMax
	}
	if len(name) > longest {
		return fmt.Sprintf("The specified topic is longer than topic max length %d: it has %d.", longest, len(name))
	}
	return ""
}

// groupNameFault says what is wrong with the name of a group, in words for a client; nothing is the empty text.
func groupNameFault(name string) string {
	switch {
	case strings.TrimSpace(name) == "":
		return "The specified group is blank."
	case !plainName(name):
		return fmt.Sprintf("The specified group: %s, contains illegal characters, allowing only ^[%%|a-zA-Z0-9_-]+$", name)
	case len(name) > groupNameMax:
		return fmt.Sprintf("The specified group is longer than group max length %d: it has %d.", groupNameMax, len(name))
	}
	return ""
}

// plainName reports whether every byte is one that names of topics and groups may have.
func plainName[S string | []byte](name S) bool {
	for i := range len(name) {
		if !plainByte[name[i]] {
			return false
		}
	}
	return true
}

var plainByte = func() (t [256]bool) {
	for _, c := range []byte("%|abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") {
		t[c] = true
	}
	return t
}()
