package broker

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/stats"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// pageMax is the number of topics or groups of one page, for clients that ask for pages (splitMetadataSize).
const pageMax = 2000

// updateTopic makes or changes a topic for an administrator.
func (b *Broker) updateTopic(c *call) error {
	var h protocol.CreateTopicRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	config, err := b.checkedTopic(&protocol.TopicConfig{
		TopicName: h.Topic, ReadQueueNums: h.ReadQueueNums, WriteQueueNums: h.WriteQueueNums, Perm: h.Perm,
		TopicFilterType: h.TopicFilterType, TopicSysFlag: h.TopicSysFlag.Or(0), Order: h.Order,
	}, parseAttributes(h.Attributes))
	if err != nil {
		return err
	}
	return b.updateTopics(c, config)
}

// updateTopicList does the same for a list of topics.
func (b *Broker) updateTopicList(c *call) error {
	var body struct {
		TopicConfigList []protocol.TopicConfig `json:"topicConfigList"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	var list []*protocol.TopicConfig
	for i := range body.TopicConfigList {
		config, err := b.checkedTopic(&body.TopicConfigList[i], body.TopicConfigList[i].Attributes)
		if err != nil {
			return err
		}
		list = append(list, config)
	}
	return b.updateTopics(c, list...)
}

// updateTopics returns when the topics are on disk and the name servers know them, as far as these can be reached soon.
func (b *Broker) updateTopics(c *call, list ...*protocol.TopicConfig) error {
	if err := b.topics.Update(list, b.now().UnixMilli()); err != nil {
		return fmt.Errorf("the topic is not on disk: %w", err)
	}
	for _, config := range list {
		b.log.Info("topic is set", "topic", config.TopicName, "config", describeTopic(config), "by", c.conn.RemoteAddr())
	}
	b.registrar.tell(tellPatience)
	return nil
}

// checkedTopic is the configuration asked for with the attributes changed as asked, or what is wrong with it.
func (b *Broker) checkedTopic(config *protocol.TopicConfig, changes map[string]string) (*protocol.TopicConfig, error) {
	if fault := metadata.TopicNameFault(config.TopicName); fault != "" {
		return nil, refuse(protocol.InvalidParameter, "%s", fault)
	}
	if b.options().ValidateSystemTopicWhenUpdate && b.topics.IsSystem(config.TopicName) {
		return nil, refuse(protocol.InvalidParameter, "The topic[%s] is conflict with system topic.", config.TopicName)
	}
	if config.ReadQueueNums < 0 || config.WriteQueueNums < 0 {
		return nil, refuse(protocol.InvalidParameter, "readQueueNums %d and writeQueueNums %d must not be negative", config.ReadQueueNums, config.WriteQueueNums)
	}
	if config.TopicFilterType == "" {
		config.TopicFilterType = protocol.FilterSingleTag
	}
	var present map[string]string
	old := b.topics.Get(config.TopicName)
	if old != nil {
		present = old.Config().Attributes
	}
	attributes, err := alterAttributes(topicAttributes, old == nil, present, changes)
	if err != nil {
		return nil, refuse(protocol.SystemError, "%v", err)
	}
	config.Attributes = attributes
	return config, nil
}

// parseAttributes reads changes of attributes, "+message.type=FIFO,-reserve.time".
func parseAttributes(text string) map[string]string {
	changes := map[string]string{}
	for change := range strings.SplitSeq(text, ",") {
		if change = strings.TrimSpace(change); change != "" {
			key, value, _ := strings.Cut(change, "=")
			changes[key] = value
		}
	}
	return changes
}

// An attribute is one that topics or groups may have (Java's TopicAttributes and SubscriptionGroupAttributes).
type attribute struct {
	fixed  bool     // not changed once the topic is there
	values []string // those allowed; none: a number
	most   int64    // of a number, from 0; zero: from -1, without an end
}

var topicAttributes = map[string]attribute{
	"queue.type":     {fixed: true, values: []string{"SimpleCQ"}},
	"cleanup.policy": {fixed: true, values: []string{"DELETE"}},
	"message.type":   {values: []string{"UNSPECIFIED", "NORMAL", "FIFO", "DELAY", "TRANSACTION", "PRIORITY", "MIXED"}},
	"reserve.time":   {},
}

// alterAttributes applies changes, whose keys start with + or -, to the attributes that a topic or a group has.
func alterAttributes(known map[string]attribute, create bool, present, changes map[string]string) (map[string]string, error) {
	result := maps.Clone(present)
	if result == nil {
		result = map[string]string{}
	}
	for key, value := range changes {
		if len(key) < 2 || key[0] != '+' && key[0] != '-' {
			return nil, fmt.Errorf("wrong format key: %s", key)
		}
		name, add := key[1:], key[0] == '+'
		a, there := known[name]
		old, had := present[name]
		switch {
		case !there:
			return nil, fmt.Errorf("unsupported key: %s", name)
		case create && !add:
			return nil, fmt.Errorf("only add attribute is supported while creating topic. key: %s", name)
		case !add && !had:
			return nil, fmt.Errorf("attempt to delete a nonexistent key: %s", name)
		case a.fixed && !create && !(add && old == value):
			return nil, fmt.Errorf("attempt to update an unchangeable attribute. key: %s", name)
		case !add:
			delete(result, name)
			continue
		}
		if err := a.check(name, value); err != nil {
			return nil, err
		}
		result[name] = value
	}
	return result, nil
}

func (a attribute) check(name, value string) error {
	if len(a.values) > 0 {
		if !slices.Contains(a.values, value) {
			return fmt.Errorf("value %q of attribute %s is not in %v", value, name, a.values)
		}
		return nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if a.most > 0 && (err != nil || n < 0 || n > a.most) {
		return fmt.Errorf("value %q of attribute %s is not between 0 and %d", value, name, a.most)
	}
	if err != nil || n < -1 {
		return fmt.Errorf("value %q of attribute %s is no number from -1", value, name)
	}
	return nil
}

// deleteTopic deletes a topic with its queues and offsets. Its messages stay in the log until they expire.
func (b *Broker) deleteTopic(c *call) error {
	var h protocol.DeleteTopicRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	switch {
	case strings.TrimSpace(h.Topic) == "":
		return refuse(protocol.InvalidParameter, "The specified topic is blank.")
	case b.options().ValidateSystemTopicWhenUpdate && b.topics.IsSystem(h.Topic):
		return refuse(protocol.InvalidParameter, "The topic[%s] is conflict with system topic.", h.Topic)
	}
	names := []string{h.Topic}
	if b.options().ClearRetryTopicWhenDeleteTopic {
		for _, group := range b.offsets.GroupsOf(h.Topic) {
			for _, separator := range []string{"_", "+"} { // the retry topics of pop consumption, of both versions
				if name := message.RetryTopic(group) + separator + h.Topic; b.topics.Get(name) != nil {
					names = append(names, name)
				}
			}
		}
	}
	gone, err := b.topics.Remove(names, b.now().UnixMilli())
	if err != nil {
		return fmt.Errorf("the deletion is not on disk: %w", err)
	}
	for _, t := range gone {
		if err := t.Retire(deletePatience); err != nil {
			return err
		}
	}
	if err := b.awaitDispatch(deletePatience); err != nil {
		return err
	}
	for _, name := range names {
		b.offsets.Forget(func(topic, _ string) bool { return topic == name })
		b.stats.Forget(func(topic, _ string) bool { return topic == name })
		if err := b.store.DeleteTopic(name); err != nil {
			return err
		}
		b.log.Info("topic is deleted", "topic", name, "by", c.conn.RemoteAddr())
	}
	return nil
}

// deletePatience bounds how long the deletion of a topic waits for puts and for the dispatch.
const deletePatience = 3 * time.Second

// awaitDispatch waits until all that is in the log now is in its queues: a deleted queue must not come back by what is
// dispatched later.
func (b *Broker) awaitDispatch(patience time.Duration) error {
	end := b.store.MaxPhyOffset()
	for wait := time.Duration(0); b.store.ReputOffset() < end; wait += time.Millisecond {
		if wait > patience {
			return fmt.Errorf("the dispatch is %d bytes behind: try again", end-b.store.ReputOffset())
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

func (b *Broker) topicConfig(c *call) error {
	var h protocol.GetTopicConfigRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	t := b.topics.Get(h.Topic)
	if t == nil {
		return refuse(protocol.TopicNotExist, "No topic in this broker. topic: %s", h.Topic)
	}
	return c.json(t.Config())
}

// allTopicConfigs answers with all topics, or with a page of them.
func (b *Broker) allTopicConfigs(c *call) error {
	var h protocol.GetAllTopicConfigRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	file := b.topics.Snapshot()
	c.resp.Fields.AddInt("totalTopicNum", int64(len(file.TopicConfigTable)))
	var body protocol.TopicConfigAndMappingSerializeWrapper
	body.DataVersion, body.MappingDataVersion = file.DataVersion, file.DataVersion
	body.TopicConfigTable = map[string]protocol.TopicConfig{}
	for _, name := range page(slices.Sorted(maps.Keys(file.TopicConfigTable)), h.TopicSeq, h.MaxTopicNum, h.DataVersion, file.DataVersion) {
		body.TopicConfigTable[name] = *file.TopicConfigTable[name]
	}
	return c.json(&body)
}

// page is the part of a sorted list that a request for a page asks for. One that follows a page of other times starts over.
func page(names []string, from int32, most protocol.Optional[int32], asked string, version protocol.DataVersion) []string {
	if !most.Present && from == 0 {
		return names
	}
	var v protocol.DataVersion
	if protocol.UnmarshalJSON([]byte(asked), &v) == nil && v != version {
		from = 0
	}
	from = min(max(from, 0), int32(len(names)))
	return names[from:min(int(from)+min(int(max(most.Or(pageMax), 0)), pageMax), len(names))]
}

func (b *Broker) topicStats(c *call) error {
	var h protocol.GetTopicStatsInfoRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	t := b.topics.Get(h.Topic)
	if t == nil {
		return refuse(protocol.TopicNotExist, "topic[%s] not exist", h.Topic)
	}
	config := t.Config()
	body := protocol.TopicStatsTable{OffsetTable: map[protocol.MessageQueue]protocol.TopicOffset{}}
	for queue := range max(config.ReadQueueNums, config.WriteQueueNums) {
		first, last := int64(b.store.MinOffset(h.Topic, queue)), int64(b.store.MaxOffset(h.Topic, queue))
		offset := protocol.TopicOffset{MinOffset: first, MaxOffset: last}
		if last > 0 {
			offset.LastUpdateTimestamp = max(b.storeTime(h.Topic, queue, last-1), 0)
		}
		body.OffsetTable[b.messageQueue(h.Topic, queue)] = offset
	}
	minute, _, _, _ := b.stats.Windows(stats.TopicPutNums, h.Topic, b.topics.PutsTo, b.now().UnixMilli())
	body.TopicPutTps = minute.PerSecond()
	return c.json(&body)
}

// groupsOfTopic answers with who consumes a topic: groups online, and groups with offsets in it.
func (b *Broker) groupsOfTopic(c *call) error {
	var h protocol.QueryTopicConsumeByWhoRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	groups := append(b.consumers.GroupsOf(h.Topic), b.offsets.GroupsOf(h.Topic)...)
	slices.Sort(groups)
	return c.json(&protocol.GroupList{GroupList: slices.Compact(groups)})
}

func (b *Broker) systemTopicList(c *call) error {
	return c.json(&protocol.TopicList{TopicList: b.topics.SystemNames()})
}

// cleanUnusedTopics deletes the queues of topics that the broker does not know (any more).
func (b *Broker) cleanUnusedTopics(c *call) error {
	for _, name := range b.store.Topics() {
		if b.topics.Get(name) != nil || b.topics.IsSystem(name) || strings.HasPrefix(name, message.LMQPrefix) {
			continue
		}
		if err := b.store.DeleteTopic(name); err != nil {
			return err
		}
		b.log.Info("queues of an unknown topic are deleted", "topic", name, "by", c.conn.RemoteAddr())
	}
	return nil
}

// clean has the store delete what is due.
func (b *Broker) clean(*call) error { return b.store.Clean() }
