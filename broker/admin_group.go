package broker

import (
	"fmt"
	"maps"
	"slices"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// groupAttributes are those that consumer groups may have.
var groupAttributes = map[string]attribute{"priority.factor": {most: 100}}

// updateGroup makes or changes a consumer group for an administrator.
func (b *Broker) updateGroup(c *call) error {
	config := protocol.NewSubscriptionGroupConfig("")
	if err := c.body(config); err != nil {
		return err
	}
	return b.updateGroups(c, config)
}

// updateGroupList does the same for a list of groups.
func (b *Broker) updateGroupList(c *call) error {
	var body struct {
		GroupConfigList []*metadata.GroupEntry `json:"groupConfigList"`
	}
	if err := c.body(&body); err != nil {
		return err
	}
	var list []*protocol.SubscriptionGroupConfig
	for _, entry := range body.GroupConfigList {
		if entry != nil {
			list = append(list, (*protocol.SubscriptionGroupConfig)(entry))
		}
	}
	return b.updateGroups(c, list...)
}

func (b *Broker) updateGroups(c *call, list ...*protocol.SubscriptionGroupConfig) error {
	for _, config := range list {
		if fault := metadata.GroupNameFault(config.GroupName); fault != "" {
			return refuse(protocol.InvalidParameter, "%s", fault)
		}
		old := b.groups.Get(config.GroupName)
		var present map[string]string
		if old != nil {
			present = old.Attributes
		}
		attributes, err := alterAttributes(groupAttributes, old == nil, present, config.Attributes)
		if err != nil {
			return refuse(protocol.SystemError, "%v", err)
		}
		config.Attributes = attributes
	}
	if err := b.groups.Update(list, b.now().UnixMilli()); err != nil {
		return fmt.Errorf("the group is not on disk: %w", err)
	}
	for _, config := range list {
		b.log.Info("group is set", "group", config.GroupName, "by", c.conn.RemoteAddr())
	}
	return nil
}

func (b *Broker) deleteGroup(c *call) error {
	var h protocol.DeleteSubscriptionGroupRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	if err := b.groups.Remove(h.GroupName, b.now().UnixMilli()); err != nil {
		return fmt.Errorf("the deletion is not on disk: %w", err)
	}
	b.filters.Remove(h.GroupName)
	if h.CleanOffset {
		b.offsets.Forget(func(_, group string) bool { return group == h.GroupName })
		b.stats.Forget(func(_, group string) bool { return group == h.GroupName })
	}
	b.log.Info("group is deleted", "group", h.GroupName, "offsets", h.CleanOffset, "by", c.conn.RemoteAddr())
	return nil
}

// groupConfig answers with a group's configuration. As in Java, asking for it makes it where groups are made by use.
func (b *Broker) groupConfig(c *call) error {
	var h protocol.GetSubscriptionGroupConfigRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	config, err := b.groups.FindOrCreate(h.Group, b.options().AutoCreateSubscriptionGroup, b.now().UnixMilli())
	if config == nil {
		return refuse(protocol.SubscriptionGroupNotExist, "No group in this broker. group: %s", h.Group)
	}
	if err != nil {
		return err
	}
	return c.json(config)
}

// allGroupConfigs answers with all groups, or with a page of them.
func (b *Broker) allGroupConfigs(c *call) error {
	var h protocol.GetAllSubscriptionGroupRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	file := b.groups.Snapshot()
	c.resp.Fields.AddInt("totalGroupNum", int64(len(file.SubscriptionGroupTable)))
	body := metadata.GroupsFile{DataVersion: file.DataVersion, ForbiddenTable: file.ForbiddenTable, SubscriptionGroupTable: map[string]*metadata.GroupEntry{}}
	for _, name := range page(slices.Sorted(maps.Keys(file.SubscriptionGroupTable)), h.GroupSeq, h.MaxGroupNum, h.DataVersion, file.DataVersion) {
		body.SubscriptionGroupTable[name] = file.SubscriptionGroupTable[name]
	}
	return c.json(&body)
}

func (b *Broker) topicsOfGroup(c *call) error {
	var h protocol.QueryTopicsByConsumerRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	list := b.offsets.TopicsOf(h.Group)
	if list == nil {
		list = []string{}
	}
	return c.json(&protocol.TopicList{TopicList: list, BrokerAddr: b.Addr()})
}

func (b *Broker) subscriptionOfGroup(c *call) error {
	var h protocol.QuerySubscriptionByConsumerRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	body := protocol.QuerySubscriptionResponseBody{Group: h.Group, Topic: h.Topic}
	if s := b.consumers.SubscriptionOf(h.Group, h.Topic); s != nil {
		body.SubscriptionData = &s.Data
	}
	return c.json(&body)
}

// forbidTopic takes a topic from a group's readers or gives it back, and answers with how it is.
func (b *Broker) forbidTopic(c *call) error {
	var h protocol.UpdateGroupForbiddenRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	if h.Readable.Present {
		if err := b.groups.Forbid(h.Group, h.Topic, h.Readable.Value, b.now().UnixMilli()); err != nil {
			return err
		}
	}
	return c.json(&protocol.GroupForbidden{Group: h.Group, Topic: h.Topic, Readable: !b.groups.ReadForbidden(h.Group, h.Topic)})
}
