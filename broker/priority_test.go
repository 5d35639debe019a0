package broker

import (
	"fmt"
	"slices"
	"testing"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

func (s *bench) makeTopic(name string, queues int32, attributes string) {
	s.Helper()
	s.must(protocol.UpdateAndCreateTopic, &protocol.CreateTopicRequestHeader{
		Topic: name, DefaultTopic: "TBW102", ReadQueueNums: queues, WriteQueueNums: queues, Perm: metadata.PermRead | metadata.PermWrite,
		TopicFilterType: protocol.FilterSingleTag, Attributes: attributes,
	}, nil, nil)
}

// The priority of a message is its queue; a message of another kind has none (Java's SendMessageProcessor).
func TestPriorityIsTheQueue(t *testing.T) {
	s := start(t, nil)
	s.makeTopic("P", 4, "")
	for _, c := range []struct {
		priority string
		more     []string
		queue    int32
		kept     bool
	}{
		{"0", nil, 0, true},
		{"3", nil, 3, true},
		{"9", nil, 3, true},
		{"-1", nil, 1, true},
		{"high", nil, 1, true},
		{"2", []string{message.PropertyShardingKey, "order"}, 1, false},
	} {
		h := s.put("P", 1, "m", append(c.more, message.PropertyPriority, c.priority)...)
		s.dispatched("P", c.queue, h.QueueOffset+1)
		if h.QueueID != c.queue {
			t.Errorf("priority %s: queue %d, want %d", c.priority, h.QueueID, c.queue)
			continue
		}
		r := s.pull(pullHeader("g", "P", c.queue, h.QueueOffset)).records[0]
		if _, kept := r.Properties().Get(message.PropertyPriority); kept != c.kept {
			t.Errorf("priority %s with %v: the property is kept: %t", c.priority, c.more, kept)
		}
	}
	h := s.put("P", 1, "m", message.PropertyDelayLevel, "3", message.PropertyPriority, "2")
	if h.QueueID != 1 {
		t.Errorf("a delayed message has queue %d", h.QueueID)
	}
}

// Pops of a topic of priorities begin with the highest, unless the group does not want it.
func TestPopByPriority(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Options)
		factor string
		want   []string
	}{
		{"ascending", nil, "", []string{"p3", "p2", "p1", "p0"}},
		{"descending", func(o *Options) { o.PriorityOrderAsc = false }, "", []string{"p0", "p1", "p2", "p3"}},
		{"not by priority", nil, "0", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startPop(t, c.change)
			s.makeTopic("P", 4, "+message.type=PRIORITY")
			if c.factor != "" {
				config := protocol.NewSubscriptionGroupConfig("g")
				config.Attributes = map[string]string{"+priority.factor": c.factor}
				s.must(protocol.UpdateAndCreateSubscriptionGroup, nil, config, nil)
			}
			first := map[string]bool{}
			for round := range 30 {
				for p := range 4 {
					h := s.put("P", 0, fmt.Sprint("p", p), message.PropertyPriority, fmt.Sprint(p))
					s.dispatched("P", int32(p), h.QueueOffset+1)
				}
				h := popHeader("P")
				h.InitMode = initModeMin
				var got []string
				for len(got) < 4 {
					for _, m := range s.pop(h) {
						got = append(got, m.body)
					}
				}
				first[got[0]] = true
				if c.want != nil && !slices.Equal(got, c.want) {
					t.Fatalf("round %d: %v, want %v", round, got, c.want)
				}
			}
			if c.want == nil && len(first) == 1 {
				t.Errorf("30 pops begin with %v", first)
			}
		})
	}
}

func TestGroupAttributes(t *testing.T) {
	s := start(t, nil)
	config := protocol.NewSubscriptionGroupConfig("g")
	for _, bad := range []map[string]string{{"+priority.factor": "101"}, {"+priority.factor": "x"}, {"priority.factor": "1"}, {"+other": "1"}} {
		config.Attributes = bad
		body, _ := protocol.MarshalJSON(config)
		if resp := s.call(protocol.UpdateAndCreateSubscriptionGroup, nil, body); resp.ResponseCode() == protocol.Success {
			t.Errorf("%v is taken", bad)
		}
	}
}
