package broker

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/broker/flow"
	"github.com/rocketlog/rocketlog/internal/mappedfile"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// startCold starts a broker with a backlog of so many messages in queue 0 of Cold that is on disk only.
func startCold(t *testing.T, messages int, change func(*Options)) (*bench, *vfs.ColdFS) {
	fs := vfs.NewColdFS(vfs.OS)
	o := testOptions(t.TempDir())
	o.FS = fs
	if change != nil {
		change(o)
	}
	before := startWith(t, o)
	for i := range messages {
		before.put("Cold", 0, fmt.Sprint(i, strings.Repeat("x", 4000)))
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	s := startWith(t, o)
	fs.Chill(filepath.Join(o.StorePathRootDir, "commitlog", mappedfile.FileName(0)))
	return s, fs
}

// A backlog on disk comes whole and in order, read by the readers of cold messages.
func TestColdPulls(t *testing.T) {
	const messages = 300
	s, fs := startCold(t, messages, nil)
	for next := 0; next < messages; {
		p := s.pull(pullHeader("readers", "Cold", 0, int64(next)))
		s.wantCode(p.Command, protocol.Success)
		for _, body := range p.bodies() {
			if !strings.HasPrefix(body, fmt.Sprint(next, "x")) {
				t.Fatalf("message %d is %.10q", next, body)
			}
			next++
		}
	}
	m := s.Metrics()
	if m.ColdPulls == 0 || m.ColdPulls > messages/32 || m.Store.ColdBytes == 0 || m.ColdWaiting != 0 {
		t.Errorf("%d cold pulls of %d bytes, %d wait", m.ColdPulls, m.Store.ColdBytes, m.ColdWaiting)
	}
	if fs.Loaded() < messages*4000 {
		t.Errorf("%d bytes were loaded", fs.Loaded())
	}
}

// While a device takes its time over an old message, the same client sends and consumes new ones.
func TestColdPullHoldsUpNobody(t *testing.T) {
	s, fs := startCold(t, 10, nil)
	gate, loading := make(chan struct{}), make(chan struct{}, 1)
	fs.OnLoad = func(string, int, int) { loading <- struct{}{}; <-gate }
	done := make(chan pulled)
	go func() { done <- s.pull(pullHeader("readers", "Cold", 0, 0)) }()
	<-loading
	s.put("Hot", 0, "new")
	s.dispatched("Hot", 0, 1)
	if got := s.pull(pullHeader("readers", "Hot", 0, 0)).bodies(); len(got) != 1 || got[0] != "new" {
		t.Errorf("the new message is %q", got)
	}
	select {
	case p := <-done:
		t.Fatalf("answered %d before the device", p.Code)
	default:
	}
	close(gate)
	if p := <-done; len(p.records) != 10 {
		t.Errorf("%d messages, answer %d %q", len(p.records), p.Code, p.Remark)
	}
}

// More pulls than may wait are refused, with the numbers.
func TestColdPullsAreBounded(t *testing.T) {
	s, fs := startCold(t, 10, func(o *Options) { o.MaxColdPulls = 1 })
	gate := make(chan struct{})
	var loads atomic.Int64
	fs.OnLoad = func(string, int, int) { loads.Add(1); <-gate }
	answers := make(chan pulled, coldReaders+1)
	for i := range coldReaders + 1 { // one for each reader, and one that waits
		go func() { answers <- s.pull(pullHeader("readers", "Cold", 0, 0)) }()
		if i < coldReaders {
			s.await("a reader to read", func() bool { return loads.Load() > int64(i) })
		}
	}
	s.await("a pull to wait", func() bool { return s.cold.waiting() == 1 })
	p := s.pull(pullHeader("readers", "Cold", 0, 0))
	s.wantCode(p.Command, protocol.SystemBusy)
	if want := "[COLD_PULLS]system busy, start flow control for a while: 1 pulls wait for messages that must be read from disk, at most 1 may"; p.Remark != want {
		t.Errorf("remark %q", p.Remark)
	}
	close(gate)
	for range coldReaders + 1 {
		if p := <-answers; len(p.records) != 10 {
			t.Errorf("%d messages, answer %d %q", len(p.records), p.Code, p.Remark)
		}
	}
	if m := s.Metrics(); m.ColdRefused != 1 || m.ColdWaiting != 0 {
		t.Errorf("%d refused, %d wait", m.ColdRefused, m.ColdWaiting)
	}
}

// Where Java's thresholds are asked for, a group that pulls by push consumers is refused beyond its own.
func TestColdQuotaRefusesPushConsumers(t *testing.T) {
	s, _ := startCold(t, 300, func(o *Options) { o.ColdDataFlowControlEnable, o.CgColdReadThreshold = true, 1 })
	now := s.now()
	s.cold.quota = flow.NewQuota(func() time.Time { return now }) // one window, however slow the machine is
	s.heartbeat(s.client, "me", "readers", protocol.Clustering, 1, "Cold", "*")
	if p := s.pull(pullHeader("readers", "Cold", 0, 0)); len(p.records) == 0 {
		t.Fatalf("the first pull: %d %q", p.Code, p.Remark)
	}
	p := s.pull(pullHeader("readers", "Cold", 0, 250))
	s.wantCode(p.Command, protocol.SystemBusy)
	if !strings.Contains(p.Remark, "[COLD_QUOTA]This consumer group is reading cold data. It has been flow control: it read 262144 bytes from disk in 5s") {
		t.Errorf("remark %q", p.Remark)
	}
	if p := s.pull(pullHeader("others", "Cold", 0, 250)); len(p.records) == 0 {
		t.Errorf("another group: %d %q", p.Code, p.Remark)
	}
}

// A pull that has waited as long as it may is told why, and to ask again.
func TestColdPullIsPutOff(t *testing.T) {
	s, _ := startCold(t, 10, nil)
	now := s.now()
	s.cold.pace = flow.NewPace(func() time.Time { return now }) // the bucket never fills
	s.cold.pace.Spend(1 << 30)
	s.cold.pace.Observe(123 * time.Millisecond)
	s.cold.patience = 50 * time.Millisecond
	begin := time.Now()
	p := s.pull(pullHeader("readers", "Cold", 0, 3))
	s.wantCode(p.Command, protocol.PullRetryImmediately)
	// How many depends on how long the disk made the messages of the test wait.
	given := regexp.MustCompile(`^\[COLD_PACE\]messages that must be read from disk are given out at [1-9]\d* bytes/s: `)
	if p.header.NextBeginOffset != 3 || !given.MatchString(p.Remark) {
		t.Errorf("next %d, remark %q", p.header.NextBeginOffset, p.Remark)
	}
	if waited := time.Since(begin); waited < s.cold.patience {
		t.Errorf("answered after %v", waited)
	}
	if m := s.Metrics(); m.ColdDelayed != 1 {
		t.Errorf("%d delayed", m.ColdDelayed)
	}
}

// A pop of what is on disk only waits for the device on a goroutine of the readers; the same client sends and pops new
// messages meanwhile. What is then popped is in hand, once.
func TestColdPopHoldsUpNobody(t *testing.T) {
	b, fs := startCold(t, 10, nil)
	s := &popBench{bench: b}
	gate, loading := make(chan struct{}), make(chan struct{}, 1)
	fs.OnLoad = func(string, int, int) { loading <- struct{}{}; <-gate }
	done := make(chan []popMessage)
	go func() { done <- s.pop(popHeader("Cold")) }()
	<-loading
	s.put("Hot", 0, "new")
	s.dispatched("Hot", 0, 1)
	if got := poppedBodies(s.pop(popHeader("Hot"))); len(got) != 1 || got[0] != "new" {
		t.Errorf("the new message is %q", got)
	}
	select {
	case <-done:
		t.Fatal("answered before the device")
	default:
	}
	close(gate)
	if got := <-done; len(got) != 10 {
		t.Errorf("%d messages", len(got))
	}
	if got := s.pop(popHeader("Cold")); len(got) != 0 {
		t.Errorf("%d messages again", len(got))
	}
	if m := s.Metrics(); m.ColdPulls != 1 || m.ColdWaiting != 0 {
		t.Errorf("%d cold pulls, %d wait", m.ColdPulls, m.ColdWaiting)
	}
}

// What falls due after a long time is on disk only. The timer has it read, and does not meet it in page faults.
func TestColdTimers(t *testing.T) {
	fs := vfs.NewColdFS(vfs.OS)
	o := testOptions(t.TempDir())
	o.FS = fs
	before := startWith(t, o)
	due := before.now().UnixMilli() + 30*60*1000
	for i := range 10 {
		p := message.AppendProperty(nil, message.PropertyTimerDeliverTime, fmt.Sprint(due))
		m := &message.Message{Topic: "Due", Body: []byte(fmt.Sprint(i, strings.Repeat("x", 4000))), Properties: p}
		if _, err := before.timers.divert(m, o); err != nil {
			t.Fatal(err)
		}
		if r := before.Broker.put(m); !r.Status.Stored() {
			t.Fatal(r.Status, r.Err)
		}
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	fs.Chill(filepath.Join(o.StorePathRootDir, "commitlog", mappedfile.FileName(0)))
	o.Now = func() time.Time { return time.Now().Add(time.Hour) }
	s := startWith(t, o)
	s.dispatched("Due", 0, 10)
	if loaded := fs.Loaded(); loaded < 10*4000 {
		t.Errorf("%d bytes were loaded", loaded)
	}
}

// A pop that has waited as long as it may is answered as if nothing had come, and told why.
func TestColdPopIsPutOff(t *testing.T) {
	s, _ := startCold(t, 10, nil)
	now := s.now()
	s.cold.pace = flow.NewPace(func() time.Time { return now }) // the bucket never fills
	s.cold.pace.Spend(1 << 30)
	s.cold.patience = 50 * time.Millisecond
	resp := s.call(protocol.PopMessage, popHeader("Cold"), nil)
	s.wantCode(resp, protocol.PollingTimeout)
	if !strings.HasPrefix(resp.Remark, "[COLD_PACE]") {
		t.Errorf("remark %q", resp.Remark)
	}
	if m := s.Metrics(); m.ColdDelayed != 1 {
		t.Errorf("%d delayed", m.ColdDelayed)
	}
}
