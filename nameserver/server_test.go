package nameserver

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// testOptions are the default ones on any port of the loopback, with files in the test's folder.
func testOptions(t testing.TB) *Options {
	dir := t.TempDir()
	o := DefaultOptions()
	o.BindAddress, o.ListenPort = "127.0.0.1", -1
	o.KVConfigPath = filepath.Join(dir, "namesrv", "kvConfig.json")
	o.ConfigStorePath = filepath.Join(dir, "namesrv", "namesrv.properties")
	return o
}

func start(t testing.TB, o *Options) *Server {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// caller talks to one server.
type caller struct {
	t      testing.TB
	client *remoting.Client
	addr   string
}

func call(t testing.TB, s *Server) *caller {
	client := remoting.NewClient(nil)
	t.Cleanup(client.Close)
	return &caller{t, client, s.Addr().String()}
}

// send makes one request; header and body may be nil.
func (c *caller) send(code protocol.RequestCode, header protocol.Header, body []byte) *remoting.Command {
	c.t.Helper()
	req := remoting.NewRequest(code)
	if header != nil {
		header.Encode(&req.Fields)
	}
	req.Body = body
	return c.sendCommand(req)
}

func (c *caller) sendCommand(req *remoting.Command) *remoting.Command {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	resp, err := c.client.Call(ctx, c.addr, req)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}

// ok is send with the expectation that it succeeds.
func (c *caller) ok(code protocol.RequestCode, header protocol.Header, body []byte) *remoting.Command {
	c.t.Helper()
	resp := c.send(code, header, body)
	if resp.ResponseCode() != protocol.Success {
		c.t.Fatalf("request %d: code %d, %s", code, resp.Code, resp.Remark)
	}
	return resp
}

func (c *caller) register(id int64, addr string, topics ...string) *remoting.Command {
	c.t.Helper()
	body, err := topicsOf(1, topics...).Encode(false)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.ok(protocol.RegisterBroker, &protocol.RegisterBrokerRequestHeader{
		BrokerName: "a", BrokerAddr: addr, ClusterName: "c", HAServerAddr: addr + "9", BrokerID: id,
		EnableActingMaster: protocol.Some(true), BodyCRC32: protocol.BodyCRC32(body),
	}, body)
}

func (c *caller) route(topic string) *remoting.Command {
	c.t.Helper()
	return c.send(protocol.GetRouteInfoByTopic, &protocol.GetRouteInfoRequestHeader{Topic: topic}, nil)
}

// serve lets another server listen on the loopback and gives its address.
func serve(t testing.TB, server *remoting.Server) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

func TestServerRegistersAndRoutes(t *testing.T) {
	s := start(t, testOptions(t))
	c := call(t, s)
	resp := c.register(0, "10.0.0.1:10911", "T", "U")
	if resp.Body != nil || resp.Fields.Len() != 0 {
		t.Errorf("master learns %q, %d fields", resp.Body, resp.Fields.Len())
	}
	resp = c.register(1, "10.0.0.2:10911", "T", "U")
	if got := resp.Fields.Text("masterAddr") + " " + resp.Fields.Text("haServerAddr"); got != "10.0.0.1:10911 10.0.0.1:109119" {
		t.Errorf("slave learns %s", got)
	}
	const strict = `{"brokerDatas":[{"brokerAddrs":{"0":"10.0.0.1:10911","1":"10.0.0.2:10911"},"brokerName":"a","cluster":"c","enableActingMaster":true}],` +
		`"filterServerTable":{},"queueDatas":[{"brokerName":"a","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}`
	if got := string(c.route("T").Body); got != strict {
		t.Errorf("route:\n%s\nwant\n%s", got, strict)
	}

	old := remoting.NewRequest(protocol.GetRouteInfoByTopic)
	old.Version = 317 // Go's client
	old.Fields.Add("topic", "T")
	if got, want := string(c.sendCommand(old).Body), strings.ReplaceAll(strings.ReplaceAll(strict, `"0"`, "0"), `"1"`, "1"); got != want {
		t.Errorf("route for old clients:\n%s\nwant\n%s", got, want)
	}
	old = remoting.NewRequest(protocol.GetRouteInfoByTopic)
	old.Version = 317
	old.Fields.Add("topic", "T")
	old.Fields.Add("acceptStandardJsonOnly", "true")
	if got := string(c.sendCommand(old).Body); got != strict {
		t.Errorf("route for old clients that want standard JSON:\n%s", got)
	}

	none := c.route("nobody's")
	if none.ResponseCode() != protocol.TopicNotExist || !strings.HasPrefix(none.Remark, "No topic route info in name server for the topic: nobody's") {
		t.Errorf("unknown topic: %d %s", none.Code, none.Remark)
	}
}

func TestServerRefusesBadRequests(t *testing.T) {
	refused := make(chan error, 10)
	o := testOptions(t)
	o.Listener.RegistrationRefused = func(_, _ string, reason error) { refused <- reason }
	c := call(t, start(t, o))
	good := &protocol.RegisterBrokerRequestHeader{BrokerName: "a", BrokerAddr: "1:1", ClusterName: "c"}
	crc, compressed := *good, *good
	crc.BodyCRC32, compressed.Compressed = 1, true
	single, err := topicsOf(1, "T").Encode(false)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []struct {
		name   string
		code   protocol.RequestCode
		header protocol.Header
		body   string
		want   protocol.ResponseCode
		remark string
	}{
		{"no header", protocol.RegisterBroker, nil, "", protocol.SystemError, "brokerName"},
		{"checksum", protocol.RegisterBroker, &crc, "{}", protocol.SystemError, "crc32 not match"},
		{"bad JSON", protocol.RegisterBroker, good, "{", protocol.SystemError, "registration body"},
		{"bad stream", protocol.RegisterBroker, &compressed, "garbage", protocol.SystemError, "registration body"},
		{"single topic", protocol.RegisterBroker, good, string(single), protocol.SystemError, "register broker failed"},
		{"version without header", protocol.QueryDataVersion, nil, "", protocol.SystemError, "brokerAddr"},
		{"version of bad JSON", protocol.QueryDataVersion, &protocol.QueryDataVersionRequestHeader{BrokerAddr: "1:1", ClusterName: "c"}, "{", protocol.SystemError, "json"},
		{"heartbeat without header", protocol.BrokerHeartbeat, nil, "", protocol.SystemError, "clusterName"},
		{"unregister without header", protocol.UnregisterBroker, nil, "", protocol.SystemError, "brokerName"},
		{"members without header", protocol.GetBrokerMemberGroup, nil, "", protocol.SystemError, "brokerName"},
		{"route without topic", protocol.GetRouteInfoByTopic, nil, "", protocol.SystemError, "topic"},
		{"wipe without name", protocol.WipeWritePermOfBroker, nil, "", protocol.SystemError, "brokerName"},
		{"add without name", protocol.AddWritePermOfBroker, nil, "", protocol.SystemError, "brokerName"},
		{"register no topic", protocol.RegisterTopicInNamesrv, nil, "", protocol.SystemError, "topic"},
		{"register topic, bad JSON", protocol.RegisterTopicInNamesrv, &protocol.RegisterTopicRequestHeader{Topic: "T"}, "[", protocol.SystemError, "json"},
		{"delete no topic", protocol.DeleteTopicInNamesrv, nil, "", protocol.SystemError, "topic"},
		{"put nothing", protocol.PutKVConfig, nil, "", protocol.SystemError, "null"},
		{"get nothing", protocol.GetKVConfig, nil, "", protocol.QueryNotFound, "No config item"},
		{"list nothing", protocol.GetKVListByNamespace, nil, "", protocol.QueryNotFound, "No config item"},
		{"settings not parsed", protocol.UpdateNamesrvConfig, nil, "a=\\u1", protocol.SystemError, "malformed"},
		{"settings not valid", protocol.UpdateNamesrvConfig, nil, "listenPort=99999", protocol.SystemError, "listenPort"},
		{"settings not true", protocol.UpdateNamesrvConfig, nil, "orderMessageEnable=yes", protocol.SystemError, "orderMessageEnable"},
		{"settings fixed", protocol.UpdateNamesrvConfig, nil, "orderMessageEnable=true\nkvConfigPath=/x", protocol.NoPermission, "black list"},
		{"unknown code", 9999, nil, "", protocol.RequestCodeNotSupported, "9999"},
	} {
		resp := c.send(r.code, r.header, []byte(r.body))
		if resp.ResponseCode() != r.want || !strings.Contains(resp.Remark, r.remark) {
			t.Errorf("%s: got %d %q, want %d %q", r.name, resp.Code, resp.Remark, r.want, r.remark)
		}
	}
	if err := <-refused; err != ErrSingleTopic {
		t.Errorf("told of %v", err)
	}
	if topics := c.ok(protocol.GetAllTopicListFromNameServer, nil, nil); string(topics.Body) != `{"topicList":[]}` {
		t.Errorf("topics after all that: %s", topics.Body)
	}
}

func TestServerDataVersionAndHeartbeat(t *testing.T) {
	c := call(t, start(t, testOptions(t)))
	query := func(version string) (changed, body string) {
		resp := c.ok(protocol.QueryDataVersion, &protocol.QueryDataVersionRequestHeader{BrokerAddr: "1:1", ClusterName: "c"}, []byte(version))
		return resp.Fields.Text("changed"), string(resp.Body)
	}
	if changed, body := query(`{"counter":1}`); changed != "true" || body != "" {
		t.Errorf("unknown broker: %s %s", changed, body)
	}
	c.register(0, "1:1", "T", "U")
	const ours = `{"counter":1,"stateVersion":0,"timestamp":0}`
	if changed, body := query(ours); changed != "false" || body != ours {
		t.Errorf("same version: %s %s", changed, body)
	}
	if changed, body := query(`{counter:2}`); changed != "true" || body != ours {
		t.Errorf("other version: %s %s", changed, body)
	}
	if changed, _ := query(""); changed != "true" {
		t.Errorf("no version: %s", changed)
	}
	c.ok(protocol.BrokerHeartbeat, &protocol.BrokerHeartbeatRequestHeader{BrokerAddr: "1:1", ClusterName: "c"}, nil)
	c.ok(protocol.BrokerHeartbeat, &protocol.BrokerHeartbeatRequestHeader{BrokerAddr: "1:2", ClusterName: "c"}, nil)
}

func TestServerForgetsBrokers(t *testing.T) {
	left := make(chan string, 10)
	registered := make(chan Member, 10)
	o := testOptions(t)
	o.ScanNotActiveBrokerInterval = 10
	o.Listener.BrokerRegistered = func(b Member) { registered <- b }
	o.Listener.BrokerLeft = func(b Member, reason string) { left <- b.Addr + " " + reason }
	s := start(t, o)
	broker, other := call(t, s), call(t, s)

	broker.register(0, "1:1", "T", "U")
	broker.register(0, "1:1", "T", "U")
	broker.ok(protocol.UnregisterBroker, &protocol.UnregisterBrokerRequestHeader{BrokerName: "a", BrokerAddr: "1:1", ClusterName: "c"}, nil)
	if got := <-left; got != "1:1 unregistered" {
		t.Errorf("got %s", got)
	}
	broker.register(0, "1:2", "T", "U")
	broker.client.CloseConn(broker.addr)
	if got := <-left; got != "1:2 disconnected" {
		t.Errorf("got %s", got)
	}
	if resp := other.route("T"); resp.ResponseCode() != protocol.TopicNotExist {
		t.Errorf("route of a disconnected broker: %d", resp.Code)
	}

	header := &protocol.RegisterBrokerRequestHeader{BrokerName: "a", BrokerAddr: "1:3", ClusterName: "c", HeartbeatTimeoutMillis: protocol.Some[int64](1)}
	conn, err := broker.client.Conn(context.Background(), broker.addr)
	if err != nil {
		t.Fatal(err)
	}
	broker.ok(protocol.RegisterBroker, header, nil)
	if got := <-left; got != "1:3 expired" {
		t.Errorf("got %s", got)
	}
	select {
	case <-conn.Done():
	case <-time.After(10 * time.Second):
		t.Error("the connection of the expired broker stays")
	}
	if len(registered) != 3 {
		t.Errorf("%d brokers were new, want 3", len(registered))
	}
}

func TestServerTellsOfMinBrokerID(t *testing.T) {
	notices := make(chan string, 10)
	member := remoting.NewServer(nil)
	member.Handle(protocol.NotifyMinBrokerIDChange, func(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
		notices <- strings.Join([]string{req.Fields.Text("brokerName"), req.Fields.Text("minBrokerId"), req.Fields.Text("minBrokerAddr"),
			req.Fields.Text("offlineBrokerAddr"), req.Fields.Text("haBrokerAddr")}, " ")
		return remoting.NoReply()
	}, remoting.Inline())
	failed := make(chan string, 10)
	o := testOptions(t)
	o.NotifyMinBrokerIDChanged = true
	o.Listener.NoticeFailed = func(addr string, _ error) { failed <- addr }
	s := start(t, o)
	addr := serve(t, member)

	c := call(t, s)
	c.register(1, addr, "T", "U")
	c.register(0, "127.0.0.1:1", "T", "U")
	if got, want := <-notices, "a 0 127.0.0.1:1  127.0.0.1:19"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c.ok(protocol.UnregisterBroker, &protocol.UnregisterBrokerRequestHeader{BrokerName: "a", BrokerAddr: "127.0.0.1:1", ClusterName: "c"}, nil)
	if got, want := <-notices, "a 1 "+addr+" 127.0.0.1:1 "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c.register(2, "127.0.0.1:1", "T", "U") // nobody serves there
	c.ok(protocol.UnregisterBroker, &protocol.UnregisterBrokerRequestHeader{BrokerName: "a", BrokerAddr: addr, ClusterName: "c"}, nil)
	if got := <-failed; got != "127.0.0.1:1" {
		t.Errorf("got %s", got)
	}
}

func TestServerAdministration(t *testing.T) {
	c := call(t, start(t, testOptions(t)))
	c.register(0, "1:1", "T", "U")
	body := func(code protocol.RequestCode, header protocol.Header) string {
		t.Helper()
		return string(c.ok(code, header, nil).Body)
	}
	for _, r := range []struct{ got, want string }{
		{body(protocol.GetBrokerClusterInfo, nil), `{"brokerAddrTable":{"a":{"brokerAddrs":{0:"1:1"},"brokerName":"a","cluster":"c","enableActingMaster":true}},"clusterAddrTable":{"c":["a"]}}`},
		{body(protocol.GetBrokerMemberGroup, &protocol.GetBrokerMemberGroupRequestHeader{ClusterName: "c", BrokerName: "a"}), `{"brokerMemberGroup":{"brokerAddrs":{0:"1:1"},"brokerName":"a","cluster":"c"}}`},
		{body(protocol.GetBrokerMemberGroup, &protocol.GetBrokerMemberGroupRequestHeader{ClusterName: "c", BrokerName: "x"}), `{"brokerMemberGroup":{"brokerAddrs":{},"brokerName":"x","cluster":"c"}}`},
		{body(protocol.GetTopicsByCluster, &protocol.GetTopicsByClusterRequestHeader{Cluster: "c"}), `{"topicList":["T","U"]}`},
		{body(protocol.GetTopicsByCluster, &protocol.GetTopicsByClusterRequestHeader{Cluster: "d"}), `{"topicList":[]}`},
		{body(protocol.GetSystemTopicListFromNS, nil), `{"brokerAddr":"1:1","topicList":["c","a"]}`},
		{body(protocol.GetUnitTopicList, nil), `{"topicList":[]}`},
	} {
		if r.got != r.want {
			t.Errorf("got %s, want %s", r.got, r.want)
		}
	}
	if got := c.ok(protocol.WipeWritePermOfBroker, &protocol.WipeWritePermOfBrokerRequestHeader{BrokerName: "a"}, nil); got.Fields.Text("wipeTopicCount") != "2" {
		t.Errorf("wiped %s", got.Fields.Text("wipeTopicCount"))
	}
	if got := c.ok(protocol.AddWritePermOfBroker, &protocol.AddWritePermOfBrokerRequestHeader{BrokerName: "a"}, nil); got.Fields.Text("addTopicCount") != "2" {
		t.Errorf("added %s", got.Fields.Text("addTopicCount"))
	}
	c.ok(protocol.RegisterTopicInNamesrv, &protocol.RegisterTopicRequestHeader{Topic: "V"}, []byte(`{"queueDatas":[{"brokerName":"a","topicSysFlag":1}]}`))
	if got := body(protocol.GetUnitTopicList, nil); got != `{"topicList":["V"]}` {
		t.Errorf("unit topics: %s", got)
	}
	c.ok(protocol.DeleteTopicInNamesrv, &protocol.DeleteTopicFromNamesrvRequestHeader{Topic: "T", ClusterName: "c"}, nil)
	if got := body(protocol.GetAllTopicListFromNameServer, nil); got != `{"topicList":["U","V"]}` {
		t.Errorf("all topics: %s", got)
	}
}

func TestServerKVConfigAndOrderTopics(t *testing.T) {
	o := testOptions(t)
	o.OrderMessageEnable = true
	s := start(t, o)
	c := call(t, s)
	put := func(namespace, key, value string) {
		t.Helper()
		c.ok(protocol.PutKVConfig, &protocol.PutKVConfigRequestHeader{Namespace: namespace, Key: key, Value: value}, nil)
	}
	put(protocol.NamespaceOrderTopicConfig, "T", "a:4")
	put("NS", "k", "v ü")
	if got := c.register(0, "1:1", "T", "U"); string(got.Body) != `{"table":{"T":"a:4"}}` {
		t.Errorf("broker learns %s", got.Body)
	}
	if got := string(c.route("T").Body); !strings.Contains(got, `"orderTopicConf":"a:4"`) {
		t.Errorf("route of an ordered topic: %s", got)
	}
	if got := string(c.route("U").Body); strings.Contains(got, `orderTopicConf`) {
		t.Errorf("route of another topic: %s", got)
	}
	if got := c.ok(protocol.GetKVConfig, &protocol.GetKVConfigRequestHeader{Namespace: "NS", Key: "k"}, nil); got.Fields.Text("value") != "v ü" {
		t.Errorf("got %q", got.Fields.Text("value"))
	}
	c.ok(protocol.DeleteKVConfig, &protocol.DeleteKVConfigRequestHeader{Namespace: "NS", Key: "k"}, nil)
	c.ok(protocol.DeleteKVConfig, &protocol.DeleteKVConfigRequestHeader{Namespace: "none", Key: "k"}, nil)
	if got := c.ok(protocol.GetKVListByNamespace, &protocol.GetKVListByNamespaceRequestHeader{Namespace: "NS"}, nil); string(got.Body) != `{"table":{}}` {
		t.Errorf("got %s", got.Body)
	}

	again := call(t, start(t, o)) // on the same files
	if got := again.ok(protocol.GetKVListByNamespace, &protocol.GetKVListByNamespaceRequestHeader{Namespace: protocol.NamespaceOrderTopicConfig}, nil); string(got.Body) != `{"table":{"T":"a:4"}}` {
		t.Errorf("after a restart: %s", got.Body)
	}
}

func TestServerSettings(t *testing.T) {
	changed := make(chan []string, 10)
	o := testOptions(t)
	o.Listener.ConfigChanged = func(_ netip.AddrPort, keys []string) { changed <- keys }
	c := call(t, start(t, o))
	c.register(0, "1:1", "T", "U")
	settings := func() []string { return strings.Split(string(c.ok(protocol.GetNamesrvConfig, nil, nil).Body), "\n") }
	if got := settings(); !slices.Contains(got, "waitSecondsForService=45") || !slices.Contains(got, "enableTopicList=true") {
		t.Errorf("got %q", got)
	}
	c.ok(protocol.UpdateNamesrvConfig, nil, []byte("enableTopicList=false\nenableAllTopicList=false\nneedWaitForService=true\nnoSuchKey=1\n"))
	if got := <-changed; !slices.Equal(got, []string{"enableTopicList", "enableAllTopicList", "needWaitForService"}) {
		t.Errorf("told of %q", got)
	}
	for _, code := range []protocol.RequestCode{protocol.GetAllTopicListFromNameServer, protocol.GetTopicsByCluster, protocol.GetUnitTopicList} {
		if resp := c.send(code, nil, nil); resp.ResponseCode() != protocol.SystemError || resp.Remark != "disable" {
			t.Errorf("request %d: got %d %s", code, resp.Code, resp.Remark)
		}
	}
	if resp := c.route("T"); resp.ResponseCode() != protocol.SystemError || resp.Remark != "name server not ready" {
		t.Errorf("got %d %s", resp.Code, resp.Remark)
	}
	c.ok(protocol.UpdateNamesrvConfig, nil, []byte("waitSecondsForService=0"))
	if resp := c.route("T"); resp.ResponseCode() != protocol.Success {
		t.Errorf("got %d %s", resp.Code, resp.Remark)
	}
	file, err := os.ReadFile(o.ConfigStorePath)
	if err != nil || string(file) != strings.Join(settings(), "\n") {
		t.Errorf("the file has %s %v", file, err)
	}
}

func TestServerZone(t *testing.T) {
	c := call(t, start(t, testOptions(t)))
	body, err := topicsOf(1, "T", "U").Encode(true)
	if err != nil {
		t.Fatal(err)
	}
	c.ok(protocol.RegisterBroker, &protocol.RegisterBrokerRequestHeader{
		BrokerName: "a", BrokerAddr: "1:1", ClusterName: "c", Compressed: true, BodyCRC32: protocol.BodyCRC32(body), ZoneName: "north",
	}, body)
	ask := func(zone string) string {
		return string(c.ok(protocol.GetRouteInfoByTopic, &protocol.GetRouteInfoRequestHeader{Topic: "T", ZoneMode: protocol.Some(true), ZoneName: zone}, nil).Body)
	}
	if got := ask("North"); !strings.Contains(got, `"zoneName":"north"`) {
		t.Errorf("own zone: %s", got)
	}
	if got := ask("south"); got != `{"brokerDatas":[],"filterServerTable":{},"queueDatas":[]}` {
		t.Errorf("other zone: %s", got)
	}
}

func TestServerHTTP(t *testing.T) {
	get := func(s *Server, path string) (int, string) {
		t.Helper()
		resp, err := http.Get("http://" + s.HTTPAddr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	o := testOptions(t)
	o.AddressServerPort = -1
	s := start(t, o)
	for _, path := range []string{"/rocketmq/nsaddr", "/rocketmq/nsaddr-unit1?nofix=1"} {
		if code, body := get(s, path); code != http.StatusOK || body != s.Addr().String() {
			t.Errorf("%s: got %d %q, want %s", path, code, body, s.Addr())
		}
	}
	if code, _ := get(s, "/"); code != http.StatusNotFound {
		t.Errorf("/: got %d", code)
	}

	o = testOptions(t)
	o.BindAddress, o.AddressServerPort = "0.0.0.0", -1
	s = start(t, o)
	if resp, err := http.Get("http://" + netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.HTTPAddr().Port()).String() + "/rocketmq/nsaddr"); err != nil {
		t.Error(err)
	} else {
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if want := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.Addr().Port()).String(); string(body) != want {
			t.Errorf("listening everywhere: got %q, want %s", body, want)
		}
	}

	o = testOptions(t)
	o.AddressServerPort, o.AddressServerAddrs = -1, " 10.0.0.1:9876; 10.0.0.2:9876;"
	if code, body := get(start(t, o), "/rocketmq/nsaddr"); code != http.StatusOK || body != "10.0.0.1:9876;10.0.0.2:9876" {
		t.Errorf("configured: got %d %q", code, body)
	}
}

func TestServerDoesNotStart(t *testing.T) {
	s := start(t, testOptions(t))
	o := testOptions(t)
	o.ListenPort = int(s.Addr().Port())
	second, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("port in use: %v", err)
	}
	if err := second.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if second.Addr().IsValid() {
		t.Error("it says that it listens")
	}

	o = testOptions(t)
	o.AddressServerPort = int(s.Addr().Port())
	if second, err = New(o); err != nil {
		t.Fatal(err)
	}
	if err := second.Start(); err == nil || !strings.Contains(err.Error(), "address endpoint") {
		t.Errorf("HTTP port in use: %v", err)
	}
	if err := second.Close(context.Background()); err != nil {
		t.Error(err)
	}

	if _, err := New(&Options{ListenPort: 70000, AddressServerPort: -2, AddressServerAddrs: "x", ScanNotActiveBrokerInterval: -1, WaitSecondsForService: -1}); err == nil {
		t.Error("wrong options are taken")
	} else {
		for _, property := range []string{"listenPort", "addressServerPort", "addressServerAddrs", "scanNotActiveBrokerInterval", "waitSecondsForService"} {
			if !strings.Contains(err.Error(), "property "+property) {
				t.Errorf("%v does not name %s", err, property)
			}
		}
	}
}
