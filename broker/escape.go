package broker

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

const (
	escapeTimeout = 3 * time.Second  // for one message to be taken, as Java's SEND_TIMEOUT
	escapeRoute   = 30 * time.Second // for which a route is believed
	escapeMax     = 64               // messages under way
)

// An escape puts messages of a slave's to other masters of their topic, since its own is gone (Java's EscapeBridge).
type escape struct {
	b     *Broker
	slots chan struct{}
	done  sync.WaitGroup

	mu struct {
		sync.Mutex
		routes map[string]*escapeTargets
	}
}

// escapeTargets are the queues of other masters that a topic has, in order, and whose turn it is.
type escapeTargets struct {
	queues []escapeQueue
	next   int
	until  time.Time
}

type escapeQueue struct {
	broker, addr string
	id           int32
}

// A post is a message on its way to another master.
type post struct {
	topic  string
	header protocol.SendMessageRequestHeader
	body   []byte
	queue  func(context.Context) (escapeQueue, error) // where it is to go
}

func newEscape(b *Broker) *escape {
	e := &escape{b: b, slots: make(chan struct{}, escapeMax)}
	e.mu.routes = map[string]*escapeTargets{}
	return e
}

// put sends a message of which nothing is used once put returns.
func (e *escape) put(m *message.Message, done engine.Completion) {
	p := e.post(m)
	p.body = bytes.Clone(m.Body)
	if p.topic == e.b.popper.log.topic {
		e.b.popper.log.route(p, m)
	}
	e.done.Go(func() { done.PutDone(e.send(p)) })
}

// post is a message as it is sent, to any queue of its topic. It has the message's body.
func (e *escape) post(m *message.Message) *post {
	topic, properties := escaped(m)
	return &post{
		topic: topic, body: m.Body,
		header: protocol.SendMessageRequestHeader{
			ProducerGroup: producerOf(m, e.b.options()), Topic: []byte(topic), DefaultTopic: []byte(message.AutoCreateTopic), DefaultTopicQueueNums: 4,
			SysFlag: int32(m.SysFlag), BornTimestamp: m.BornTimestamp, Flag: m.Flag, Properties: properties,
			ReconsumeTimes: protocol.Some(m.ReconsumeTimes),
		},
		queue: func(ctx context.Context) (escapeQueue, error) { return e.turn(ctx, topic) },
	}
}

// close waits for what is under way.
func (e *escape) close() { e.done.Wait() }

// escaped is where a message goes, and with which properties: those by which it waited would have it wait again. One that
// goes round in the timer wheel is sent as what it is at last. A half message is one elsewhere, and waits as it did.
func escaped(m *message.Message) (topic string, p message.Properties) {
	topic, p = m.Topic, bytes.Clone(m.Properties)
	if m.SysFlag.Transaction() == message.TransactionPrepared {
		return topic, p
	}
	due := ""
	if topic == message.TimerTopic {
		real, _ := p.Get(message.PropertyRealTopic)
		out, _ := p.Get(message.PropertyTimerOutTime)
		topic, due = string(real), string(out)
	}
	for _, name := range []string{
		message.PropertyDelayLevel, message.PropertyTimerDelaySeconds, message.PropertyTimerDelayMilliseconds, message.PropertyTimerDeliverTime,
		message.PropertyTimerDelayLevel, message.PropertyTimerOutTime, message.PropertyTimerEnqueueTime, message.PropertyTimerDequeueTime,
		message.PropertyTimerRollTimes, message.PropertyRealTopic, message.PropertyRealQueueID,
	} {
		p = p.Delete(name)
	}
	if due != "" {
		p = message.AppendProperty(p, message.PropertyTimerDeliverTime, due)
	}
	return topic, p
}

// producerOf is the group by which a message was sent, or one of the broker's own.
func producerOf(m *message.Message, o *Options) []byte {
	if group, ok := m.Properties.Get(message.PropertyProducerGroup); ok {
		return bytes.Clone(group)
	}
	return []byte("InnerProducerGroup_" + o.BrokerName + "_" + strconv.FormatInt(o.BrokerID, 10))
}

// send has another master take a message.
func (e *escape) send(p *post) engine.PutResult {
	e.slots <- struct{}{}
	defer func() { <-e.slots }()
	status, err := e.deliver(p)
	if err != nil {
		e.forget()
	}
	return engine.PutResult{Status: status, Err: err}
}

func (e *escape) deliver(p *post) (engine.PutStatus, error) {
	ctx, cancel := context.WithTimeout(e.b.registrar.ctx, escapeTimeout)
	defer cancel()
	q, err := p.queue(ctx)
	if err != nil {
		return engine.PutToRemoteBrokerFail, err
	}
	p.header.QueueID = q.id
	req := remoting.NewRequest(protocol.SendMessageV2)
	p.header.EncodeV2(&req.Fields)
	req.Body = p.body
	resp, err := e.b.registrar.client.Call(ctx, q.addr, req)
	if err != nil {
		return engine.PutToRemoteBrokerFail, err
	}
	switch resp.ResponseCode() {
	case protocol.Success, protocol.FlushDiskTimeout, protocol.FlushSlaveTimeout, protocol.SlaveNotAvailable:
		return engine.PutOK, nil
	case protocol.MessageIllegal:
		return engine.MessageIllegal, &refusal{resp.ResponseCode(), resp.Remark}
	}
	return engine.PutToRemoteBrokerFail, fmt.Errorf("%s: %w", q.addr, &refusal{resp.ResponseCode(), resp.Remark})
}

// forget has routes asked for anew, after something went wrong by them.
func (e *escape) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.mu.routes)
}

// turn is the queue of the topic whose turn it is.
func (e *escape) turn(ctx context.Context, topic string) (escapeQueue, error) {
	t, err := e.targets(ctx, topic)
	if err != nil {
		return escapeQueue{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	t.next++
	return t.queues[t.next%len(t.queues)], nil
}

// targets are the queues of other masters that the topic has, at least one.
func (e *escape) targets(ctx context.Context, topic string) (*escapeTargets, error) {
	e.mu.Lock()
	t := e.mu.routes[topic]
	e.mu.Unlock()
	if t != nil && !e.b.now().After(t.until) {
		return t, nil
	}
	queues, err := e.lookUp(ctx, topic)
	if err != nil {
		return nil, err
	}
	t = &escapeTargets{queues: queues, until: e.b.now().Add(escapeRoute)}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.mu.routes) >= escapeMax {
		clear(e.mu.routes)
	}
	e.mu.routes[topic] = t
	return t, nil
}

// brokerOf asks the name servers where the broker of a name is that has a topic: its master, or who acts for it.
func (r *registrar) brokerOf(ctx context.Context, topic, name string) (addr string, err error) {
	route, err := r.route(ctx, topic)
	if err != nil {
		return "", err
	}
	for _, b := range route.BrokerDatas {
		if b.BrokerName == name {
			return b.BrokerAddrs[first(b.BrokerAddrs)], nil
		}
	}
	return "", refuse(protocol.SystemError, "topic %s has no broker %s", topic, name)
}

// lookUp asks the name servers which queues of other masters a topic has.
func (e *escape) lookUp(ctx context.Context, topic string) ([]escapeQueue, error) {
	route, err := e.b.registrar.route(ctx, topic)
	if err != nil {
		return nil, err
	}
	masters := map[string]string{}
	for _, b := range route.BrokerDatas {
		if addr := b.BrokerAddrs[protocol.MasterID]; addr != "" && b.BrokerName != e.b.options().BrokerName {
			masters[b.BrokerName] = addr
		}
	}
	var queues []escapeQueue
	for _, q := range route.QueueDatas {
		if addr := masters[q.BrokerName]; addr != "" && q.Perm&protocol.PermWrite != 0 {
			for id := range q.WriteQueueNums {
				queues = append(queues, escapeQueue{q.BrokerName, addr, id})
			}
		}
	}
	if len(queues) == 0 {
		return nil, fmt.Errorf("topic %s has no other master", topic)
	}
	slices.SortFunc(queues, func(a, b escapeQueue) int { return cmp.Or(cmp.Compare(a.broker, b.broker), cmp.Compare(a.id, b.id)) })
	return queues, nil
}

// route asks the name servers which brokers have a topic.
func (r *registrar) route(ctx context.Context, topic string) (*protocol.TopicRouteData, error) {
	route := new(protocol.TopicRouteData)
	if err := r.ask(ctx, protocol.GetRouteInfoByTopic, &protocol.GetRouteInfoRequestHeader{Topic: topic}, route); err != nil {
		return nil, fmt.Errorf("route of topic %s: %w", topic, err)
	}
	return route, nil
}

// ask sends a request to one name server after the other until one answers.
func (r *registrar) ask(ctx context.Context, code protocol.RequestCode, header interface{ Encode(protocol.FieldSink) }, v any) error {
	var errs error
	for _, addr := range r.b.options().NameServers() {
		req := remoting.NewRequest(code)
		header.Encode(&req.Fields)
		resp, err := r.client.Call(ctx, addr, req)
		if err == nil && resp.ResponseCode() != protocol.Success {
			err = &refusal{resp.ResponseCode(), resp.Remark}
		}
		if err == nil {
			err = protocol.UnmarshalJSON(resp.Body, v)
		}
		if err == nil {
			return nil
		}
		errs = errors.Join(errs, fmt.Errorf("name server %s: %w", addr, err))
	}
	if errs == nil {
		return errors.New("no name server is known")
	}
	return errs
}

// group asks the name servers for the brokers of this one's name.
func (r *registrar) group(ctx context.Context) (addrs map[int64]string, err error) {
	o := r.b.options()
	var body protocol.GetBrokerMemberGroupResponseBody
	h := protocol.GetBrokerMemberGroupRequestHeader{ClusterName: o.BrokerClusterName, BrokerName: o.BrokerName}
	err = r.ask(ctx, protocol.GetBrokerMemberGroup, &h, &body)
	return body.BrokerMemberGroup.BrokerAddrs, err
}

// first is the smallest id of a group, -1 of an empty one.
func first(group map[int64]string) int64 {
	if len(group) == 0 {
		return -1
	}
	return slices.Min(slices.Collect(maps.Keys(group)))
}
