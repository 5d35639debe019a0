package nameserver

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/internal/properties"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// replayed is a recorded frame with the recording that it is from.
type replayed struct {
	golden.Frame
	recording string
}

// recordedRun gives all frames between one run's clients, brokers and name server, in the order of time.
func recordedRun(all map[string][]golden.Frame, run string) []replayed {
	var frames []replayed
	for name, list := range all {
		if strings.HasPrefix(name, run+".client-namesrv.") || strings.HasPrefix(name, run+".broker-namesrv.") {
			for _, f := range list {
				frames = append(frames, replayed{f, name})
			}
		}
	}
	slices.SortStableFunc(frames, func(a, b replayed) int {
		return cmp.Or(cmp.Compare(a.T, b.T), strings.Compare(a.recording, b.recording), cmp.Compare(a.Conn, b.Conn), cmp.Compare(a.Seq, b.Seq))
	})
	return frames
}

// replay is a name server that is given a recorded run.
type replay struct {
	t        *testing.T
	server   *Server
	conns    map[string]net.Conn
	filled   map[string]bool              // topics that no recorded registration brought
	compared map[protocol.RequestCode]int // answers found equal
}

func (r *replay) conn(f replayed) net.Conn {
	key := fmt.Sprint(strings.SplitN(f.recording, ".", 3)[1], f.Conn)
	if r.conns[key] == nil {
		conn, err := net.Dial("tcp", r.server.Addr().String())
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(func() { conn.Close() })
		r.conns[key] = conn
	}
	return r.conns[key]
}

// ask sends the very bytes that were recorded and reads the answer.
func (r *replay) ask(f replayed) *remoting.Command {
	conn := r.conn(f)
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	if _, err := conn.Write(f.FrameBytes); err != nil {
		r.t.Fatal(err)
	}
	if f.Kind == "oneway" {
		return nil
	}
	var length [4]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		r.t.Fatalf("%s %d/%d: %v", f.recording, f.Conn, f.Seq, err)
	}
	frame := append(length[:], make([]byte, binary.BigEndian.Uint32(length[:]))...)
	if _, err := io.ReadFull(conn, frame[4:]); err != nil {
		r.t.Fatal(err)
	}
	resp := new(remoting.Command)
	if err := remoting.DecodeFrame(frame, resp); err != nil {
		r.t.Fatal(err)
	}
	return resp
}

// TestGoldenRuns sends every recorded request of clients and brokers to our name server, byte by byte, and compares the
// answers with those of Java's. The recordings have gaps, since of many equal exchanges only the first four were kept, and
// the runs shared a KV config: what Java's answers name and no recorded request brought is filled in before the request.
func TestGoldenRuns(t *testing.T) {
	all := golden.AllFrames(t)
	total := make(map[protocol.RequestCode]int)
	for _, run := range []string{"json", "json2", "rocketmq", "acting", "actingold", "auth", "mixed"} {
		t.Run(run, func(t *testing.T) {
			r := &replay{t: t, server: start(t, testOptions(t)), conns: make(map[string]net.Conn), filled: make(map[string]bool), compared: total}
			frames := recordedRun(all, run)
			answers := make(map[string]*golden.Frame)
			for i, f := range frames {
				if f.Kind == "response" {
					answers[fmt.Sprint(f.recording, f.Conn, f.Seq)] = &frames[i].Frame
				}
			}
			for _, f := range frames {
				if f.Dir != "c2s" || f.FrameTruncated {
					continue
				}
				answer := answers[fmt.Sprint(f.recording, f.Conn, f.ResponseSeq)]
				if f.Kind == "oneway" || answer == nil || answer.FrameTruncated {
					r.ask(f)
					continue
				}
				want := new(remoting.Command)
				if err := remoting.DecodeFrame(answer.FrameBytes, want); err != nil {
					t.Fatal(err)
				}
				r.fill(f, want)
				r.compare(f, r.ask(f), want)
			}
		})
	}
	for _, code := range []protocol.RequestCode{100, 101, 102, 103, 104, 105, 106, 205, 206, 216, 219, 224, 304, 311, 312, 313, 318, 319, 327, 901, 9999} {
		if total[code] == 0 {
			t.Errorf("no answer to request %d was compared", code)
		}
	}
	if total[protocol.GetRouteInfoByTopic] < 150 || total[protocol.RegisterBroker] < 30 {
		t.Errorf("few answers were compared: %v", total)
	}
}

// fill brings in what Java's answer names.
func (r *replay) fill(f replayed, want *remoting.Command) {
	var missing protocol.TopicRouteData
	var topics []string
	switch {
	case want.ResponseCode() != protocol.Success:
		return
	case protocol.RequestCode(f.Code) == protocol.GetRouteInfoByTopic:
		r.decode(f, want.Body, &missing)
		topics = []string{f.Ext["topic"]}
	case protocol.RequestCode(f.Code) == protocol.GetAllTopicListFromNameServer:
		var list protocol.TopicList
		r.decode(f, want.Body, &list)
		topics = list.TopicList
		missing.QueueDatas = []protocol.QueueData{{BrokerName: "golden-a"}}
	case protocol.RequestCode(f.Code) == protocol.AddWritePermOfBroker: // a later registration gave this one all it had
		r.filled["TBW102"] = true
	case protocol.RequestCode(f.Code) == protocol.RegisterBroker && len(want.Body) > 0:
		var ordered protocol.KVTable
		r.decode(f, want.Body, &ordered)
		for topic, queues := range ordered.Table {
			if err := r.server.kv.Put(protocol.NamespaceOrderTopicConfig, topic, queues); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	s := r.server
	s.routes.Lock()
	defer s.routes.Unlock()
	for _, topic := range topics {
		if s.routes.table.Route(topic) != nil && !(r.filled[topic] && f.Code == int32(protocol.GetRouteInfoByTopic)) {
			continue
		}
		if r.filled[topic] = true; !s.routes.table.RegisterTopic(topic, missing.QueueDatas) {
			r.t.Errorf("%s: topic %s cannot be filled in", place(f), topic)
		}
		for host, mapping := range missing.TopicQueueMappingByBroker {
			s.routes.table.mappings[topic] = map[string]*hostedMapping{host: {mapping, host}}
		}
	}
}

func (r *replay) decode(f replayed, body []byte, v any) {
	r.t.Helper()
	if err := protocol.UnmarshalJSON(body, v); err != nil {
		r.t.Fatalf("%s: %v", place(f), err)
	}
}

func place(f replayed) string {
	return fmt.Sprintf("%s, connection %d, frame %d, %s", f.recording, f.Conn, f.Seq, f.Name)
}

func (r *replay) compare(f replayed, got, want *remoting.Command) {
	if got.Code != want.Code || got.Opaque != want.Opaque {
		r.t.Errorf("%s: code %d %q, want %d %q", place(f), got.Code, got.Remark, want.Code, want.Remark)
		return
	}
	if want.Remark != "not set any response code" && got.Remark != want.Remark { // Java forgets the remark of 901
		r.t.Errorf("%s: remark %q, want %q", place(f), got.Remark, want.Remark)
	}
	gotFields, wantFields := fieldsOf(got), fieldsOf(want)
	if !maps.Equal(gotFields, wantFields) {
		r.t.Errorf("%s: header %v, want %v", place(f), gotFields, wantFields)
	}
	if protocol.RequestCode(f.Code) == protocol.GetNamesrvConfig {
		r.compareConfig(f, got.Body, want.Body)
	} else if g, w := meaning(r.t, got.Body), meaning(r.t, want.Body); !reflect.DeepEqual(g, w) {
		r.t.Errorf("%s: body\n%v\nwant\n%v", place(f), g, w)
	}
	r.compared[protocol.RequestCode(f.Code)]++
}

// compareConfig holds our settings against Java's of the same name, those aside that depend on where it runs.
func (r *replay) compareConfig(f replayed, got, want []byte) {
	java := make(map[string]string)
	entries, err := properties.Parse("", want)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range entries {
		java[e.Key] = e.Value
	}
	ours, err := properties.Parse("", got)
	if err != nil {
		r.t.Fatal(err)
	}
	equal := 0
	for _, e := range ours {
		switch value, ok := java[e.Key]; {
		case !ok || slices.Contains([]string{"listenPort", "kvConfigPath", "configStorePath"}, e.Key):
		case e.Key == "notifyMinBrokerIdChanged": // set in some runs
		case value != e.Value:
			r.t.Errorf("%s: %s is %s, want %s", place(f), e.Key, e.Value, value)
		default:
			equal++
		}
	}
	if equal < 10 {
		r.t.Errorf("%s: only %d settings are Java's", place(f), equal)
	}
}

func fieldsOf(c *remoting.Command) map[string]string {
	fields := make(map[string]string)
	for i := range c.Fields.Len() {
		name, value := c.Fields.At(i)
		fields[string(name)] = string(value)
	}
	return fields
}

// meaning reads a body so that equal ones are equal whatever the order of their members and elements.
func meaning(t *testing.T, body []byte) any {
	t.Helper()
	if len(body) == 0 {
		return nil
	}
	var v any
	if err := protocol.UnmarshalJSON(body, &v); err != nil {
		t.Fatal(err)
	}
	sortLists(v)
	return v
}

func sortLists(v any) {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			sortLists(element)
		}
		slices.SortFunc(v, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }) // Sprint sorts maps
	case map[string]any:
		for _, member := range v {
			sortLists(member)
		}
	}
}

// TestGoldenBodiesParse reads every JSON body in the recordings of clients, brokers and name server.
func TestGoldenBodiesParse(t *testing.T) {
	parsed := 0
	for name, frames := range golden.AllFrames(t) {
		for _, f := range frames {
			if f.FrameTruncated {
				continue
			}
			var c remoting.Command
			if err := remoting.DecodeFrame(f.FrameBytes, &c); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if len(c.Body) == 0 || c.Body[0] != '{' && c.Body[0] != '[' {
				continue
			}
			standard, err := protocol.StandardJSON(c.Body)
			if err != nil {
				t.Errorf("%s, connection %d, frame %d, %s: %v", name, f.Conn, f.Seq, f.Name, err)
			} else if !json.Valid(standard) {
				t.Errorf("%s, connection %d, frame %d, %s: became %s", name, f.Conn, f.Seq, f.Name, standard)
			}
			parsed++
		}
	}
	if parsed < 700 {
		t.Errorf("only %d bodies", parsed)
	}
}
