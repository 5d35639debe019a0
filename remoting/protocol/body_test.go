package protocol

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/rocketlog/rocketlog/internal/golden"
)

func body[T any]() any { return new(T) }

// requestBodies and responseBodies are the bodies of this package by request code.
var (
	requestBodies = map[RequestCode]func() any{
		HeartBeat:                            body[HeartbeatData],
		LockBatchMQ:                          body[LockBatchRequestBody],
		UnlockBatchMQ:                        body[UnlockBatchRequestBody],
		CheckClientConfig:                    body[CheckClientRequestBody],
		QueryAssignment:                      body[QueryAssignmentRequestBody],
		SetMessageRequestMode:                body[SetMessageRequestModeRequestBody],
		UpdateAndCreateSubscriptionGroup:     body[SubscriptionGroupConfig],
		UpdateAndCreateSubscriptionGroupList: body[SubscriptionGroupList],
		UpdateAndCreateTopicList:             body[CreateTopicListRequestBody],
		ResetConsumerClientOffset:            body[ResetOffsetBody],
	}
	responseBodies = map[RequestCode]func() any{
		GetConsumerListByGroup:          body[GetConsumerListByGroupResponseBody],
		LockBatchMQ:                     body[LockBatchResponseBody],
		QueryAssignment:                 body[QueryAssignmentResponseBody],
		GetAllMessageRequestMode:        body[MessageRequestModeSerializeWrapper],
		GetConsumerConnectionList:       body[ConsumerConnection],
		GetProducerConnectionList:       body[ProducerConnection],
		GetAllProducerInfo:              body[ProducerTableInfo],
		ConsumeMessageDirectly:          body[ConsumeMessageDirectlyResult],
		QueryTopicConsumeByWho:          body[GroupList],
		QuerySubscriptionByConsumer:     body[QuerySubscriptionResponseBody],
		GetTopicStatsInfo:               body[TopicStatsTable],
		GetConsumeStats:                 body[ConsumeStats],
		GetBrokerConsumeStats:           body[ConsumeStatsList],
		ViewBrokerStatsData:             body[BrokerStatsData],
		QueryConsumeTimeSpan:            body[QueryConsumeTimeSpanBody],
		QueryConsumeQueue:               body[QueryConsumeQueueResponseBody],
		GetBrokerHAStatus:               body[HARuntimeInfo],
		GetAllConsumerOffset:            body[ConsumerOffsetSerializeWrapper],
		GetAllDelayOffset:               body[DelayOffsetSerializeWrapper],
		InvokeBrokerToResetOffset:       body[ResetOffsetBody],
		InvokeBrokerToGetConsumerStatus: body[GetConsumerStatusBody],
		GetConsumerStatusFromClient:     body[GetConsumerStatusBody],
		GetAllSubscriptionGroupConfig:   body[SubscriptionGroupWrapper],
		UpdateAndGetGroupForbidden:      body[GroupForbidden],
	}
)

// TestGoldenBodies reads each recorded body into its struct, writes it, and finds everything again that was there.
func TestGoldenBodies(t *testing.T) {
	decoded := map[string]bool{}
	for run, frames := range golden.AllFrames(t) {
		for i := range frames {
			g := &frames[i]
			make := requestBodies[RequestCode(g.Code)]
			if g.Kind == "response" {
				make = responseBodies[RequestCode(g.RequestCode)]
			}
			if make == nil || g.BodyLen == 0 || g.FrameTruncated {
				continue
			}
			raw := g.FrameBytes[len(g.FrameBytes)-g.BodyLen:]
			b := make()
			if err := UnmarshalJSON(raw, b); err != nil {
				t.Errorf("%s %d/%d %s: %v", run, g.Conn, g.Seq, g.Name, err)
				continue
			}
			decoded[fmt.Sprintf("%T", b)] = true
			again, err := MarshalJSON(b)
			if err != nil {
				t.Fatal(err)
			}
			for _, diff := range lost("", tree(t, raw), tree(t, again)) {
				t.Errorf("%s %d/%d %T: %s", run, g.Conn, g.Seq, b, diff)
			}
		}
	}
	for _, all := range []map[RequestCode]func() any{requestBodies, responseBodies} {
		for code, make := range all {
			if name := fmt.Sprintf("%T", make()); !decoded[name] {
				t.Errorf("no golden frame for %s (%v)", name, code)
			}
		}
	}
}

// tree reads a document into maps and lists.
func tree(t *testing.T, raw []byte) any {
	t.Helper()
	standard, err := StandardJSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(standard, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// lost lists what is in want and not the same in got.
func lost(at string, want, got any) []string {
	switch want := want.(type) {
	case map[string]any:
		other, _ := got.(map[string]any)
		var diffs []string
		for name, v := range want {
			diffs = append(diffs, lost(at+"/"+name, v, other[name])...)
		}
		return diffs
	case []any:
		other, _ := got.([]any)
		if len(want) != len(other) {
			return []string{fmt.Sprintf("%s: %d elements, not %d", at, len(other), len(want))}
		}
		var diffs []string
		for i, v := range want {
			diffs = append(diffs, lost(fmt.Sprint(at, "/", i), v, other[i])...)
		}
		return diffs
	}
	if !reflect.DeepEqual(want, got) {
		return []string{fmt.Sprintf("%s is %v, not %v", at, got, want)}
	}
	return nil
}

// TestGoHeartbeat reads a heartbeat as the Go client writes it: quoted codes, no fingerprint.
func TestGoHeartbeat(t *testing.T) {
	const raw = `{"clientID":"1.2.3.4@5","producerDataSet":[{"groupName":"p"}],"consumerDataSet":[{"groupName":"c","consumeType":"CONSUME_PASSIVELY",
		"messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","unitMode":false,
		"subscriptionDataSet":[{"ClassFilterMode":false,"topic":"t","subString":"a || b","tagsSet":["a","b"],"codeSet":["97","98"],"subVersion":7,"expressionType":"TAG"}]}]}`
	var h HeartbeatData
	if err := UnmarshalJSON([]byte(raw), &h); err != nil {
		t.Fatal(err)
	}
	s := h.ConsumerDataSet[0].SubscriptionDataSet[0]
	if h.ClientID != "1.2.3.4@5" || h.ConsumerDataSet[0].ConsumeType != ConsumePassively || !reflect.DeepEqual(s.CodeSet, []int32{97, 98}) || s.SubVersion != 7 {
		t.Errorf("heartbeat %+v", h)
	}
}
