package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// The snapshot counts what every kind of message did.
func TestMetricsOfAllKinds(t *testing.T) {
	s := startPop(t, func(o *Options) { o.TimerWheelEnable = true })
	s.makeTopic("T", 1, "")
	s.fill("T", "m", 10)
	h := popHeader("T")
	h.MaxMsgNums, h.InitMode = 4, initModeMin
	got := s.pop(h)
	s.must(protocol.AckMessage, &protocol.AckMessageRequestHeader{ConsumerGroup: "g", Topic: "T", ExtraInfo: got[0].receipt, Offset: got[0].offset}, nil, nil)
	s.put("T", 0, "later", message.PropertyDelayLevel, "5")
	s.dispatched(message.ScheduleTopic, 4, 1)
	s.put("T", 0, "much later", message.PropertyTimerDelaySeconds, "3600")
	s.half("T", "producers", "h1")
	s.dispatched(message.HalfTopic, 0, 1)
	s.wantCode(s.call(protocol.SendMessageV2, v2{sendHeader("T", 7)}, []byte("m")), protocol.InvalidParameter)
	back := s.pull(pullHeader("g", "T", 0, 0)).records[0]
	s.must(protocol.ConsumerSendMsgBack, &protocol.ConsumerSendMsgBackRequestHeader{Group: "g", Offset: int64(back.PhyOffset()), DelayLevel: -1}, nil, nil)
	s.await("the timer to take a message in", func() bool { return s.Metrics().TimersPending["T"] == 1 })
	m := s.Metrics()
	for name, c := range map[string][2]int64{
		"pops": {m.Pops, 4}, "acks": {m.Acks, 1}, "pops in flight": {m.PopsInFlight, 1}, "delays": {m.DelaysPending[5], 1}, "delay levels": {int64(len(m.DelaysPending)), 1},
		"open transactions": {m.TransactionsOpen, 1}, "refusals": {m.Refusals["INVALID_PARAMETER"], 1}, "given back": {m.SendBacks, 1},
		"dead letters": {m.DeadLetters, 1}, "refused": {m.PutsRefused, 1},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %d, want %d", name, c[0], c[1])
		}
	}
	s.pass(time.Duration(h.InvisibleTime+1000) * time.Millisecond)
	s.await("three messages to come again", func() bool { return s.Metrics().Revived == 3 })
	for _, p := range s.Puts() {
		if p.Topic == "T" && p.Messages < 10 {
			t.Errorf("put to T: %+v", p)
		}
	}
	found := false
	for _, g := range s.Consumption() {
		if g.Topic == "T" && g.Group == "g" {
			found = true
			if g.Pops != 4 || g.Acks != 1 || g.SendBacks != 1 || g.DeadLetters != 1 || g.Gets < 4 {
				t.Errorf("consumption %+v", g)
			}
		}
	}
	if !found {
		t.Error("no consumption of g")
	}
	for name, key := range map[string]string{
		"GROUP_CK_NUMS": "T@g", "GROUP_ACK_NUMS": "T@g", "SNDBCK_PUT_NUMS": "T@g", "DLQ_PUT_NUMS": "T@g", "BROKER_ACK_NUMS": "DefaultCluster", "TOPIC_PUT_NUMS": "T",
	} {
		var data protocol.BrokerStatsData
		s.must(protocol.ViewBrokerStatsData, &protocol.ViewBrokerStatsDataRequestHeader{StatsName: name, StatsKey: key}, nil, &data)
	}
	resp := s.call(protocol.ViewBrokerStatsData, &protocol.ViewBrokerStatsDataRequestHeader{StatsName: "GROUP_ACK_NUMS", StatsKey: "T@other"}, nil)
	if want := fmt.Sprintf("The stats <%s> <%s> not exist", "GROUP_ACK_NUMS", "T@other"); resp.Remark != want {
		t.Errorf("a statistic that is not there: %q", resp.Remark)
	}
}
