package broker

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/pop"
	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// The strategies by which a broker shares out queues.
const (
	strategyAverage = "AVG"
	strategyCircle  = "AVG_BY_CIRCLE"
)

// routeFresh is how long the route of a topic is believed, routePatience how long a name server may take to give it.
const (
	routeFresh    = 30 * time.Second
	routePatience = 3 * time.Second
	routesMax     = 10000
)

// assigner shares out the queues of a topic among the consumers of a group that let the broker do so, and says whether they
// are to pull or to pop (Java's QueryAssignmentProcessor and MessageRequestModeManager). The modes that administrators set are
// kept in config/messageRequestMode.json.
type assigner struct {
	b     *Broker
	saver *state.Saver

	mu struct {
		sync.Mutex
		modes  map[topicGroup]protocol.SetMessageRequestModeRequestBody
		routes map[string]knownRoute
	}
}

// knownRoute is what a name server said of a topic.
type knownRoute struct {
	queues []protocol.MessageQueue
	at     time.Time
}

func newAssigner(b *Broker, file state.File) *assigner {
	a := &assigner{b: b}
	a.mu.modes = map[topicGroup]protocol.SetMessageRequestModeRequestBody{}
	a.mu.routes = map[string]knownRoute{}
	a.saver = state.NewSaver(file, func() any { return a.snapshot() })
	return a
}

func (a *assigner) load() error {
	file, err := state.Load[protocol.MessageRequestModeSerializeWrapper](a.saver.File)
	if file != nil {
		a.mu.modes = modesOf(file)
	}
	return err
}

func modesOf(file *protocol.MessageRequestModeSerializeWrapper) map[topicGroup]protocol.SetMessageRequestModeRequestBody {
	modes := map[topicGroup]protocol.SetMessageRequestModeRequestBody{}
	for topic, groups := range file.MessageRequestModeMap {
		for group, mode := range groups {
			modes[topicGroup{topic, group}] = mode
		}
	}
	return modes
}

// replace makes the modes those of a slave's master.
func (a *assigner) replace(file *protocol.MessageRequestModeSerializeWrapper) error {
	modes := modesOf(file)
	a.mu.Lock()
	same := maps.Equal(a.mu.modes, modes)
	a.mu.modes = modes
	a.mu.Unlock()
	if same {
		return nil
	}
	return a.saver.Save()
}

func (a *assigner) snapshot() *protocol.MessageRequestModeSerializeWrapper {
	a.mu.Lock()
	defer a.mu.Unlock()
	file := &protocol.MessageRequestModeSerializeWrapper{MessageRequestModeMap: map[string]map[string]protocol.SetMessageRequestModeRequestBody{}}
	for k, mode := range a.mu.modes {
		if file.MessageRequestModeMap[k.topic] == nil {
			file.MessageRequestModeMap[k.topic] = map[string]protocol.SetMessageRequestModeRequestBody{}
		}
		file.MessageRequestModeMap[k.topic][k.group] = mode
	}
	return file
}

// setMode handles SET_MESSAGE_REQUEST_MODE.
func (a *assigner) setMode(c *call) error {
	var mode protocol.SetMessageRequestModeRequestBody
	if err := c.body(&mode); err != nil {
		return err
	}
	switch {
	case strings.HasPrefix(mode.Topic, message.RetryTopicPrefix):
		return refuse(protocol.NoPermission, "retry topic is not allowed to set mode")
	case a.b.topics.Get(mode.Topic) == nil:
		return refuse(protocol.TopicNotExist, "topic[%s] not exist", mode.Topic)
	case mode.Mode != protocol.RequestModePull && mode.Mode != protocol.RequestModePop:
		return refuse(protocol.InvalidParameter, "mode %q is neither PULL nor POP", mode.Mode)
	}
	group, err := a.b.groups.FindOrCreate(mode.ConsumerGroup, a.b.options().AutoCreateSubscriptionGroup, a.b.now().UnixMilli())
	if group == nil {
		return refuse(protocol.SubscriptionGroupNotExist, "subscription group does not exist")
	} else if err != nil {
		a.b.log.Error("group is not on disk", "group", mode.ConsumerGroup, "error", err)
	}
	a.mu.Lock()
	a.mu.modes[topicGroup{mode.Topic, group.GroupName}] = mode
	a.mu.Unlock()
	return a.saver.Save()
}

// modes handles GET_ALL_MESSAGE_REQUEST_MODE.
func (a *assigner) modes(c *call) error { return c.json(a.snapshot()) }

// query handles QUERY_ASSIGNMENT. An answer without assignments leaves the client with those that it has.
func (a *assigner) query(c *call) error {
	var q protocol.QueryAssignmentRequestBody
	if err := c.body(&q); err != nil {
		return err
	}
	mode := a.mode(q.Topic, q.ConsumerGroup)
	queues, ok := a.queuesOf(&q, &mode)
	if !ok {
		return c.json(struct{}{})
	}
	answer := protocol.QueryAssignmentResponseBody{MessageQueueAssignments: []protocol.MessageQueueAssignment{}}
	for _, queue := range queues {
		answer.MessageQueueAssignments = append(answer.MessageQueueAssignments, protocol.MessageQueueAssignment{MessageQueue: queue, Mode: mode.Mode})
	}
	return c.json(&answer)
}

// mode is how the group consumes the topic; a retry topic is pulled.
func (a *assigner) mode(topic, group string) protocol.SetMessageRequestModeRequestBody {
	a.mu.Lock()
	defer a.mu.Unlock()
	if mode, ok := a.mu.modes[topicGroup{topic, group}]; ok {
		return mode
	}
	mode := protocol.SetMessageRequestModeRequestBody{Topic: topic, ConsumerGroup: group, Mode: protocol.RequestModePull}
	if o := a.b.options(); !strings.HasPrefix(topic, message.RetryTopicPrefix) && o.DefaultMessageRequestMode == string(protocol.RequestModePop) {
		mode.Mode, mode.PopShareQueueNum = protocol.RequestModePop, o.DefaultPopShareQueueNum
	}
	return mode
}

// queuesOf are the queues for the client, false when nothing can be said.
func (a *assigner) queuesOf(q *protocol.QueryAssignmentRequestBody, mode *protocol.SetMessageRequestModeRequestBody) ([]protocol.MessageQueue, bool) {
	all := a.route(q.Topic)
	if all == nil {
		return nil, false
	}
	if q.MessageModel == protocol.Broadcasting || !a.b.options().ServerLoadBalancerEnable {
		return all, true
	}
	if q.StrategyName != strategyAverage && q.StrategyName != strategyCircle {
		return nil, false
	}
	group := a.b.consumers.Snapshot(q.ConsumerGroup)
	if group == nil {
		return nil, false
	}
	var clients []string
	for _, member := range group.Members {
		clients = append(clients, member.ID)
	}
	slices.Sort(clients)
	clients = slices.Compact(clients)
	self, known := slices.BinarySearch(clients, q.ClientID)
	if mode.Mode == protocol.RequestModePop {
		return popShare(q.StrategyName, all, len(clients), self, known, int(mode.PopShareQueueNum)), true
	}
	if !known {
		return nil, true
	}
	return share(q.StrategyName, all, len(clients), self), true
}

// popShare is what a client pops from. Popping clients need not have queues of their own: each pops from all of every broker,
// or from its own share and those of the next few clients.
func popShare(strategy string, all []protocol.MessageQueue, clients, self int, known bool, others int) (list []protocol.MessageQueue) {
	if others <= 0 || others >= clients-1 {
		for _, queue := range all {
			queue.QueueID = pop.WholeTopic
			if !slices.Contains(list, queue) {
				list = append(list, queue)
			}
		}
		return list
	}
	if !known {
		return nil
	}
	if clients > len(all) {
		return []protocol.MessageQueue{all[self%len(all)]}
	}
	for i := range others + 1 {
		for _, queue := range share(strategy, all, clients, (self+i)%clients) {
			if !slices.Contains(list, queue) {
				list = append(list, queue)
			}
		}
	}
	return list
}

// share is the part of client number self of so many (Java's AllocateMessageQueueAveragely and -ByCircle).
func share(strategy string, all []protocol.MessageQueue, clients, self int) (list []protocol.MessageQueue) {
	if strategy == strategyCircle {
		for i := self; i < len(all); i += clients {
			list = append(list, all[i])
		}
		return list
	}
	size, more := len(all)/clients, len(all)%clients
	begin := self*size + min(self, more)
	if self < more {
		size++
	}
	return all[begin:min(begin+size, len(all))]
}

// route returns all queues of the topic that can be read, in order: those of all brokers, as a name server knows them, else
// ours.
func (a *assigner) route(topic string) []protocol.MessageQueue {
	if t := a.b.topics.Get(topic); t != nil && t.Light {
		return a.ownQueues(topic) // the name servers do not know it
	}
	now := a.b.now()
	a.mu.Lock()
	known := a.mu.routes[topic]
	a.mu.Unlock()
	if known.queues != nil && now.Sub(known.at) < routeFresh {
		return known.queues
	}
	queues, err := a.askRoute(topic)
	if err != nil {
		a.b.log.Debug("no route from the name servers", "topic", topic, "error", err)
		if queues = known.queues; queues == nil {
			return a.ownQueues(topic)
		}
	}
	a.mu.Lock()
	if len(a.mu.routes) >= routesMax {
		clear(a.mu.routes)
	}
	a.mu.routes[strings.Clone(topic)] = knownRoute{queues, now}
	a.mu.Unlock()
	return queues
}

func (a *assigner) ownQueues(topic string) (list []protocol.MessageQueue) {
	t := a.b.topics.Get(topic)
	if t == nil || !t.Readable() {
		return nil
	}
	for queue := range t.Config().ReadQueueNums {
		list = append(list, protocol.MessageQueue{Topic: topic, BrokerName: a.b.options().BrokerName, QueueID: queue})
	}
	return list
}

// askRoute asks one name server after the other.
func (a *assigner) askRoute(topic string) ([]protocol.MessageQueue, error) {
	last := errors.New("no name server is configured")
	for _, address := range a.b.options().NameServers() {
		ctx, cancel := context.WithTimeout(a.b.registrar.ctx, routePatience)
		req := remoting.NewRequest(protocol.GetRouteInfoByTopic)
		req.Fields.Add("topic", topic)
		resp, err := a.b.registrar.client.Call(ctx, address, req)
		cancel()
		switch {
		case err != nil:
			last = err
			continue
		case resp.ResponseCode() != protocol.Success:
			last = &refusal{resp.ResponseCode(), resp.Remark}
			continue
		}
		var route protocol.TopicRouteData
		if err := protocol.UnmarshalJSON(resp.Body, &route); err != nil {
			last = err
			continue
		}
		return readable(topic, &route), nil
	}
	return nil, last
}

// readable are the queues of a route that can be read, in Java's order of queues.
func readable(topic string, route *protocol.TopicRouteData) (list []protocol.MessageQueue) {
	for _, data := range route.QueueDatas {
		if data.Perm&metadata.PermRead == 0 {
			continue
		}
		for queue := range data.ReadQueueNums {
			list = append(list, protocol.MessageQueue{Topic: topic, BrokerName: data.BrokerName, QueueID: queue})
		}
	}
	slices.SortFunc(list, func(a, b protocol.MessageQueue) int {
		return cmp.Or(cmp.Compare(a.BrokerName, b.BrokerName), cmp.Compare(a.QueueID, b.QueueID))
	})
	return list
}
