package broker

import (
	"bytes"
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

// escapeTargets are the queues of other masters that a topic has, and whose turn it is.
type escapeTargets struct {
	queues []escapeQueue
	next   int
	until  time.Time
}

type escapeQueue struct {
	addr string
	id   int32
}

func newEscape(b *Broker) *escape {
	e := &escape{b: b, slots: make(chan struct{}, escapeMax)}
	e.mu.routes = map[string]*escapeTargets{}
	return e
}

// put sends a message of which nothing is used once put returns.
func (e *escape) put(m *message.Message, done engine.Completion) {
	topic, properties := escaped(m)
	header := protocol.SendMessageRequestHeader{
		ProducerGroup: producerOf(m, e.b.options()), Topic: []byte(topic), DefaultTopic: []byte(message.AutoCreateTopic), DefaultTopicQueueNums: 4,
		SysFlag: int32(m.SysFlag), BornTimestamp: m.BornTimestamp, Flag: m.Flag, Properties: properties,
		ReconsumeTimes: protocol.Some(m.ReconsumeTimes),
	}
	body := bytes.Clone(m.Body)
	e.done.Go(func() {
		e.slots <- struct{}{}
		status, err := e.send(topic, &header, body)
		<-e.slots
		done.PutDone(engine.PutResult{Status: status, Err: err})
	})
}

// close waits for what is under way.
func (e *escape) close() { e.done.Wait() }

// escaped is where a message goes, and with which properties: those by which it waited would have it wait again. One that
// goes round in the timer wheel is sent as what it is at last.
func escaped(m *message.Message) (topic string, p message.Properties) {
	topic, p = m.Topic, bytes.Clone(m.Properties)
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

// send has the next queue's master take a message.
func (e *escape) send(topic string, header *protocol.SendMessageRequestHeader, body []byte) (engine.PutStatus, error) {
	ctx, cancel := context.WithTimeout(e.b.registrar.ctx, escapeTimeout)
	defer cancel()
	q, err := e.target(ctx, topic)
	if err != nil {
		return engine.PutToRemoteBrokerFail, err
	}
	header.QueueID = q.id
	req := remoting.NewRequest(protocol.SendMessageV2)
	header.EncodeV2(&req.Fields)
	req.Body = body
	resp, err := e.b.registrar.client.Call(ctx, q.addr, req)
	if err != nil {
		e.forget(topic)
		return engine.PutToRemoteBrokerFail, err
	}
	switch resp.ResponseCode() {
	case protocol.Success, protocol.FlushDiskTimeout, protocol.FlushSlaveTimeout, protocol.SlaveNotAvailable:
		return engine.PutOK, nil
	case protocol.MessageIllegal:
		return engine.MessageIllegal, &refusal{resp.ResponseCode(), resp.Remark}
	}
	e.forget(topic)
	return engine.PutToRemoteBrokerFail, fmt.Errorf("%s: %w", q.addr, &refusal{resp.ResponseCode(), resp.Remark})
}

func (e *escape) forget(topic string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.mu.routes, topic)
}

// target is the queue whose turn it is.
func (e *escape) target(ctx context.Context, topic string) (escapeQueue, error) {
	e.mu.Lock()
	t := e.mu.routes[topic]
	e.mu.Unlock()
	if t == nil || e.b.now().After(t.until) {
		queues, err := e.lookUp(ctx, topic)
		if err != nil {
			return escapeQueue{}, err
		}
		t = &escapeTargets{queues: queues, until: e.b.now().Add(escapeRoute)}
		e.mu.Lock()
		if len(e.mu.routes) >= escapeMax {
			clear(e.mu.routes)
		}
		e.mu.routes[topic] = t
		e.mu.Unlock()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	t.next++
	return t.queues[t.next%len(t.queues)], nil
}

// lookUp asks the name servers which queues of other masters a topic has.
func (e *escape) lookUp(ctx context.Context, topic string) ([]escapeQueue, error) {
	var route protocol.TopicRouteData
	if err := e.b.registrar.ask(ctx, protocol.GetRouteInfoByTopic, &protocol.GetRouteInfoRequestHeader{Topic: topic}, &route); err != nil {
		return nil, fmt.Errorf("route of topic %s: %w", topic, err)
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
				queues = append(queues, escapeQueue{addr, id})
			}
		}
	}
	if len(queues) == 0 {
		return nil, fmt.Errorf("topic %s has no other master", topic)
	}
	return queues, nil
}

// ask sends a request to one name server after the other until one answers.
func (r *registrar) ask(ctx context.Context, code protocol.RequestCode, header interface{ Encode(protocol.FieldSink) }, v any) error {
	var errs error
	for _, addr := range r.b.options().nameServers() {
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
