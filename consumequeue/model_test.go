package consumequeue

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// entry is one record of the model's log.
type entry struct {
	key Key
	off message.QueueOffset
	u   Unit
}

// world is a set of queues, the log that they belong to, and what is known of
// them: everything is told from the log.
type world struct {
	t    *testing.T
	seed uint64
	step int
	op   string
	rng  *rand.Rand
	fs   *vfs.CrashFS
	opts Options
	set  *Set

	keys    []Key
	log     []entry
	logEnd  message.PhyOffset
	logMin  message.PhyOffset // as the queues were told; at most durable
	durable message.PhyOffset // the last claim: Sync(0) covered all below
	next    map[Key]message.QueueOffset
	first   map[Key]message.QueueOffset // of a queue built again: what was before is not in it
}

const modelDir = "store/consumequeue"

func newWorld(t *testing.T, seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 7))
	w := &world{t: t, seed: seed, rng: rng, fs: vfs.NewCrashFS(seed),
		next: map[Key]message.QueueOffset{}, first: map[Key]message.QueueOffset{}}
	fileSizes := []int{140, 400, blockSize, 4000, 4 * blockSize, 40_000}
	w.opts = Options{
		FileSize:  fileSizes[rng.IntN(len(fileSizes))],
		OpenFiles: []int{1, 3, 1024}[rng.IntN(3)],
		TailBytes: []int{1, 0}[rng.IntN(2)],
		SyncFiles: []int{1, 4, 32}[rng.IntN(3)],
		Workers:   1, // the order of operations follows from the seed
		InLog:     w.inLog,
	}
	for i := range 2 + rng.IntN(5) {
		w.keys = append(w.keys, Key{"Topic" + strconv.Itoa(i%3), int32(i / 3 * (1 + rng.IntN(5)))})
	}
	// Where the upper half of an offset changes, half a unit is still credible.
	w.logEnd = []message.PhyOffset{0, 1<<32 - 100_000, 7<<32 - 300_000}[rng.IntN(3)]
	w.logMin, w.durable = w.logEnd, w.logEnd
	if err := w.fs.MkdirAll("store", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := w.fs.SyncDir("/"); err != nil {
		t.Fatal(err)
	}
	w.open(w.fs, 0, true)
	return w
}

func (w *world) inLog(key Key, off message.QueueOffset, u Unit) bool {
	return slices.Contains(w.log, entry{key, off, u})
}

func (w *world) fatalf(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d, step %d (%s), options %+v: %s\n%v", w.seed, w.step, w.op, w.opts, fmt.Sprintf(format, args...), w.fs.Outcome())
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.fatalf("%v", err)
	}
}

func (w *world) open(fs *vfs.CrashFS, durable message.PhyOffset, trusted bool) {
	w.fs = fs
	var err error
	w.set, err = Open(fs, modelDir, &w.opts)
	w.must(err)
	w.must(w.set.Recover(durable, w.logMin, w.logEnd, trusted))
}

// of lists the records of a queue that are in its files, or would be.
func (w *world) of(key Key) (entries []entry) {
	for _, e := range w.log {
		if e.key == key && e.off >= w.first[key] {
			entries = append(entries, e)
		}
	}
	return entries
}

// append puts a record into the log and its unit into the queue.
func (w *world) append(key Key) {
	e := entry{key, w.next[key], Unit{w.logEnd, int32(91 + w.rng.IntN(1000)), w.rng.Int64()}}
	if e.off == 0 && w.rng.IntN(3) == 0 {
		e.off = message.QueueOffset(w.rng.IntN(3 * w.opts.FileSize / unitSize))
	}
	w.must(w.dispatch(e))
	w.log = append(w.log, e)
	w.logEnd = e.u.end()
	w.next[key] = e.off + 1
}

func (w *world) dispatch(e entry) error {
	q, err := w.set.QueueOrCreate(e.key.Topic, e.key.QueueID)
	if err != nil {
		return err
	}
	return q.Append(e.off, e.u)
}

// redispatch goes through the log from an offset on, as a store does that opens.
func (w *world) redispatch(from message.PhyOffset) {
	for _, e := range w.log {
		if e.u.Offset >= from && e.off >= w.first[e.key] {
			w.must(w.dispatch(e))
		}
	}
}

// cutLog takes the records beyond end out of the log.
func (w *world) cutLog(end message.PhyOffset) {
	for len(w.log) > 0 && w.log[len(w.log)-1].u.end() > end {
		e := w.log[len(w.log)-1]
		w.log = w.log[:len(w.log)-1]
		w.next[e.key] = e.off
		w.first[e.key] = min(w.first[e.key], e.off)
	}
	w.logEnd = end
	w.durable = min(w.durable, end)
}

// someEnd is the end of a random record at or behind from.
func (w *world) someEnd(from message.PhyOffset) message.PhyOffset {
	ends := []message.PhyOffset{from, w.logEnd}
	for _, e := range w.log {
		if e.u.end() >= from {
			ends = append(ends, e.u.end())
		}
	}
	return ends[w.rng.IntN(len(ends))]
}

func (w *world) someKey() Key { return w.keys[w.rng.IntN(len(w.keys))] }

// ops are the steps of a history, by weight.
var ops = []struct {
	name   string
	weight int
	run    func(*world)
}{
	{"append", 30, func(w *world) {
		for range 1 + w.rng.IntN(60) {
			w.append(w.someKey())
		}
	}},
	{"append to one", 20, func(w *world) {
		key := w.someKey()
		for range 1 + w.rng.IntN(300) {
			w.append(key)
		}
	}},
	{"append again", 4, (*world).appendAgain},
	{"write out", 8, func(w *world) { w.must(w.set.WriteOut()) }},
	{"sync", 8, func(w *world) {
		w.must(w.set.Sync(0))
		w.durable = w.logEnd
	}},
	{"sync some", 8, func(w *world) { w.must(w.set.Sync(1 + w.rng.IntN(2))) }},
	{"correct", 4, func(w *world) {
		w.logMin = max(w.logMin, min(w.durable, w.someEnd(0)))
		w.must(w.set.CorrectMinOffset(w.logMin))
	}},
	{"delete", 6, func(w *world) {
		w.logMin = max(w.logMin, min(w.durable, w.someEnd(0)))
		_, err := w.set.DeleteExpired(w.logMin)
		w.must(err)
	}},
	{"truncate", 4, func(w *world) {
		end := max(w.logMin, w.someEnd(w.logEnd/3*2))
		w.must(w.set.Truncate(end))
		w.cutLog(end)
	}},
	{"drop", 2, func(w *world) { w.rebuild(w.someKey()) }},
	{"delete topic", 1, func(w *world) {
		topic := w.someKey().Topic
		w.must(w.set.DeleteTopic(topic))
		for _, key := range w.keys {
			if key.Topic == topic {
				w.first[key] = w.next[key]
			}
		}
	}},
	{"reopen", 3, func(w *world) {
		w.must(w.set.Close())
		w.open(w.fs, w.durable, true)
	}},
	{"kill", 3, func(w *world) { // all that was written is there
		w.open(w.fs.Kill(), w.durable, true)
		w.redispatch(w.durable)
	}},
	{"kill and cut", 3, func(w *world) {
		w.open(w.fs.Kill(), w.durable, false)
		w.checkCut()
		w.redispatch(w.durable)
	}},
	{"crash", 6, func(w *world) { // the log loses its unsynced tail, too
		w.cutLog(w.someEnd(w.durable))
		w.open(w.fs.Crash(w.rng.Uint64()), w.durable, false)
		w.checkCut()
		w.redispatch(w.durable)
	}},
	{"crash of the log", 2, func(w *world) { // it loses even what was durable
		durable := w.durable
		w.cutLog(max(w.logMin, w.someEnd(w.durable/2)))
		w.open(w.fs.Crash(w.rng.Uint64()), durable, false)
		w.checkCut()
		w.redispatch(w.durable)
	}},
}

// appendAgain offers units that are there, and one too far.
func (w *world) appendAgain() {
	key := w.someKey()
	for _, e := range w.of(key) {
		w.must(w.dispatch(e))
	}
	if len(w.of(key)) == 0 {
		return
	}
	var gap *GapError
	err := w.dispatch(entry{key, w.next[key] + 1, Unit{w.logEnd, 100, 0}})
	if !errors.As(err, &gap) || gap.Want != w.next[key] || gap.Have != w.next[key]+1 {
		w.fatalf("append behind a gap: %v", err)
	}
}

// rebuild drops a queue and builds it from the records that the log still has.
func (w *world) rebuild(key Key) {
	w.must(w.set.DropQueue(key))
	if q := w.set.Queue(key.Topic, key.QueueID); q != nil {
		w.fatalf("%v is there after it was dropped", key)
	}
	w.first[key] = w.next[key]
	for _, e := range w.log {
		if e.key == key && e.u.Offset >= w.logMin {
			w.first[key] = min(w.first[key], e.off)
			w.must(w.dispatch(e))
		}
	}
	w.must(w.set.Sync(0))
	w.durable = w.logEnd
}

// checkCut proves that exactly the durable units are there.
func (w *world) checkCut() {
	for _, key := range w.keys {
		entries := slices.DeleteFunc(w.of(key), func(e entry) bool { return e.u.end() > w.durable })
		w.checkQueue(key, entries)
	}
}

// check proves that the queues are what the log says.
func (w *world) check() {
	var end message.PhyOffset
	for _, key := range w.keys {
		entries := w.of(key)
		w.checkQueue(key, entries)
		if len(entries) > 0 {
			end = max(end, entries[len(entries)-1].u.end())
		}
	}
	if got := w.set.MaxPhy(); got != end && end > w.logMin {
		w.fatalf("MaxPhy is %d, want %d", got, end)
	}
	w.must(w.set.Check())
	if n := w.set.OpenFiles(); n > w.opts.OpenFiles {
		w.fatalf("%d open files", n)
	}
}

func (w *world) checkQueue(key Key, entries []entry) {
	w.t.Helper()
	q := w.set.Queue(key.Topic, key.QueueID)
	if len(entries) == 0 {
		if q != nil && q.MinOffset() != q.MaxOffset() {
			w.fatalf("%v has units %d..%d, want none", key, q.MinOffset(), q.MaxOffset())
		}
		return
	}
	last := entries[len(entries)-1]
	if last.u.Offset < w.logMin && (q == nil || q.MinOffset() == q.MaxOffset()) {
		return // expired with its file
	}
	if q == nil || q.MaxOffset() != last.off+1 {
		w.fatalf("%v: %+v, want end %d", key, q, last.off+1)
	}
	if u, ok := q.Last(); !ok || u != last.u {
		w.fatalf("%v: last unit is %+v, want %+v", key, u, last.u)
	}
	entries = entries[w.indexOfMin(entries):]
	want := last.off + 1
	if len(entries) > 0 {
		want = entries[0].off
	}
	if q.MinOffset() != want {
		w.fatalf("%v: minimum is %d, want %d", key, q.MinOffset(), want)
	}
	for i, u := range readAll(w.t, q) {
		if entries[i].u != u {
			w.fatalf("%v: unit %d is %+v, want %+v", key, entries[i].off, u, entries[i].u)
		}
	}
}

func (w *world) indexOfMin(entries []entry) int {
	i := slices.IndexFunc(entries, func(e entry) bool { return e.u.Offset >= w.logMin })
	if i < 0 {
		return len(entries)
	}
	return i
}

// checkReads reads at random places.
func (w *world) checkReads() {
	key := w.someKey()
	q := w.set.Queue(key.Topic, key.QueueID)
	if q == nil || q.MinOffset() == q.MaxOffset() {
		return
	}
	entries := w.of(key)
	low, high := q.MinOffset(), q.MaxOffset()
	from := low + message.QueueOffset(w.rng.Int64N(int64(high-low)+1))
	dst := make([]Unit, 1+w.rng.IntN(200))
	n, err := q.Read(from, dst)
	w.must(err)
	per := message.QueueOffset(w.opts.FileSize / unitSize)
	if want := min(message.QueueOffset(len(dst)), high-from, per-from%per); n != int(want) {
		w.fatalf("%v: read %d units at %d of %d..%d, want %d", key, n, from, low, high, want)
	}
	for i, u := range dst[:n] {
		if e := entries[int(from-entries[0].off)+i]; e.u != u {
			w.fatalf("%v: read %+v at %d, want %+v", key, u, e.off, e.u)
		}
	}
	for _, off := range []message.QueueOffset{low - 1, high + 1, -1} {
		var outside *RangeError
		if _, err := q.Read(off, dst); !errors.As(err, &outside) {
			w.fatalf("%v: read at %d of %d..%d: %v", key, off, low, high, err)
		}
	}
}

func (w *world) run(steps int) {
	total := 0
	for _, op := range ops {
		total += op.weight
	}
	for w.step = range steps {
		n := w.rng.IntN(total)
		for _, op := range ops {
			if n -= op.weight; n < 0 {
				w.op = op.name
				if os.Getenv("CQ_TRACE") != "" {
					w.t.Logf("%d %s: log %d..%d durable %d next %v first %v", w.step, op.name, w.logMin, w.logEnd, w.durable, w.next, w.first)
				}
				op.run(w)
				break
			}
		}
		w.check()
		w.checkReads()
	}
	w.must(w.set.Close())
}

// TestModel runs random histories, crashes included, against the model. To
// repeat one: CQ_SEED=n go test -run TestModel. CQ_HISTORIES sets their number.
func TestModel(t *testing.T) {
	if s := os.Getenv("CQ_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		newWorld(t, seed).run(60)
		return
	}
	histories := 100
	if testing.Short() {
		histories = 30
	}
	if n, err := strconv.Atoi(os.Getenv("CQ_HISTORIES")); err == nil {
		histories = n
	}
	base := rand.Uint64() >> 16
	for i := range uint64(histories) {
		newWorld(t, base+i).run(60)
	}
}
