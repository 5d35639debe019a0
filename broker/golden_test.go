package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// notReplayed are requests of the recordings that are left out: what the broker does not do yet, and what talks of the state
// of another process.
var notReplayed = map[int32]string{
	int32(protocol.EndTransaction):                  "offsets are those of the recorded store",
	int32(protocol.GetConsumerRunningInfo):          "the recorded client answered it",
	int32(protocol.ConsumeMessageDirectly):          "the recorded client answered it",
	int32(protocol.InvokeBrokerToGetConsumerStatus): "the recorded client answered it",
	int32(protocol.SendReplyMessage):                "the recorded client took it",
	int32(protocol.SendReplyMessageV2):              "the recorded client took it",
	int32(protocol.UpdateAndCreateStaticTopic):      "static topics",
	int32(protocol.ExchangeBrokerHAInfo):            "slaves",
	int32(protocol.ResetMasterFlushOffset):          "slaves",
	int32(protocol.GetBrokerEpochCache):             "controller",
	int32(protocol.SwitchTimerEngine):               "timers",
	int32(protocol.GetColdDataFlowCtrInfo):          "cold data control",
	int32(protocol.UpdateColdDataFlowCtrConfig):     "cold data control",
	int32(protocol.RemoveColdDataFlowCtrConfig):     "cold data control",
	int32(protocol.CheckRocksDBCQWriteProgress):     "RocksDB",
	int32(protocol.ExportRocksDBConfigToJSON):       "RocksDB",
	int32(protocol.ResumeCheckHalfMessage):          "offsets are those of the recorded store",
}

// mayDiffer says why an answer may have another code than the recorded one, or is empty when it may not.
func mayDiffer(scenario string, req *remoting.Command, want, got protocol.ResponseCode) string {
	f := func(name string) string { return req.Fields.Text(name) }
	switch code := req.RequestCode(); {
	case code >= 200000 || req.Serialize == remoting.SerializeRocketMQ && code > 900:
		return "pop and light topics, which a binary header cannot name"
	case len(req.Body) == 0 && want == protocol.SystemError && got == protocol.MessageIllegal:
		return "where Java has a null pointer"
	case scenario == "static-topic" || f("topic") == "GW_static" || f("b") == "GW_static":
		return "static topics"
	case code == protocol.RecallMessage && got == protocol.IllegalOperation:
		return "the time that the recorded handle names is over"
	case code == protocol.PullMessage || code == protocol.LitePullMessage:
		return "what a pull finds depends on the messages that the recording leaves out"
	case code == protocol.ViewMessageByID, code == protocol.QueryMessage, code == protocol.ConsumerSendMsgBack:
		return "offsets and unique keys are those of the recorded store"
	case code == protocol.ViewBrokerStatsData, code == protocol.QueryConsumeQueue:
		return "it depends on what was sent and read before"
	case code == protocol.GetConsumerConnectionList, code == protocol.GetConsumerListByGroup, code == protocol.GetProducerConnectionList:
		return "it depends on who is online"
	case code == protocol.QueryConsumerOffset, code == protocol.UpdateConsumerOffset:
		return "it depends on what was consumed before"
	case code == protocol.InvokeBrokerToResetOffset && want != got:
		return "it depends on which groups and offsets there are"
	case code == protocol.UpdateBrokerConfig:
		return "some settings are fixed here while the broker runs"
	case want == protocol.TopicNotExist || got == protocol.TopicNotExist:
		return "topics of exchanges that the recording leaves out"
	}
	return ""
}

// The broker answers what Java clients and tools of 5.5.0 ask with the codes and the header fields that Java's broker
// answered with. The frames are sent as they were recorded, in both serializations.
func TestGoldenFrames(t *testing.T) {
	for _, run := range []string{"json", "json2", "rocketmq"} {
		t.Run(run, func(t *testing.T) {
			s := start(t, func(o *Options) { o.BrokerName, o.RecallMessageEnable = "golden-a", true })
			r := &replay{bench: s, conns: map[string]net.Conn{}, seen: map[int32]int{}}
			defer r.close()
			type scene struct {
				name   string
				frames []golden.Frame
			}
			var scenes []scene
			for name, frames := range golden.AllFrames(t) {
				parts := strings.Split(name, ".")
				if parts[0] == run && parts[1] == "client-broker" && len(frames) > 0 {
					scenes = append(scenes, scene{parts[2], frames})
				}
			}
			slices.SortFunc(scenes, func(a, b scene) int { return int(a.frames[0].T - b.frames[0].T) })
			for _, sc := range scenes {
				r.scenario(sc.name, sc.frames)
			}
			t.Logf("%d answers compared, %d of them may differ by their state; %d request codes", r.compared, r.differing, len(r.seen))
			if run == "json" && (r.compared < 300 || len(r.seen) < 45) {
				t.Errorf("only %d answers compared, of %d request codes", r.compared, len(r.seen))
			}
		})
	}
}

// A replay sends recorded frames to a broker, over as many connections as there were.
type replay struct {
	*bench
	conns               map[string]net.Conn
	seen                map[int32]int
	compared, differing int
}

func (r *replay) close() {
	for _, nc := range r.conns {
		nc.Close()
	}
}

func (r *replay) scenario(name string, frames []golden.Frame) {
	answers := map[string]golden.Frame{}
	key := func(conn, seq int) string { return fmt.Sprintf("%d/%d", conn, seq) }
	for _, f := range frames {
		if f.Kind == "response" && f.Dir == "s2c" {
			answers[key(f.Conn, f.RequestSeq)] = f
		}
	}
	for _, f := range frames {
		want, ok := answers[key(f.Conn, f.Seq)]
		if f.Dir != "c2s" || f.Kind == "response" || f.FrameTruncated || notReplayed[f.Code] != "" || f.Kind == "request" && !ok {
			continue
		}
		r.exchange(name, f, want)
	}
}

// exchange sends one frame and compares the answer with the recorded one.
func (r *replay) exchange(scenario string, f, want golden.Frame) {
	r.Helper()
	var req remoting.Command
	if err := remoting.DecodeFrame(f.FrameBytes, &req); err != nil {
		r.Fatalf("%s: frame of code %d: %v", scenario, f.Code, err)
	}
	frame := f.FrameBytes
	_, pulls := req.Fields.Get("suspendTimeoutMillis")
	if _, pops := req.Fields.Get("pollTime"); pulls || pops {
		frame = impatient(r.TB, &req)
	}
	nc := r.conn(scenario, f.Conn)
	if _, err := nc.Write(frame); err != nil {
		r.Fatalf("%s: %v", scenario, err)
	}
	if f.Kind == "oneway" {
		return
	}
	got := r.answer(nc, req.Opaque)
	r.seen[f.Code]++
	r.compared++
	where := fmt.Sprintf("%s: %s (%d) of connection %d, frame %d", scenario, f.Name, f.Code, f.Conn, f.Seq)
	if got.Serialize != req.Serialize {
		r.Errorf("%s: answered in another serialization", where)
	}
	if got.ResponseCode() != protocol.ResponseCode(want.Code) {
		if mayDiffer(scenario, &req, protocol.ResponseCode(want.Code), got.ResponseCode()) != "" {
			r.differing++
			return
		}
		remark := ""
		if want.Remark != nil {
			remark = *want.Remark
		}
		r.Errorf("%s: answer %d %q, Java's %d %q\n fields %v", where, got.Code, got.Remark, want.Code, remark, f.Ext)
		return
	}
	r.compareFields(where, want, got)
	r.compareBody(where, want, got)
}

// impatient is the request with a hold of no time, sent now.
func impatient(tb testing.TB, req *remoting.Command) []byte {
	c := remoting.NewRequest(req.RequestCode())
	c.Opaque, c.Serialize, c.Version, c.Language = req.Opaque, req.Serialize, req.Version, req.Language
	for i := range req.Fields.Len() {
		name, value := req.Fields.At(i)
		switch string(name) {
		case "suspendTimeoutMillis", "pollTime", "bornTime": // a pop born so long ago is refused
			value = []byte("0")
		}
		c.Fields.AddBytes(string(name), value)
	}
	frame, err := c.AppendFrame(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return frame
}

// compareFields checks that the answer has the fields that Java's had.
func (r *replay) compareFields(where string, want golden.Frame, got *remoting.Command) {
	r.Helper()
	have := map[string]bool{}
	for i := range got.Fields.Len() {
		name, _ := got.Fields.At(i)
		have[string(name)] = true
	}
	for _, name := range slices.Sorted(maps.Keys(want.Ext)) {
		if !have[name] && name != "recallHandle" && name != "offsetDelta" { // of timers and static topics
			r.Errorf("%s: no field %s (Java's %q) in the answer", where, name, want.Ext[name])
		}
	}
	for _, name := range []string{"queueId", "transactionId", "MSG_REGION", "TRACE_ON", "IS_SUPPORT_HEART_BEAT_V2", "suggestWhichBrokerId", "topicSysFlag", "groupSysFlag"} {
		if v, ok := want.Ext[name]; ok && v != got.Fields.Text(name) && !anyQueue[name] {
			r.Errorf("%s: field %s is %q, Java's %q", where, name, got.Fields.Text(name), v)
		}
	}
}

// anyQueue are fields that the broker chooses in some of the recorded exchanges.
var anyQueue = map[string]bool{"queueId": true, "transactionId": true}

// compareBody checks that a JSON body has the members that Java's had.
func (r *replay) compareBody(where string, want golden.Frame, got *remoting.Command) {
	r.Helper()
	if want.BodyText == nil || !strings.HasPrefix(*want.BodyText, "{") {
		return
	}
	var w, g map[string]any
	if err := protocol.UnmarshalJSON([]byte(*want.BodyText), &w); err != nil {
		return // cut
	}
	if err := protocol.UnmarshalJSON(got.Body, &g); err != nil {
		r.Errorf("%s: body %q: %v", where, got.Body, err)
		return
	}
	for name := range w {
		if _, ok := g[name]; !ok {
			r.Errorf("%s: no member %s in the body %.200s, Java's %.200s", where, name, got.Body, *want.BodyText)
		}
	}
}

func (r *replay) conn(scenario string, n int) net.Conn {
	key := fmt.Sprintf("%s/%d", scenario, n)
	if r.conns[key] == nil {
		nc, err := net.Dial("tcp", r.Addr())
		if err != nil {
			r.Fatal(err)
		}
		r.conns[key] = nc
	}
	return r.conns[key]
}

// answer reads frames until the answer to the request comes; what the broker asks meanwhile is passed over.
func (r *replay) answer(nc net.Conn, opaque int32) *remoting.Command {
	r.Helper()
	for {
		if err := nc.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			r.Fatal(err)
		}
		var size [4]byte
		if _, err := io.ReadFull(nc, size[:]); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				r.Fatal("no answer")
			}
			r.Fatal(err)
		}
		frame := make([]byte, 4+binary.BigEndian.Uint32(size[:]))
		copy(frame, size[:])
		if _, err := io.ReadFull(nc, frame[4:]); err != nil {
			r.Fatal(err)
		}
		c := new(remoting.Command)
		if err := remoting.DecodeFrame(frame, c); err != nil {
			r.Fatal(err)
		}
		if c.IsResponse() && c.Opaque == opaque {
			return c
		}
	}
}
