package protocol

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/rocketlog/rocketlog/internal/golden"
)

// fieldList is a FieldSource and FieldSink of names and values in order.
type fieldList struct{ names, values []string }

func (l *fieldList) Len() int { return len(l.names) }

func (l *fieldList) At(i int) (name, value []byte) { return []byte(l.names[i]), []byte(l.values[i]) }

func (l *fieldList) Get(name string) ([]byte, bool) {
	if i := slices.Index(l.names, name); i >= 0 {
		return []byte(l.values[i]), true
	}
	return nil, false
}

// loan is a fieldList that takes back what it handed out.
type loan struct {
	*fieldList
	lent [][]byte
}

func (l *loan) At(i int) (name, value []byte) {
	name, value = l.fieldList.At(i)
	l.lent = append(l.lent, name, value)
	return name, value
}

func (l *loan) Get(name string) ([]byte, bool) {
	value, ok := l.fieldList.Get(name)
	l.lent = append(l.lent, value)
	return value, ok
}

func (l *loan) takeBack() {
	for _, b := range l.lent {
		for i := range b {
			b[i] ^= 0x5a
		}
	}
}

func (l *fieldList) Add(name, value string) {
	l.names = append(l.names, name)
	l.values = append(l.values, value)
}

func (l *fieldList) AddBytes(name string, value []byte) { l.Add(name, string(value)) }
func (l *fieldList) AddInt(name string, value int64)    { l.Add(name, strconv.FormatInt(value, 10)) }
func (l *fieldList) AddBool(name string, value bool)    { l.Add(name, strconv.FormatBool(value)) }

func fieldsOf(m map[string]string) *fieldList {
	l := new(fieldList)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		l.Add(name, m[name])
	}
	return l
}

// sendV2 is SendMessageRequestHeader by its short names.
type sendV2 struct{ SendMessageRequestHeader }

func (h *sendV2) Decode(f FieldSource) error { return h.DecodeV2(f) }
func (h *sendV2) Encode(f FieldSink)         { h.EncodeV2(f) }

func header[T any, P interface {
	*T
	Header
}]() Header {
	return P(new(T))
}

// requestHeaders are the headers by request code. Codes without header fields of their own are not here.
var requestHeaders = map[RequestCode]func() Header{
	SendMessage:                     header[SendMessageRequestHeader],
	SendMessageV2:                   header[sendV2],
	SendBatchMessage:                header[sendV2],
	SendReplyMessage:                header[SendMessageRequestHeader],
	SendReplyMessageV2:              header[sendV2],
	PullMessage:                     header[PullMessageRequestHeader],
	LitePullMessage:                 header[PullMessageRequestHeader],
	QueryMessage:                    header[QueryMessageRequestHeader],
	ViewMessageByID:                 header[ViewMessageRequestHeader],
	QueryConsumerOffset:             header[QueryConsumerOffsetRequestHeader],
	UpdateConsumerOffset:            header[UpdateConsumerOffsetRequestHeader],
	GetMaxOffset:                    header[GetMaxOffsetRequestHeader],
	GetMinOffset:                    header[GetMinOffsetRequestHeader],
	SearchOffsetByTimestamp:         header[SearchOffsetRequestHeader],
	GetEarliestMsgStoreTime:         header[GetEarliestMsgStoreTimeRequestHeader],
	UnregisterClient:                header[UnregisterClientRequestHeader],
	ConsumerSendMsgBack:             header[ConsumerSendMsgBackRequestHeader],
	EndTransaction:                  header[EndTransactionRequestHeader],
	GetConsumerListByGroup:          header[GetConsumerListByGroupRequestHeader],
	CheckTransactionState:           header[CheckTransactionStateRequestHeader],
	NotifyConsumerIDsChanged:        header[NotifyConsumerIDsChangedRequestHeader],
	UpdateAndCreateTopic:            header[CreateTopicRequestHeader],
	UpdateAndCreateStaticTopic:      header[CreateTopicRequestHeader],
	DeleteTopicInBroker:             header[DeleteTopicRequestHeader],
	GetAllTopicConfig:               header[GetAllTopicConfigRequestHeader],
	GetTopicConfig:                  header[GetTopicConfigRequestHeader],
	GetTopicStatsInfo:               header[GetTopicStatsInfoRequestHeader],
	GetConsumerConnectionList:       header[GetConsumerConnectionListRequestHeader],
	GetProducerConnectionList:       header[GetProducerConnectionListRequestHeader],
	DeleteSubscriptionGroup:         header[DeleteSubscriptionGroupRequestHeader],
	GetConsumeStats:                 header[GetConsumeStatsRequestHeader],
	ResetConsumerClientOffset:       header[ResetOffsetRequestHeader],
	GetConsumerStatusFromClient:     header[GetConsumerStatusRequestHeader],
	InvokeBrokerToResetOffset:       header[ResetOffsetRequestHeader],
	InvokeBrokerToGetConsumerStatus: header[GetConsumerStatusRequestHeader],
	QueryTopicConsumeByWho:          header[QueryTopicConsumeByWhoRequestHeader],
	QueryTopicsByConsumer:           header[QueryTopicsByConsumerRequestHeader],
	QuerySubscriptionByConsumer:     header[QuerySubscriptionByConsumerRequestHeader],
	QueryConsumeTimeSpan:            header[QueryConsumeTimeSpanRequestHeader],
	GetConsumerRunningInfo:          header[GetConsumerRunningInfoRequestHeader],
	ConsumeMessageDirectly:          header[ConsumeMessageDirectlyResultRequestHeader],
	CloneGroupOffset:                header[CloneGroupOffsetRequestHeader],
	ViewBrokerStatsData:             header[ViewBrokerStatsDataRequestHeader],
	GetBrokerConsumeStats:           header[GetConsumeStatsInBrokerHeader],
	QueryConsumeQueue:               header[QueryConsumeQueueRequestHeader],
	PushReplyMessageToClient:        header[ReplyMessageRequestHeader],
	GetSubscriptionGroupConfig:      header[GetSubscriptionGroupConfigRequestHeader],
	GetAllSubscriptionGroupConfig:   header[GetAllSubscriptionGroupRequestHeader],
	UpdateAndGetGroupForbidden:      header[UpdateGroupForbiddenRequestHeader],
	CheckRocksDBCQWriteProgress:     header[CheckRocksDBCQWriteProgressRequestHeader],
	RecallMessage:                   header[RecallMessageRequestHeader],
	NotifyMinBrokerIDChange:         header[NotifyMinBrokerIDChangeRequestHeader],
	ExchangeBrokerHAInfo:            header[ExchangeHAInfoRequestHeader],
	ResetMasterFlushOffset:          header[ResetMasterFlushOffsetHeader],
	PopMessage:                      header[PopMessageRequestHeader],
	PeekMessage:                     header[PeekMessageRequestHeader],
	AckMessage:                      header[AckMessageRequestHeader],
	ChangeMessageInvisibleTime:      header[ChangeInvisibleTimeRequestHeader],
	Notification:                    header[NotificationRequestHeader],
	PollingInfo:                     header[PollingInfoRequestHeader],
	PutKVConfig:                     header[PutKVConfigRequestHeader],
	GetKVConfig:                     header[GetKVConfigRequestHeader],
	DeleteKVConfig:                  header[DeleteKVConfigRequestHeader],
	GetKVListByNamespace:            header[GetKVListByNamespaceRequestHeader],
	RegisterBroker:                  header[RegisterBrokerRequestHeader],
	UnregisterBroker:                header[UnregisterBrokerRequestHeader],
	BrokerHeartbeat:                 header[BrokerHeartbeatRequestHeader],
	QueryDataVersion:                header[QueryDataVersionRequestHeader],
	GetRouteInfoByTopic:             header[GetRouteInfoRequestHeader],
	GetBrokerMemberGroup:            header[GetBrokerMemberGroupRequestHeader],
	WipeWritePermOfBroker:           header[WipeWritePermOfBrokerRequestHeader],
	AddWritePermOfBroker:            header[AddWritePermOfBrokerRequestHeader],
	GetTopicsByCluster:              header[GetTopicsByClusterRequestHeader],
	DeleteTopicInNamesrv:            header[DeleteTopicFromNamesrvRequestHeader],
}

// responseHeaders are the headers of the answers by request code.
var responseHeaders = map[RequestCode]func() Header{
	SendMessage:                   header[SendMessageResponseHeader],
	SendMessageV2:                 header[SendMessageResponseHeader],
	SendBatchMessage:              header[SendMessageResponseHeader],
	SendReplyMessageV2:            header[SendMessageResponseHeader],
	PullMessage:                   header[PullMessageResponseHeader],
	LitePullMessage:               header[PullMessageResponseHeader],
	QueryMessage:                  header[QueryMessageResponseHeader],
	QueryConsumerOffset:           header[QueryConsumerOffsetResponseHeader],
	GetMaxOffset:                  header[GetMaxOffsetResponseHeader],
	GetMinOffset:                  header[GetMinOffsetResponseHeader],
	SearchOffsetByTimestamp:       header[SearchOffsetResponseHeader],
	GetEarliestMsgStoreTime:       header[GetEarliestMsgStoreTimeResponseHeader],
	GetAllTopicConfig:             header[GetAllTopicConfigResponseHeader],
	GetAllSubscriptionGroupConfig: header[GetAllSubscriptionGroupResponseHeader],
	GetBrokerConfig:               header[GetBrokerConfigResponseHeader],
	RecallMessage:                 header[RecallMessageResponseHeader],
	ExchangeBrokerHAInfo:          header[ExchangeHAInfoResponseHeader],
	PopMessage:                    header[PopMessageResponseHeader],
	ChangeMessageInvisibleTime:    header[ChangeInvisibleTimeResponseHeader],
	Notification:                  header[NotificationResponseHeader],
	PollingInfo:                   header[PollingInfoResponseHeader],
	GetKVConfig:                   header[GetKVConfigResponseHeader],
	RegisterBroker:                header[RegisterBrokerResponseHeader],
	QueryDataVersion:              header[QueryDataVersionResponseHeader],
	WipeWritePermOfBroker:         header[WipeWritePermOfBrokerResponseHeader],
	AddWritePermOfBroker:          header[AddWritePermOfBrokerResponseHeader],
}

// notOurs are ext fields that no header names: they belong to layers above and below.
var notOurs = map[string]string{
	"AccessKey": "signature", "Signature": "signature", "SecurityToken": "signature",
	"MSG_REGION": "added to the answers of sends", "TRACE_ON": "added to the answers of sends",
	"_UNIQUE_KEY_QUERY": "read by the handler of QUERY_MESSAGE",
	"ReqT":              "stream type of lite pull clients",
}

// javaDefaults are the values of Java's primitive fields, which we send and an older peer may leave out.
var javaDefaults = []string{"0", "-1", "false", "true"}

func goldenHeader(g *golden.Frame) (h Header) {
	if g.Kind != "response" {
		if make, ok := requestHeaders[RequestCode(g.Code)]; ok {
			return make()
		}
		return nil
	}
	if make, ok := responseHeaders[RequestCode(g.RequestCode)]; ok && len(g.Ext) > 0 {
		return make()
	}
	return nil
}

// TestGoldenHeaders decodes the header of every golden frame, and finds each of its fields again when it is encoded.
func TestGoldenHeaders(t *testing.T) {
	decoded := map[string]bool{}
	for run, frames := range golden.AllFrames(t) {
		for i := range frames {
			g := &frames[i]
			h := goldenHeader(g)
			if h == nil {
				continue
			}
			if err := h.Decode(fieldsOf(g.Ext)); err != nil {
				if g.Kind == "response" && g.Code != 0 || len(g.Ext) == 0 {
					continue // an error's answer has no header, and one scenario sends a request without any
				}
				t.Errorf("%s %d/%d %s %s: %v: %v", run, g.Conn, g.Seq, g.Kind, g.Name, err, g.Ext)
				continue
			}
			decoded[fmt.Sprintf("%T", h)] = true
			var again fieldList
			h.Encode(&again)
			for name, want := range g.Ext {
				got, _ := again.Get(name)
				if notOurs[name] == "" && string(got) != want { // absent and empty are the same

					t.Errorf("%s %d/%d %s %s: field %s=%q is encoded as %q", run, g.Conn, g.Seq, g.Kind, g.Name, name, want, got)
				}
			}
			for j, name := range again.names {
				if _, ok := g.Ext[name]; !ok && !slices.Contains(javaDefaults, again.values[j]) {
					t.Errorf("%s %d/%d %s %s: field %s=%q was not there", run, g.Conn, g.Seq, g.Kind, g.Name, name, again.values[j])
				}
			}
		}
	}
	for _, all := range []map[RequestCode]func() Header{requestHeaders, responseHeaders} {
		for code, make := range all {
			if name := fmt.Sprintf("%T", make()); !decoded[name] {
				t.Logf("no golden frame for %s (%v)", name, code)
			}
		}
	}
}

// TestHeaderRoundTrip encodes each golden header, decodes it, and encodes it to the same.
func TestHeaderRoundTrip(t *testing.T) {
	for _, frames := range golden.AllFrames(t) {
		for i := range frames {
			h := goldenHeader(&frames[i])
			if h == nil || h.Decode(fieldsOf(frames[i].Ext)) != nil {
				continue
			}
			var first, second fieldList
			h.Encode(&first)
			if err := h.Decode(&first); err != nil {
				t.Fatalf("%T %v: %v", h, first, err)
			}
			h.Encode(&second)
			if !slices.Equal(first.names, second.names) || !slices.Equal(first.values, second.values) {
				t.Fatalf("%T: %v, then %v", h, first, second)
			}
		}
	}
}

// All headers but those of sending and pulling hold what they say when the
// command that they were decoded from is gone.
func TestHeadersOwnTheirText(t *testing.T) {
	borrowing, owning, wrong := 0, 0, map[string]bool{}
	for _, frames := range golden.AllFrames(t) {
		for i := range frames {
			h := goldenHeader(&frames[i])
			fields := &loan{fieldList: fieldsOf(frames[i].Ext)}
			if h == nil || h.Decode(fields) != nil {
				continue
			}
			var first, second fieldList
			h.Encode(&first)
			fields.takeBack()
			h.Encode(&second)
			switch h.(type) {
			case *SendMessageRequestHeader, *sendV2, *SendMessageResponseHeader, *PullMessageRequestHeader:
				borrowing++
				continue
			}
			owning++
			name := fmt.Sprintf("%T", h)
			if !wrong[name] && (!slices.Equal(first.names, second.names) || !slices.Equal(first.values, second.values)) {
				wrong[name] = true
				t.Errorf("%s: %v, then %v", name, first, second)
			}
		}
	}
	if borrowing == 0 || owning == 0 {
		t.Errorf("%d headers that borrow, %d that do not", borrowing, owning)
	}
}
