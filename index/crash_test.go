package index

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/invariants"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

var (
	historySeed  = flag.Uint64("history.seed", 0, "run the one history of this seed")
	historyCount = flag.Int("history.count", 25, "how many histories to run")
)

// history is an index that lives through puts, syncs, stops and crashes, and beside it the log that it
// is to be an index of.
type history struct {
	t    *testing.T
	rnd  *rand.Rand
	seed uint64
	ops  []string

	fs    *vfs.CrashFS
	fault *vfs.FaultFS
	next  *vfs.CrashFS // after a crash in the middle of an operation
	opts  Options
	x     *Index
	keys  Keys

	log     []modelMessage
	end     message.PhyOffset
	now     int64
	kept    State // what the engine has on disk
	mark    State // what it knows as long as the power is on
	deleted message.PhyOffset
	// torn: after entries were cut the exact time of the last one may be lost.
	torn bool
}

func (h *history) op(format string, args ...any) {
	h.ops = append(h.ops, fmt.Sprintf(format, args...))
}

func (h *history) fatal(format string, args ...any) {
	h.t.Helper()
	h.t.Fatalf("-history.seed=%d\n%s\n%s", h.seed, strings.Join(h.ops, "\n"), fmt.Sprintf(format, args...))
}

func (h *history) must(err error) {
	h.t.Helper()
	if err != nil {
		h.fatal("%v", err)
	}
}

func newHistory(t *testing.T, seed uint64) *history {
	rnd := rand.New(rand.NewPCG(seed, 1))
	h := &history{t: t, rnd: rnd, seed: seed, fs: vfs.NewCrashFS(seed), now: 1_700_000_000_000}
	h.opts = Options{
		Slots:     []int{1, 7, 100, 1000, 3000}[rnd.IntN(5)],
		Entries:   []int{2, 20, 40, 300, 300}[rnd.IntN(5)],
		MaxMapped: 1 + rnd.IntN(3),
		Now:       func() time.Time { return time.UnixMilli(h.now) },
	}
	h.op("slots %d, entries %d", h.opts.Slots, h.opts.Entries)
	return h
}

func (h *history) open() {
	h.fault = vfs.NewFaultFS(h.fs, nil)
	x, err := Open(h.fault, "/store/index", &h.opts)
	h.must(err)
	h.x = x
}

// word makes keys that repeat, and that collide in Java's hash.
func (h *history) word() string {
	words := []string{"Aa", "BB", "AaAa", "BBBB", "k", "键", "a b", "b  c ", ""}
	if h.rnd.IntN(3) == 0 {
		return fmt.Sprint("k", h.rnd.IntN(1000))
	}
	return words[h.rnd.IntN(len(words))]
}

func (h *history) put() {
	n := 1 + h.rnd.IntN(30)
	h.op("put %d at %d", n, h.end)
	for range n {
		h.now += int64(h.rnd.IntN(3000)) - 200
		m := modelMessage{topic: "T", uniqKey: h.word(), keys: h.word(), tag: h.word(), off: h.end, storeTime: h.now}
		h.log = append(h.log, m)
		h.end += message.PhyOffset(91 + h.rnd.IntN(1000))
		h.must(h.dispatch(&m))
		if h.rnd.IntN(8) == 0 {
			h.fs.Snapshot()
		}
	}
}

// dispatch puts a message, and may leave it to a later one to settle it, as the engine does.
func (h *history) dispatch(m *modelMessage) error {
	bytes := func(s string) []byte { return []byte(s) }
	h.x.Prepare(&h.keys, bytes(m.topic), bytes(m.uniqKey), bytes(m.keys), bytes(m.tag))
	err := h.x.Put(&h.keys, m.off, m.storeTime)
	if err == nil && h.rnd.IntN(4) == 0 {
		h.x.Settle()
	}
	return err
}

// sync keeps a new State, unless a crash comes between.
func (h *history) sync() {
	st, err := h.x.Sync()
	h.must(err)
	if h.next == nil {
		h.kept = st
	}
	h.op("sync %+v", st)
}

// takeMark does what the engine does between syncs.
func (h *history) takeMark() {
	h.mark = h.x.Mark()
	h.op("mark %+v", h.mark)
}

// crashWithin lets one of the next calls of the file system find the power gone.
func (h *history) crashWithin() {
	nth := 1 + h.rnd.IntN(6)
	h.op("crash at call %d", nth)
	h.fault.SetRules(vfs.Rule{Nth: nth, Do: func(vfs.Call) {
		if h.next == nil {
			h.next = h.fs.Crash(h.rnd.Uint64())
		}
	}})
}

// crashed goes over to what the crash left, if there was one.
func (h *history) crashed() bool {
	h.fault.SetRules()
	if h.next == nil {
		return false
	}
	h.fs, h.next, h.mark = h.next, nil, State{}
	h.op("crashed: %v", h.fs.Outcome())
	return true
}

// loseLog cuts the tail of the log, as a power loss may.
func (h *history) loseLog() {
	if len(h.log) == 0 || h.rnd.IntN(3) > 0 {
		return
	}
	at := len(h.log) - h.rnd.IntN(min(len(h.log), 20))
	if at < len(h.log) && h.log[at].off >= h.deleted {
		h.end = h.log[at].off
		h.log = h.log[:at]
		h.torn, h.mark = true, State{} // the engine sees that neither fits the log
		h.op("log lost from %d", h.end)
	}
}

// recoverAfter opens the index again and dispatches what it asks for.
func (h *history) recoverAfter(clean bool) {
	st := h.kept
	if !clean && h.mark.Durable > st.Durable {
		st = h.mark
	}
	if !clean && h.rnd.IntN(5) == 0 {
		st = State{} // the engine lost it, or a Java broker was here
	}
	for {
		h.open()
		if h.rnd.IntN(4) == 0 {
			h.crashWithin()
		}
		from, err := h.x.Recover(st, clean, h.kept.SealedTime, h.end)
		h.must(err)
		h.op("recover clean=%v state=%+v: from %d, dropped %v", clean, st, from, h.x.Dropped())
		h.sync()
		if h.crashed() {
			clean, st = false, h.kept
			continue
		}
		h.mark = State{}
		if clean && from != h.end {
			h.fatal("after a clean stop dispatch begins at %d, the log ends at %d", from, h.end)
		}
		for i := range h.log {
			if h.log[i].off >= max(from, h.deleted) {
				h.must(h.dispatch(&h.log[i]))
			}
		}
		return
	}
}

func (h *history) step() {
	switch n := h.rnd.IntN(20); {
	case n < 9:
		h.put()
	case n < 11:
		h.sync()
	case n < 12:
		h.takeMark()
	case n < 13:
		h.op("close")
		h.must(h.x.Close())
		h.recoverAfter(true)
	case n < 14:
		h.op("kill")
		h.fs = h.fs.Kill()
		h.loseLog()
		h.recoverAfter(false)
	case n < 16:
		h.op("crash")
		h.fs, h.mark = h.fs.Crash(h.rnd.Uint64()), State{}
		h.op("crashed: %v", h.fs.Outcome())
		h.loseLog()
		h.recoverAfter(false)
	case n < 18:
		h.crashWithin()
		h.put()
		h.sync()
		if h.crashed() {
			h.loseLog()
			h.recoverAfter(false)
		}
	case n < 19:
		h.deleteExpired()
	default:
		h.truncate()
	}
	if len(h.x.list()) < 20 || h.rnd.IntN(10) == 0 {
		h.check()
	}
}

func (h *history) deleteExpired() {
	if len(h.log) == 0 {
		return
	}
	min := h.log[h.rnd.IntN(len(h.log))].off
	h.deleted = max(h.deleted, min)
	n, err := h.x.DeleteExpired(h.deleted)
	h.must(err)
	h.op("delete below %d: %d files", h.deleted, n)
}

// truncate cuts the log while the index is open.
func (h *history) truncate() {
	if len(h.log) == 0 {
		return
	}
	at := len(h.log) - 1 - h.rnd.IntN(min(len(h.log), 5))
	if h.log[at].off < h.deleted {
		return
	}
	h.end = h.log[at].off
	h.log = h.log[:at]
	h.torn, h.mark = true, State{}
	h.op("truncate to %d", h.end)
	h.must(h.x.Truncate(h.end))
	h.sync()
}

// check compares the index with what Java would have built of the log.
func (h *history) check() {
	h.t.Helper()
	h.x.Settle()
	if err := h.x.Check(); err != nil {
		h.fatal("%v", err)
	}
	want := &model{layout: h.x.layout}
	for i := range h.log {
		want.put(&h.log[i])
	}
	got, all := h.flat(), want.flat()
	// Of the expired files any may be there: a crash brings some back.
	old := func(e [2]int64) bool { return e[1] < int64(h.deleted) }
	if g, w := slices.DeleteFunc(slices.Clone(got), old), slices.DeleteFunc(slices.Clone(all), old); !slices.Equal(g, w) {
		h.fatal("%d entries from %d on:\n%v, want\n%v", len(g), h.deleted, g, w)
	}
	rest := all
	for _, e := range got {
		at := slices.Index(rest, e)
		if at < 0 {
			h.fatal("entry %v is none of the log's, or out of order", e)
		}
		rest = rest[at+1:]
	}
	if mapped := h.mapped(); mapped > h.opts.MaxMapped+h.dirty() {
		h.fatal("%d files mapped, %d written", mapped, h.dirty())
	}
	if len(got) == len(all) && !h.torn {
		h.checkQueries(want)
	}
}

func (h *history) checkQueries(want *model) {
	h.t.Helper()
	for i, f := range h.x.list() {
		if got := f.header(); got != want.files[i].header {
			h.fatal("header of file %d is %+v, want %+v", i, got, want.files[i].header)
		}
	}
	for range 5 {
		key := h.word()
		begin, end, max := int64(0), int64(math.MaxInt64), 1<<20
		if len(h.log) > 0 && h.rnd.IntN(2) == 0 {
			begin = h.log[h.rnd.IntN(len(h.log))].storeTime
			end = begin + int64(h.rnd.IntN(20_000))
			max = 1 + h.rnd.IntN(10)
		}
		res, err := h.x.Query("T", key, max, begin, end)
		h.must(err)
		if exp := want.query("T", key, max, begin, end); !slices.Equal(res.Offsets, exp) {
			h.fatal("query %q from %d to %d: %v, want %v", key, begin, end, res.Offsets, exp)
		}
	}
}

// flat lists hash and offset of every entry.
func (h *history) flat() (all [][2]int64) {
	for _, f := range h.x.list() {
		b, err := h.x.acquire(f)
		h.must(err)
		for number := int32(1); number < f.count.Load(); number++ {
			e := decodeEntry(b[f.entryAt(number):])
			all = append(all, [2]int64{int64(e.hash), e.phy})
		}
		h.must(h.x.release(f))
	}
	return all
}

func (d *model) flat() (all [][2]int64) {
	for _, f := range d.files {
		for _, e := range f.entries[1:] {
			all = append(all, [2]int64{int64(e.hash), e.phy})
		}
	}
	return all
}

func (h *history) mapped() (n int) {
	for _, f := range h.x.list() {
		if f.mapping != nil {
			n++
		}
	}
	return n
}

func (h *history) dirty() (n int) {
	for _, f := range h.x.list() {
		if f.dirty || f.refs > 0 {
			n++
		}
	}
	return n
}

func (h *history) run() {
	defer func() { h.fs.Discard() }()
	h.open()
	if from, err := h.x.Recover(State{}, true, 0, 0); err != nil || from != 0 {
		h.fatal("from %d, error %v", from, err)
	}
	h.sync()
	for range 40 {
		h.step()
	}
	h.check()
	h.must(h.x.Close())
	if err := h.x.Close(); !errors.Is(err, ErrClosed) {
		h.fatal("closed twice: %v", err)
	}
}

// TestHistories lets an index live through all that may happen and compares it with the model after
// every step: nothing missing, nothing twice, nothing wrong.
func TestHistories(t *testing.T) {
	if *historySeed != 0 {
		newHistory(t, *historySeed).run()
		return
	}
	count := *historyCount
	if invariants.Enabled {
		count = (count + 3) / 4 // a history costs the race detector ten times as much
	}
	for range count {
		newHistory(t, rand.Uint64()).run()
	}
}
