package broker

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/broker/config"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// testOptions are options for a small broker on free ports of the loopback, with its data in dir.
func testOptions(dir string) *Options {
	o := DefaultOptions()
	o.BrokerName, o.BrokerIP1, o.BrokerIP2, o.BindAddress, o.ListenPort = "broker-a", "127.0.0.1", "127.0.0.1", "127.0.0.1", config.AnyPort
	o.StorePathRootDir = dir
	o.MappedFileSizeCommitLog, o.MappedFileSizeConsumeQueue, o.MaxHashSlotNum, o.MaxIndexNum = 4<<20, 20*1000, 100, 400
	o.DiskMaxUsedSpaceRatio, o.DiskSpaceCleanForciblyRatio, o.DiskSpaceWarningLevelRatio = 99, 99, 100
	o.FileReservedTime = 1 << 20
	o.Logger = slog.New(slog.DiscardHandler)
	return o
}

// A bench is a broker with a client's connection to it.
type bench struct {
	testing.TB
	*Broker
	client *remoting.Client
}

// start opens a broker whose options change has had a look at, and ends it with the test.
func start(tb testing.TB, change func(*Options)) *bench {
	tb.Helper()
	o := testOptions(tb.TempDir())
	if change != nil {
		change(o)
	}
	return startWith(tb, o)
}

func startWith(tb testing.TB, o *Options) *bench {
	tb.Helper()
	b, err := Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	s := &bench{TB: tb, Broker: b, client: remoting.NewClient(nil)}
	tb.Cleanup(func() {
		s.client.Close()
		if err := b.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return s
}

// call sends a request and returns the answer, whatever its code.
func (s *bench) call(code protocol.RequestCode, header interface{ Encode(protocol.FieldSink) }, body []byte) *remoting.Command {
	s.Helper()
	req := remoting.NewRequest(code)
	if header != nil {
		header.Encode(&req.Fields)
	}
	req.Body = body
	return s.send(s.client, req)
}

func (s *bench) send(client *remoting.Client, req *remoting.Command) *remoting.Command {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	resp, err := client.Call(ctx, s.Addr(), req)
	if err != nil {
		s.Fatalf("request code %d: %v", req.Code, err)
	}
	return resp
}

// must is call for what must succeed; the answer's body is decoded into v unless that is nil.
func (s *bench) must(code protocol.RequestCode, header interface{ Encode(protocol.FieldSink) }, body, v any) *remoting.Command {
	s.Helper()
	var data []byte
	switch body := body.(type) {
	case nil:
	case []byte:
		data = body
	default:
		var err error
		if data, err = protocol.MarshalJSON(body); err != nil {
			s.Fatal(err)
		}
	}
	resp := s.call(code, header, data)
	if resp.ResponseCode() != protocol.Success {
		s.Fatalf("request code %d: answer %d %q", code, resp.Code, resp.Remark)
	}
	if v != nil {
		if err := protocol.UnmarshalJSON(resp.Body, v); err != nil {
			s.Fatalf("request code %d: body %q: %v", code, resp.Body, err)
		}
	}
	return resp
}

// wantCode fails the test unless the answer has the code.
func (s *bench) wantCode(resp *remoting.Command, code protocol.ResponseCode) {
	s.Helper()
	if resp.ResponseCode() != code {
		s.Fatalf("answer %d %q, want %d", resp.Code, resp.Remark, code)
	}
}

// v2 is a send's header by its short names.
type v2 struct {
	*protocol.SendMessageRequestHeader
}

func (h v2) Encode(f protocol.FieldSink) { h.EncodeV2(f) }

func sendHeader(topic string, queue int32, properties ...string) *protocol.SendMessageRequestHeader {
	var p message.Properties
	for i := 0; i+1 < len(properties); i += 2 {
		p = message.AppendProperty(p, properties[i], properties[i+1])
	}
	return &protocol.SendMessageRequestHeader{
		ProducerGroup: []byte("producers"), Topic: []byte(topic), DefaultTopic: []byte("TBW102"), DefaultTopicQueueNums: 4,
		QueueID: queue, BornTimestamp: time.Now().UnixMilli(), Properties: p,
	}
}

// put sends a message that must be stored, and returns the header of the answer.
func (s *bench) put(topic string, queue int32, body string, properties ...string) protocol.SendMessageResponseHeader {
	s.Helper()
	resp := s.must(protocol.SendMessageV2, v2{sendHeader(topic, queue, properties...)}, []byte(body), nil)
	var h protocol.SendMessageResponseHeader
	if err := h.Decode(&resp.Fields); err != nil {
		s.Fatal(err)
	}
	return h
}

func pullHeader(group, topic string, queue int32, offset int64) *protocol.PullMessageRequestHeader {
	return &protocol.PullMessageRequestHeader{
		ConsumerGroup: []byte(group), Topic: []byte(topic), QueueID: queue, QueueOffset: offset, MaxMsgNums: 32,
		SysFlag: protocol.PullSubscription, Subscription: []byte("*"), ExpressionType: []byte("TAG"),
	}
}

// pulled is the answer to a pull.
type pulled struct {
	*remoting.Command
	header  protocol.PullMessageResponseHeader
	records []message.Record
}

func (s *bench) pull(h *protocol.PullMessageRequestHeader) pulled {
	s.Helper()
	return s.readPull(s.call(protocol.PullMessage, h, nil))
}

func (s *bench) readPull(resp *remoting.Command) pulled {
	s.Helper()
	p := pulled{Command: resp}
	switch resp.ResponseCode() {
	case protocol.Success, protocol.PullNotFound, protocol.PullRetryImmediately, protocol.PullOffsetMoved:
		if err := p.header.Decode(&resp.Fields); err != nil {
			s.Fatalf("answer %d %q: %v", resp.Code, resp.Remark, err)
		}
	}
	if err := message.EachRecord([][]byte{resp.Body}, func(r message.Record) { p.records = append(p.records, r) }); err != nil {
		s.Fatal(err)
	}
	return p
}

// bodies are the bodies of the messages pulled.
func (p pulled) bodies() (list []string) {
	for _, r := range p.records {
		list = append(list, string(r.Body()))
	}
	return list
}

// dispatched waits until the queue can be read up to offset.
func (s *bench) dispatched(topic string, queue int32, offset int64) {
	s.Helper()
	s.await("the queue "+topic+"/"+strconv.Itoa(int(queue))+" to grow", func() bool { return int64(s.store.MaxOffset(topic, queue)) >= offset })
}

// awaitHold waits until the client's pull is held and has looked once more, when a message that it does not want would be
// answered to it: its connection takes no other request before, and one that made its group has a goroutine until then.
func (s *bench) awaitHold(client *remoting.Client) {
	s.Helper()
	s.await("the pull to be held", func() bool { return s.holds.Len() == 1 && s.offloaded.Load() == 0 })
	s.send(client, remoting.NewRequest(protocol.GetBrokerRuntimeInfo))
}

// await waits until a condition holds that other goroutines bring about.
func (s *bench) await(what string, holds func() bool) {
	s.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			s.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// heartbeat sends one of a consumer over the client's connection.
func (s *bench) heartbeat(client *remoting.Client, id, group string, model protocol.MessageModel, version int64, subscriptions ...string) {
	s.Helper()
	data := protocol.HeartbeatData{ClientID: id, ConsumerDataSet: []protocol.ConsumerData{{
		GroupName: group, ConsumeType: protocol.ConsumePassively, MessageModel: model, ConsumeFromWhere: protocol.ConsumeFromFirstOffset,
	}}}
	for i := 0; i+1 < len(subscriptions); i += 2 {
		data.ConsumerDataSet[0].SubscriptionDataSet = append(data.ConsumerDataSet[0].SubscriptionDataSet, protocol.SubscriptionData{
			Topic: subscriptions[i], SubString: subscriptions[i+1], ExpressionType: "TAG", SubVersion: version,
		})
	}
	body, err := protocol.MarshalJSON(&data)
	if err != nil {
		s.Fatal(err)
	}
	req := remoting.NewRequest(protocol.HeartBeat)
	req.Body = body
	s.wantCode(s.send(client, req), protocol.Success)
}
