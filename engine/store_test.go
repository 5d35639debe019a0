package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// small returns options that make files roll over after a few messages.
func small() Options {
	return Options{
		CommitLogFileSize: 64 << 10, ConsumeQueueFileSize: 2000, IndexSlots: 50, IndexEntries: 200,
		MaxMessageSize: 16 << 10, TransientPoolBytes: 1, MarkBytes: 10 << 10, FileReservedTime: 1_000_000 * time.Hour, CleanInterval: time.Hour,
	}
}

func open(tb testing.TB, dir string, opts Options) *Store {
	tb.Helper()
	s, err := Open(dir, &opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

var host = netip.MustParseAddrPort("127.0.0.1:10911")

// sent is what a test remembers of a message.
type sent struct {
	topic string
	queue int32
	key   string
	body  []byte
	res   PutResult
}

func newMessage(topic string, queue int32, key string, body []byte) *message.Message {
	props := message.AppendProperty(nil, message.PropertyKeys, key)
	props = message.AppendProperty(props, message.PropertyUniqueKey, "U"+key)
	props = message.AppendProperty(props, message.PropertyTags, "Tag"+key[len(key)-1:])
	return &message.Message{
		Topic: topic, QueueID: queue, BornHost: host, StoreHost: host, BornTimestamp: 1, Body: body, Properties: props,
	}
}

// put puts n random messages and fails the test if one is refused.
func put(tb testing.TB, s *Store, rng *rand.Rand, n int) (all []sent) {
	tb.Helper()
	for i := range n {
		m := sent{topic: fmt.Sprintf("T%d", rng.IntN(3)), queue: rng.Int32N(4), key: fmt.Sprintf("k%d-%d", rng.Uint32(), i%4)}
		m.body = make([]byte, 1+rng.IntN(2000))
		for i := range m.body {
			m.body[i] = byte(rng.Uint32())
		}
		m.res = s.Put(newMessage(m.topic, m.queue, m.key, m.body))
		if m.res.Status != PutOK {
			tb.Fatalf("message %d: %v: %v", i, m.res.Status, m.res.Err)
		}
		all = append(all, m)
	}
	return all
}

// dispatched waits until all that was confirmed is dispatched.
func dispatched(tb testing.TB, s *Store) {
	tb.Helper()
	if err := s.Flush(); err != nil { // a transient pool shows what is committed
		tb.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for s.ReputOffset() < s.ConfirmOffset() {
		if time.Now().After(deadline) {
			tb.Fatalf("dispatched to %d of %d: %v", s.ReputOffset(), s.ConfirmOffset(), s.Writable())
		}
		runtime.Gosched()
	}
}

// consume reads a queue from its begin to its end.
func consume(tb testing.TB, s *Store, topic string, queue int32) (bodies [][]byte, offsets []message.QueueOffset) {
	tb.Helper()
	req := GetRequest{Topic: topic, QueueID: queue, Offset: s.MinOffset(topic, queue), MaxMsgs: 32}
	var res GetResult
	defer res.Release()
	for {
		s.Get(&req, &res)
		if res.Status != Found {
			break
		}
		count := 0
		for _, segment := range res.Segments {
			for len(segment) > 0 {
				r, err := message.ParseRecord(segment)
				if err != nil {
					tb.Fatal(err)
				}
				bodies = append(bodies, bytes.Clone(r.Body()))
				offsets = append(offsets, r.QueueOffset())
				segment = segment[len(r):]
				count++
			}
		}
		if count != res.Count || req.Offset+message.QueueOffset(count) != res.NextOffset {
			tb.Fatalf("%d records for a count of %d and next offset %d after %d", count, res.Count, res.NextOffset, req.Offset)
		}
		req.Offset = res.NextOffset
	}
	if res.Status != OffsetOverflowOne && res.Status != NoMatchedLogicQueue && res.Status != NoMessageInQueue {
		tb.Fatalf("%s queue %d ends with %v at %d", topic, queue, res.Status, req.Offset)
	}
	return bodies, offsets
}

// verify compares all queues, and lookups by place and by key, with what was
// sent.
func verify(tb testing.TB, s *Store, all []sent) {
	tb.Helper()
	dispatched(tb, s)
	want := map[string][]sent{}
	for _, m := range all {
		q := fmt.Sprintf("%s/%d", m.topic, m.queue)
		want[q] = append(want[q], m)
	}
	for t := range 3 {
		for q := range int32(4) {
			topic := fmt.Sprintf("T%d", t)
			bodies, offsets := consume(tb, s, topic, q)
			expect := want[fmt.Sprintf("%s/%d", topic, q)]
			if len(bodies) != len(expect) {
				tb.Fatalf("%s queue %d has %d messages, want %d", topic, q, len(bodies), len(expect))
			}
			for i, m := range expect {
				if !bytes.Equal(bodies[i], m.body) || offsets[i] != m.res.QueueOffset {
					tb.Fatalf("%s queue %d: message %d differs, offset %d want %d", topic, q, i, offsets[i], m.res.QueueOffset)
				}
			}
		}
	}
	for _, m := range all {
		ref, err := s.RecordAt(m.res.PhyOffset)
		if err != nil || !bytes.Equal(ref.Record().Body(), m.body) {
			tb.Fatalf("the record at %d differs: %v", m.res.PhyOffset, err)
		}
		ref.Release()
		for _, key := range []string{m.key, "U" + m.key} {
			found, err := s.QueryByKey(m.topic, key, 64, 0, 1<<60)
			if err != nil {
				tb.Fatal(err)
			}
			if n := count(found.Offsets, m.res.PhyOffset); n != 1 && len(found.Offsets) < 64 {
				tb.Fatalf("key %s finds the message at %d %d times", key, m.res.PhyOffset, n)
			}
		}
	}
}

func count(offsets []message.PhyOffset, off message.PhyOffset) (n int) {
	for _, o := range offsets {
		if o == off {
			n++
		}
	}
	return n
}

func variants() map[string]func(*Options) {
	return map[string]func(*Options){
		"async": func(*Options) {},
		"sync":  func(o *Options) { o.FlushDiskType = SyncFlush },
		"pool":  func(o *Options) { o.TransientPool = true; o.CommitInterval = time.Millisecond },
	}
}

func TestPutGetQueryReopen(t *testing.T) {
	for name, change := range variants() {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 0))
			dir := t.TempDir()
			opts := small()
			change(&opts)
			var all []sent
			for range 3 {
				var info RecoveryInfo
				opts.Listener = &EventListener{Recovered: func(i RecoveryInfo) { info = i }}
				s := open(t, dir, opts)
				if !info.Clean || len(info.Rebuilt) > 0 || info.Dispatched > 0 {
					t.Errorf("opened with %+v", info)
				}
				verify(t, s, all)
				all = append(all, put(t, s, rng, 200)...)
				verify(t, s, all)
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				report, err := Check(dir, &opts, nil)
				if err != nil {
					t.Fatal(err)
				}
				if report.Found > 0 || report.Records != len(all) || !report.Clean {
					t.Fatalf("check: %+v", report)
				}
			}
		})
	}
}

func TestBatch(t *testing.T) {
	s := open(t, t.TempDir(), small())
	var batch []byte
	for i := range 5 {
		batch = message.AppendBatchItem(batch, int32(i), []byte{byte(i)}, message.AppendProperty(nil, message.PropertyKeys, "b"))
	}
	m := newMessage("T0", 0, "x", nil)
	res, offsets := s.PutBatch(m, batch, nil)
	if res.Status != PutOK || len(offsets) != 5 || res.QueueOffset != 0 {
		t.Fatalf("%+v, %d places", res, len(offsets))
	}
	dispatched(t, s)
	bodies, _ := consume(t, s, "T0", 0)
	for i, b := range bodies {
		if !bytes.Equal(b, []byte{byte(i)}) {
			t.Errorf("message %d is %x", i, b)
		}
	}
	if found, err := s.QueryByKey("T0", "b", 64, 0, 1<<60); len(found.Offsets) != 5 || err != nil {
		t.Errorf("the key finds %d: %v", len(found.Offsets), err)
	}
	for name, bad := range map[string][]byte{"empty": nil, "cut": batch[:len(batch)-1], "no body": message.AppendBatchItem(nil, 0, make([]byte, 17<<10), nil)} {
		if res, _ := s.PutBatch(m, bad, offsets); res.Status != MessageIllegal || res.Err == nil {
			t.Errorf("%s: %v, %v", name, res.Status, res.Err)
		}
	}
	if got := s.NextOffset("T0", 0); got != 5 {
		t.Errorf("the next offset is %d", got)
	}
}

// The one who is told that a batch is stored finds its places where they were asked for.
func TestBatchCompletesWithItsPlaces(t *testing.T) {
	for _, flush := range []FlushDiskType{AsyncFlush, SyncFlush} {
		opts := small()
		opts.FlushDiskType = flush
		s := open(t, t.TempDir(), opts)
		for i := range 20 {
			var batch []byte
			for j := range i + 1 {
				batch = message.AppendBatchItem(batch, 0, []byte{byte(j)}, nil)
			}
			var b batchDone
			b.told = make(chan int, 1)
			s.PutBatchAsync(newMessage("T0", 0, "x", nil), batch, &b.offsets, &b)
			if n := <-b.told; n != i+1 {
				t.Fatalf("flush %v: %d places when a batch of %d is done", flush, n, i+1)
			}
		}
	}
}

type batchDone struct {
	offsets []message.PhyOffset
	told    chan int
}

func (b *batchDone) PutDone(PutResult) { b.told <- len(b.offsets) }

func TestIllegalMessages(t *testing.T) {
	s := open(t, t.TempDir(), small())
	big := newMessage("T", 0, "k", make([]byte, 16<<10+1))
	props := newMessage("T", 0, "k", []byte("x"))
	props.Properties = message.AppendProperty(nil, "P", string(make([]byte, 33_000)))
	for name, c := range map[string]struct {
		m    *message.Message
		want PutStatus
	}{
		"body":       {big, MessageIllegal},
		"properties": {props, PropertiesSizeExceeded},
		"topic":      {newMessage("", 0, "k", []byte("x")), MessageIllegal},
		"path":       {newMessage("../x", 0, "k", []byte("x")), MessageIllegal},
	} {
		if res := s.Put(c.m); res.Status != c.want || res.Err == nil {
			t.Errorf("%s: %v, %v", name, res.Status, res.Err)
		}
	}
	if s.MaxPhyOffset() != 0 {
		t.Error("a refused message is in the log")
	}
}

func TestGetStatuses(t *testing.T) {
	opts := small()
	s := open(t, t.TempDir(), opts)
	for i := range 10 {
		s.Put(newMessage("T0", 1, fmt.Sprintf("k%d", i), []byte("x")))
	}
	dispatched(t, s)
	for _, c := range []struct {
		topic string
		queue int32
		off   message.QueueOffset
		want  GetStatus
		next  message.QueueOffset
	}{
		{"none", 0, 0, NoMatchedLogicQueue, 0},
		{"T0", 1, 0, Found, 3},
		{"T0", 1, 8, Found, 10},
		{"T0", 1, 10, OffsetOverflowOne, 10},
		{"T0", 1, 11, OffsetOverflowBadly, 10},
		{"T0", 1, -1, OffsetTooSmall, 0},
	} {
		var res GetResult
		s.Get(&GetRequest{Topic: c.topic, QueueID: c.queue, Offset: c.off, MaxMsgs: 3}, &res)
		if res.Status != c.want || res.NextOffset != c.next {
			t.Errorf("%+v: %v, next %d", c, res.Status, res.NextOffset)
		}
		res.Release()
	}
}

// tagFilter takes messages of one tag.
type tagFilter int64

func (f tagFilter) MatchTags(code int64) bool       { return code == int64(f) }
func (f tagFilter) MatchRecord(message.Record) bool { return true }

func TestGetFilters(t *testing.T) {
	s := open(t, t.TempDir(), small())
	for i := range 100 {
		s.Put(newMessage("T0", 0, fmt.Sprintf("k%d", i), []byte{byte(i)}))
	}
	dispatched(t, s)
	req := GetRequest{Topic: "T0", MaxMsgs: 32, Filter: tagFilter(message.TagsCode([]byte("Tag7")))}
	var res GetResult
	defer res.Release()
	s.Get(&req, &res)
	if res.Count != 10 || res.NextOffset != 100 || res.Status != Found {
		t.Errorf("%d found, next %d, %v", res.Count, res.NextOffset, res.Status)
	}
	req.Filter = tagFilter(12345)
	s.Get(&req, &res)
	if res.Status != NoMatchedMessage || res.NextOffset != 100 {
		t.Errorf("no match: %v, next %d", res.Status, res.NextOffset)
	}
}

func TestOneStoreAtATime(t *testing.T) {
	dir := t.TempDir()
	opts := small()
	open(t, dir, opts)
	if _, err := Open(dir, &opts); err == nil {
		t.Fatal("a store in use was opened")
	} else {
		t.Log(err)
	}
}

func TestPutDoesNotAllocate(t *testing.T) {
	s := open(t, t.TempDir(), Options{CommitLogFileSize: 64 << 20, IndexSlots: 1000, IndexEntries: 100_000})
	m := newMessage("T0", 0, "k1", make([]byte, 1024))
	s.Put(m)
	if n := testing.AllocsPerRun(2000, func() {
		if res := s.Put(m); res.Status != PutOK {
			t.Fatal(res.Err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per put", n)
	}
}

func TestGetDoesNotAllocate(t *testing.T) {
	s := open(t, t.TempDir(), Options{CommitLogFileSize: 64 << 20, IndexSlots: 1000, IndexEntries: 100_000})
	for range 100 {
		s.Put(newMessage("T0", 0, "k1", make([]byte, 1024)))
	}
	dispatched(t, s)
	var res GetResult
	req := GetRequest{Topic: "T0", MaxMsgs: 32}
	if n := testing.AllocsPerRun(1000, func() {
		s.Get(&req, &res)
		if res.Count != 32 || len(res.Segments) != 1 {
			t.Fatal(res.Count, len(res.Segments))
		}
		res.Release()
	}); n != 0 {
		t.Errorf("%v allocations per get", n)
	}
}

func TestRetentionByBytes(t *testing.T) {
	opts := small()
	opts.MaxLogBytes = 3 * opts.CommitLogFileSize
	deleted := 0
	opts.Listener = &EventListener{Deleted: func(n int, _ message.PhyOffset, _ string) { deleted += n }}
	s := open(t, t.TempDir(), opts)
	rng := rand.New(rand.NewPCG(1, 1))
	all := put(t, s, rng, 600)
	dispatched(t, s)
	if err := s.Clean(); err != nil {
		t.Fatal(err)
	}
	if deleted == 0 || int64(s.MaxPhyOffset()-s.MinPhyOffset()) > opts.MaxLogBytes {
		t.Fatalf("%d files deleted, %d bytes kept", deleted, s.MaxPhyOffset()-s.MinPhyOffset())
	}
	kept := all[:0:0]
	for _, m := range all {
		if m.res.PhyOffset >= s.MinPhyOffset() {
			kept = append(kept, m)
		}
	}
	verify(t, s, kept)
	first := kept[0]
	var res GetResult
	s.Get(&GetRequest{Topic: first.topic, QueueID: first.queue, MaxMsgs: 1}, &res)
	if res.Status != OffsetTooSmall || res.NextOffset != first.res.QueueOffset {
		t.Errorf("offset 0: %v, next %d, want %d", res.Status, res.NextOffset, first.res.QueueOffset)
	}
}

func TestRetentionByAge(t *testing.T) {
	begin := time.Date(2026, 1, 1, 3, 59, 0, 0, time.Local)
	var now atomic.Pointer[time.Time]
	now.Store(&begin)
	clock := func() time.Time { return *now.Load() }
	fs := vfs.NewCrashFS(1)
	fs.SetNow(clock)
	opts := small()
	opts.FS, opts.Now, opts.FileReservedTime = fs, clock, 72*time.Hour
	opts.DiskMaxUsedRatio, opts.DiskWarningRatio = 99, 100
	s := open(t, "/store", opts)
	put(t, s, rand.New(rand.NewPCG(1, 1)), 300)
	dispatched(t, s)
	clean := func(at time.Time, wantDeleted bool) {
		t.Helper()
		before := s.MinPhyOffset()
		now.Store(&at)
		if err := s.Clean(); err != nil {
			t.Fatal(err)
		}
		if deleted := s.MinPhyOffset() > before; deleted != wantDeleted {
			t.Errorf("at %v: deleted is %v", at, deleted)
		}
	}
	clean(begin.Add(time.Hour), false)                 // the hour, but too young
	clean(begin.Add(80*time.Hour), false)              // old enough, at noon
	clean(begin.Add(4*24*time.Hour+time.Minute), true) // both
}

// Store times grow along the log (commitlog invariant 2), also when the clock was
// set back while the store was stopped or killed.
func TestStoreTimesGrowOverRestarts(t *testing.T) {
	for _, killed := range []bool{false, true} {
		fs := vfs.NewCrashFS(1)
		now := time.UnixMilli(1_000_000_000_000)
		opts := small()
		opts.FS, opts.Now = fs, func() time.Time { return now }
		s := open(t, "/store", opts)
		first := s.Put(newMessage("T0", 0, "k1", []byte("x")))
		dispatched(t, s)
		if killed {
			opts.FS = fs.Kill()
		}
		must(t, s.Close())
		now = now.Add(-time.Hour)
		s = open(t, "/store", opts)
		if second := s.Put(newMessage("T0", 0, "k2", []byte("x"))); second.StoreTimestamp < first.StoreTimestamp {
			t.Errorf("killed %v: a message is stored at %d, the one before at %d", killed, second.StoreTimestamp, first.StoreTimestamp)
		}
		must(t, s.Close())
	}
}

func TestEveryCallbackHasADefault(t *testing.T) {
	var l EventListener
	l.EnsureDefaults()
	v := reflect.ValueOf(l)
	for i := range v.NumField() {
		if v.Field(i).IsNil() {
			t.Errorf("%s is nil", v.Type().Field(i).Name)
		}
	}
}
