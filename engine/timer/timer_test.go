package timer

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// world is a timer over a store in memory, with a clock that stands still until it is set.
type world struct {
	t      *testing.T
	fs     *vfs.CrashFS
	store  *memStore
	timer  *Timer
	clock  int64
	judged int // deliveries that the model has seen
	drops  []Drop
	fails  []error
	opts   Options
}

const start = int64(1_800_000_000_000)

func newWorld(t *testing.T) *world {
	w := &world{t: t, fs: vfs.NewCrashFS(1), clock: start}
	w.store = &memStore{now: func() int64 { return w.clock }}
	w.opts = Options{
		Now: func() time.Time { return time.UnixMilli(w.clock) }, LogFileSize: 1040, slots: 1000, RollWindow: 300,
		Dropped: func(d Drop) { w.drops = append(w.drops, d) },
		Failed:  func(err error) { w.fails = append(w.fails, err) },
	}
	w.open()
	t.Cleanup(func() { w.timer.closeFiles() }) //nolint:errcheck // the test is over
	return w
}

func (w *world) open() {
	w.t.Helper()
	w.opts.FS = w.fs
	var err error
	if w.timer, err = open("store", w.store, &w.opts); err != nil {
		w.t.Fatal(err)
	}
}

// kill ends the process and opens anew on what the page cache has.
func (w *world) kill() {
	w.t.Helper()
	old := w.timer
	w.fs = w.fs.Kill()
	old.closeFiles() //nolint:errcheck // of the file system that is left
	w.open()
}

// powerLoss is one: the timer is to be opened anew.
func (w *world) powerLoss(seed uint64) {
	old, oldFS := w.timer, w.fs
	w.fs = w.fs.Crash(seed)
	old.closeFiles() //nolint:errcheck // of the file system that is left
	oldFS.Discard()
}

// to sets the clock and has the timer do all that is to do then.
func (w *world) to(ms int64) {
	w.t.Helper()
	w.clock = ms
	drain(w.t, w.timer)
}

// run lets the clock go on in steps.
func (w *world) run(until, step int64) {
	w.t.Helper()
	for w.clock < until {
		w.to(min(w.clock+step, until))
	}
}

func (w *world) keys() []string {
	var keys []string
	for _, d := range w.store.put {
		keys = append(keys, d.key)
	}
	return keys
}

func (w *world) expect(keys ...string) {
	w.t.Helper()
	if got := w.keys(); !slices.Equal(got, keys) {
		w.t.Fatalf("at %+d delivered %q, want %q", w.clock-start, got, keys)
	}
}

func TestDelivery(t *testing.T) {
	w := newWorld(t)
	w.store.delay("b", start+2000, 1000) // due at a slot's end: then
	w.store.delay("a", start+1001, 1000) // due at the begin of a slot: at its end
	w.store.delay("c", start+2001, 1000)
	w.to(start)
	w.expect()
	w.to(start + 1999)
	w.expect()
	w.to(start + 2000)
	w.expect("b", "a")
	w.to(start + 2999)
	w.expect("b", "a")
	w.to(start + 3000)
	w.expect("b", "a", "c")
	d := w.store.put[0]
	if d.topic != "topic" || d.queue != 3 || d.body != "body b" {
		t.Fatalf("delivered %+v", d)
	}
	for name, want := range map[string]string{
		message.PropertyUniqueKey: "b", message.PropertyRealTopic: "topic", message.PropertyRealQueueID: "3",
		message.PropertyTimerOutTime: strconv.FormatInt(start+1000, 10), message.PropertyTimerDeliverTime: strconv.FormatInt(start+2000, 10),
		message.PropertyTimerEnqueueTime: strconv.FormatInt(start, 10), message.PropertyTimerDequeueTime: strconv.FormatInt(start+2000, 10),
	} {
		if got, _ := d.properties.Get(name); string(got) != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	m := w.timer.Metrics()
	if m.Taken != 3 || m.Delivered != 3 || m.Pending != 0 || m.QueueOffset != 3 {
		t.Fatalf("%+v", m)
	}
	if topics, _ := w.timer.Topics(); topics["topic"].Count != 0 {
		t.Fatalf("%+v", topics)
	}
}

func TestLate(t *testing.T) {
	w := newWorld(t)
	w.to(start + 10_000)
	w.store.delay("late", start+5000, 1000)
	w.store.delay("on time", start+11_000, 1000)
	w.to(w.clock)
	w.expect("late")
	if got, _ := w.store.put[0].properties.Get(message.PropertyTimerEnqueueTime); string(got) != strconv.FormatInt(math.MaxInt64, 10) {
		t.Fatalf("the write time of a message that was late is %s", got)
	}
	w.to(start + 11_000)
	w.expect("late", "on time")
}

func TestRecall(t *testing.T) {
	for _, key := range []string{"a", "topic+a"} {
		w := newWorld(t)
		w.store.delay("a", start+5001, 1000)
		w.store.delay("b", start+5001, 1000)
		w.store.delay("a", start+7001, 1000) // of another second: not recalled
		w.to(start + 1000)
		w.store.delay("recall", start+5001, 1000, message.PropertyTimerDeleteKey, key)
		w.run(start+10_000, 1000)
		w.expect("b", "a")
		if m := w.timer.Metrics(); m.Recalled != 1 || m.Dropped != 0 {
			t.Fatalf("%+v", m)
		}
		if topics, _ := w.timer.Topics(); topics["topic"].Count != 0 {
			t.Fatalf("%+v", topics)
		}
	}
}

// A slot is read before its time is over. What comes for it after that counts all the same, recalls too, and none of it is
// delivered before its time, even if the clock is set back or an earlier slot gets a message meanwhile.
func TestReadAhead(t *testing.T) {
	w := newWorld(t)
	w.store.delay("a", start+5001, 1000)
	w.store.delay("b", start+5001, 1000)
	w.to(start + 6000 - readAhead - 1)
	if w.timer.work.slot != 0 {
		t.Fatal("read too early")
	}
	if wait, _ := w.timer.untilDue(w.clock); wait != time.Millisecond {
		t.Fatalf("it sleeps for %v until it reads", wait)
	}
	w.to(start + 6000 - readAhead)
	if slot := w.timer.work.slot; slot != start/1000+5 || len(w.timer.work.part) != 2 {
		t.Fatalf("%d units of slot %d are read", len(w.timer.work.part), slot)
	}
	w.store.delay("c", start+5901, 1000)
	w.store.delay("recall", start+5901, 1000, message.PropertyTimerDeleteKey, "a")
	w.to(start + 5999)
	w.expect()
	w.to(start + 3000) // set back
	w.store.delay("d", start+5001, 1000)
	w.to(start + 5999)
	w.expect()
	w.to(start + 6000)
	w.expect("b", "c", "d")
	w.run(start+10_000, 100)
	w.expect("b", "c", "d")

	w.store.delay("e", start+12_001, 1000)
	w.to(start + 12_900)
	w.clock = start + 11_500
	w.store.delay("f", start+11_501, 1000)
	w.run(start+14_000, 100)
	w.expect("b", "c", "d", "f", "e")
}

// A message that is due beyond the window waits in nearer slots and goes back to the timer topic in between.
func TestRoll(t *testing.T) {
	w := newWorld(t)
	w.store.delay("far", start+1000_000+1, 1000)
	w.store.delay("farther", start+390_000, 1000) // a third of the window beyond it
	w.store.delay("recalled", start+900_001, 1000)
	w.store.delay("recall", start+900_001, 1000, message.PropertyTimerDeleteKey, "recalled")
	w.run(start+389_000, 1000)
	w.expect()
	w.run(start+390_000, 1000)
	w.expect("farther")
	w.run(start+1_000_000, 1000)
	w.expect("farther")
	w.run(start+1_001_000, 1000)
	w.expect("farther", "far")
	if got, _ := w.store.put[1].properties.Get(message.PropertyTimerRollTimes); string(got) != "3" {
		t.Fatalf("rolled %s times", got)
	}
	if m := w.timer.Metrics(); m.Recalled != 1 {
		t.Fatalf("%+v", m)
	}
}

// What cannot be delivered is told, and keeps nothing from delivery.
func TestDrop(t *testing.T) {
	w := newWorld(t)
	put := func(more ...string) {
		p := message.AppendProperty(nil, message.PropertyUniqueKey, "bad")
		for i := 0; i < len(more); i += 2 {
			p = message.AppendProperty(p, more[i], more[i+1])
		}
		w.store.append(&message.Message{Topic: message.TimerTopic, Body: []byte("x"), Properties: p})
	}
	out := strconv.FormatInt(start+1000, 10)
	put() // due never
	put(message.PropertyTimerOutTime, "soon")
	put(message.PropertyTimerOutTime, out)
	put(message.PropertyTimerOutTime, out, message.PropertyRealTopic, "t", message.PropertyRealQueueID, "-1")
	put(message.PropertyTimerOutTime, out, message.PropertyRealTopic, message.TimerTopic, message.PropertyRealQueueID, "0")
	w.store.delay("refused", start+1001, 1000)
	w.store.delay("good", start+1001, 1000)
	w.store.refuse = func(m *message.Message) error {
		if key, _ := m.Properties.Get(message.PropertyUniqueKey); string(key) == "refused" {
			return fmt.Errorf("%w: too large", ErrRefused)
		}
		return nil
	}
	w.run(start+5000, 500)
	w.expect("good")
	if len(w.drops) != 6 {
		t.Fatalf("dropped %v", w.drops)
	}
	if len(w.fails) > 0 {
		t.Fatal(w.fails)
	}
}

// A put that fails for now is tried again, and those beside it are not repeated.
func TestPutFails(t *testing.T) {
	w := newWorld(t)
	for i := range 10 {
		w.store.delay(strconv.Itoa(i), start+1001, 1000)
	}
	w.store.delay("next", start+2001, 1000)
	failing := true
	w.store.refuse = func(m *message.Message) error {
		if key, _ := m.Properties.Get(message.PropertyUniqueKey); string(key) == "4" && failing {
			return errTest
		}
		return nil
	}
	w.run(start+10_000, 1000)
	w.expect("0", "1", "2", "3", "5", "6", "7", "8", "9")
	if len(w.fails) == 0 {
		t.Fatal("the failure is not told")
	}
	failing = false
	w.to(w.clock + 1000)
	w.expect("0", "1", "2", "3", "5", "6", "7", "8", "9", "4", "next")
	// The same for one that was late.
	failing = true
	w.store.delay("4", start, 1000)
	w.store.delay("late", start, 1000)
	w.store.delay("then", w.clock+1001, 1000)
	w.run(w.clock+5000, 1000)
	w.kill()
	failing = false
	w.run(w.clock+1000, 1000)
	if got, want := w.keys()[11:], []string{"late", "4", "then"}; !slices.Equal(sorted(got), sorted(want)) && !slices.Equal(sorted(got), sorted(append(want, "late"))) {
		t.Fatalf("delivered %q, want %q", got, want)
	}
}

func sorted(keys []string) []string {
	keys = slices.Clone(keys)
	slices.Sort(keys)
	return keys
}

// A clock that is set back lets nothing come early, nor late, nor twice.
func TestClockSetBack(t *testing.T) {
	w := newWorld(t)
	w.store.delay("a", start+10_000, 1000)
	w.store.delay("b", start+50_000, 1000)
	w.to(start + 20_000)
	w.expect("a")
	w.to(start + 3000) // set back
	w.store.delay("c", start+10_000, 1000)
	w.store.delay("d", start+15_000, 1000)
	w.to(start + 9999)
	w.expect("a")
	w.to(start + 10_000)
	w.expect("a", "c")
	w.kill()
	w.to(start + 14_999)
	w.expect("a", "c")
	w.to(start + 15_000)
	w.expect("a", "c", "d")
	w.to(start + 50_000)
	w.expect("a", "c", "d", "b")
	if err := w.timer.Check(); err != nil {
		t.Fatal(err)
	}
}

// A broker that was away for longer than the wheel is long delivers what waited, and takes nothing into its slots before.
func TestLongAway(t *testing.T) {
	w := newWorld(t)
	for i := range 50 {
		w.store.delay(fmt.Sprint("old ", i), start+int64(i)*5000+1, 1000)
	}
	w.to(start)
	w.expect()
	if err := w.timer.flush(); err != nil {
		t.Fatal(err)
	}
	w.kill()
	later := start + 2*w.opts.slots*1000
	if w.opts.slots != 1000 {
		t.Fatal(w.opts.slots)
	}
	for i := range 50 {
		w.store.delay(fmt.Sprint("new ", i), later+int64(i)*5000+1, 1000)
	}
	w.run(later+300_000, 1000)
	if got := len(w.store.put); got != 100 {
		t.Fatalf("delivered %d messages: %q", got, w.keys())
	}
	for i := range 100 {
		want := fmt.Sprint("old ", i)
		if i >= 50 {
			want = fmt.Sprint("new ", i-50)
		}
		if w.keys()[i] != want {
			t.Fatalf("delivery %d is %s, want %s", i, w.keys()[i], want)
		}
	}
}

// A killed process repeats no more than a batch, whatever it had delivered since its last checkpoint.
func TestKill(t *testing.T) {
	w := newWorld(t)
	const n = 5 * batchSize
	for i := range n {
		w.store.delay(strconv.Itoa(i), start+1001+int64(i%3)*1000, 1000)
	}
	w.to(start)
	w.clock = start + 10_000
	for kills := 0; len(w.store.put) < n; kills++ {
		w.timer.step()
		if kills%2 == 1 {
			w.kill()
		}
		if kills > 100 {
			t.Fatal("it never ends")
		}
	}
	drain(t, w.timer)
	if got := len(w.store.put); got != n {
		t.Fatalf("%d deliveries of %d messages", got, n)
	}
	seen := map[string]bool{}
	for _, d := range w.store.put {
		if seen[d.key] {
			t.Fatalf("%s twice", d.key)
		}
		seen[d.key] = true
	}
}

// What was delivered and lost by a power loss is delivered again, also when the log has grown past where the deliveries
// ended before the process is killed, or the power fails again.
func TestStaleProgress(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(t)
		w.store.delay("a", start+1001, 1000)
		w.to(start)
		if err := w.timer.flush(); err != nil {
			t.Fatal(err)
		}
		w.to(start + 3000)
		w.expect("a")
		if err := w.timer.flushed.file.progress.Sync(); err != nil { // the kernel may, at any time
			t.Fatal(err)
		}
		w.powerLoss(seed)
		w.store.cut(w.store.durable)
		w.open()
		for i := range 10 {
			w.store.delay(strconv.Itoa(i), start+100_000, 1000)
		}
		if seed%2 == 0 {
			w.kill()
		} else {
			w.powerLoss(seed)
			w.open()
		}
		drain(t, w.timer)
		w.expect("a")
	}
}

// Files of the log whose messages are deleted are deleted too; messages that are gone are dropped.
func TestCleanLog(t *testing.T) {
	w := newWorld(t)
	for i := range 100 {
		w.store.delay(strconv.Itoa(i), start+60_001, 1000)
	}
	w.to(start)
	w.store.minPhy = w.store.queue[50]
	if err := w.timer.log.removeBefore(w.store.minPhy); err != nil {
		t.Fatal(err)
	}
	if got, want := w.timer.log.queue.MinOffset(), int64(2*1040); got != want {
		t.Fatalf("the log begins at %d, want %d", got, want)
	}
	w.kill()
	w.to(start + 61_000)
	if got := len(w.store.put); got != 50 || w.store.put[0].key != "50" {
		t.Fatalf("delivered %q", w.keys())
	}
}

// A slot with more than is read at a time is delivered whole, and in order.
func TestLargeSlot(t *testing.T) {
	w := newWorld(t)
	w.opts.LogFileSize = 1 << 20
	w.fs = vfs.NewCrashFS(2)
	w.open()
	const n = 2*partSize + 100
	for i := range n {
		w.store.delay(strconv.Itoa(i), start+1001, 1000)
	}
	w.store.perBatch = 1 << 20
	w.to(start)
	w.to(start + 2000)
	if len(w.store.put) != n {
		t.Fatalf("delivered %d of %d", len(w.store.put), n)
	}
	for i, d := range w.store.put {
		if d.key != strconv.Itoa(i) {
			t.Fatalf("delivery %d is %s", i, d.key)
		}
	}
}

// The running timer wakes when something arrives or falls due, and leaves nothing behind.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now().UnixMilli()
		s := &memStore{now: func() int64 { return time.Now().UnixMilli() }}
		tm, err := Open("store", s, &Options{FS: vfs.NewCrashFS(1), LogFileSize: 1040, slots: 1000})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		s.delay("a", begin+20_000, 1000)
		s.delay("late", begin+500, 1000)
		tm.Arrived()
		synctest.Wait()
		time.Sleep(10*time.Second - time.Millisecond)
		synctest.Wait()
		if put := s.deliveries(); len(put) != 1 || put[0].key != "late" || put[0].at != begin+10_000 {
			t.Fatalf("delivered %+v", put)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if put := s.deliveries(); len(put) != 2 || put[1].at != begin+20_000 {
			t.Fatalf("delivered %+v", put)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if c := tm.Checkpoint(); c.QueueOffset != 2 || c.MasterQueueOffset != 2 || c.ReadTime < begin+20_000 {
			t.Fatalf("checkpoint %+v", c)
		}
		if err := tm.Close(); err != nil {
			t.Fatal(err)
		}
		if err := tm.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
