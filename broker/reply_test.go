package broker

import (
	"fmt"
	"testing"

	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

const replyTopic = "DefaultCluster_REPLY_TOPIC"

// requester connects a client that takes replies and answers them with a code.
func (s *bench) requester(id string, code protocol.ResponseCode) <-chan protocol.ReplyMessageRequestHeader {
	s.Helper()
	took := make(chan protocol.ReplyMessageRequestHeader, 10)
	client := remoting.NewClient(nil)
	s.Cleanup(func() { client.Close() })
	client.Handle(protocol.PushReplyMessageToClient, func(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
		var h protocol.ReplyMessageRequestHeader
		if err := h.Decode(&req.Fields); err != nil || string(req.Body) != "the answer" {
			s.Errorf("pushed reply %q: %v", req.Body, err)
		}
		took <- h
		return remoting.NewResponse(code, "")
	}, remoting.Inline())
	body, err := protocol.MarshalJSON(&protocol.HeartbeatData{ClientID: id, ProducerDataSet: []protocol.ProducerData{{GroupName: "askers"}, {GroupName: "others"}}})
	if err != nil {
		s.Fatal(err)
	}
	req := remoting.NewRequest(protocol.HeartBeat)
	req.Body = body
	s.wantCode(s.send(client, req), protocol.Success)
	return took
}

// A reply is pushed to the client that asked, is stored, and its outcome is that of the push.
func TestReply(t *testing.T) {
	s := start(t, nil)
	took := s.requester("asker@1", protocol.Success)
	s.requester("broken@1", protocol.SystemError)
	for i, c := range []struct {
		properties []string
		code       protocol.ResponseCode
		remark     string
	}{
		{[]string{"REPLY_TO_CLIENT", "asker@1", "CORRELATION_ID", "c1", "MSG_REGION", "elsewhere"}, protocol.Success, ""},
		{[]string{"REPLY_TO_CLIENT", "nobody@1"}, protocol.SystemError, "push reply message fail, channel of <nobody@1> not found."},
		{[]string{"REPLY_TO_CLIENT", "broken@1"}, protocol.SystemError, "push reply message to broken@1fail."},
		{nil, protocol.SystemError, "reply message properties[REPLY_TO_CLIENT] is null"},
	} {
		resp := s.call(protocol.SendReplyMessageV2, v2{sendHeader(replyTopic, 0, c.properties...)}, []byte("the answer"))
		if resp.ResponseCode() != c.code || resp.Remark != c.remark {
			t.Errorf("%v: answer %d %q", c.properties, resp.Code, resp.Remark)
		}
		if got, want := fmt.Sprintf("%s %d %s", resp.Fields.Text("queueOffset"), len(resp.Fields.Text("msgId")), resp.Fields.Text("TRACE_ON")), fmt.Sprintf("%d 32 true", i); got != want {
			t.Errorf("%v: fields %s, want %s", c.properties, got, want)
		}
	}
	h := <-took
	p := message.Properties(h.Properties)
	id, _ := p.Get("CORRELATION_ID")
	region, _ := p.Get("MSG_REGION")
	if _, ok := p.Get("PUSH_REPLY_TIME"); !ok || h.Topic != replyTopic || string(id) != "c1" || string(region) != "DefaultRegion" || h.BornHost == "" || h.StoreTimestamp == 0 {
		t.Errorf("pushed header %+v", h)
	}
	if n := len(s.messagesIn(replyTopic, 0)); n != 4 {
		t.Errorf("%d replies are stored", n)
	}
}

// Replies need not be kept, and are refused as other messages are.
func TestReplyNotStored(t *testing.T) {
	s := start(t, func(o *Options) { o.StoreReplyMessageEnable = false })
	s.requester("asker@1", protocol.Success)
	resp := s.must(protocol.SendReplyMessageV2, v2{sendHeader(replyTopic, 0, "REPLY_TO_CLIENT", "asker@1")}, []byte("the answer"), nil)
	if got := resp.Fields.Text("msgId") + resp.Fields.Text("queueOffset"); got != "00" {
		t.Errorf("fields %s", got)
	}
	if n := s.store.MaxOffset(replyTopic, 0); n != 0 {
		t.Errorf("%d replies are stored", n)
	}
	s.wantCode(s.call(protocol.SendReplyMessageV2, v2{sendHeader(replyTopic, 9)}, []byte("x")), protocol.InvalidParameter)
}

// A client that leaves one of its groups is found by its id until it leaves the last.
func TestProducerID(t *testing.T) {
	s := start(t, nil)
	s.requester("asker@1", protocol.Success)
	who, ok := s.producers.WithID("asker@1")
	if !ok {
		t.Fatal("not found")
	}
	s.producers.Unregister("askers", who.Channel)
	if _, ok := s.producers.WithID("asker@1"); !ok {
		t.Error("not found while it is in a group")
	}
	s.producers.Unregister("others", who.Channel)
	if _, ok := s.producers.WithID("asker@1"); ok {
		t.Error("found after it left")
	}
}
