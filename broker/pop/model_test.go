package pop

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/rocketlog/rocketlog/internal/histories"
)

// A world is a broker around a ledger, with one topic of one queue and its retry topic, and a reference queue that knows of
// each message only when it was given out and until when, and whether it is done. What is on "disk" survives a crash: the
// queues, the revive log, and the offsets as of the last persist.
type world struct {
	t      *testing.T
	r      *rand.Rand
	now    int64
	queues [2][]int // message ids: the topic, and its retry topic
	log    []any    // *Checkpoint or *Ack, with a nil for what cannot be read
	ledger *Ledger

	pos  [2]int64 // consumer offsets
	disk struct {
		pos       [2]int64
		committed int64
	}

	hands []hand // what consumers hold
	ref   map[int]*reference
}

type hand struct {
	id     int
	key    Key
	offset int64
}

// reference is what the model knows of a message.
type reference struct {
	until     int64 // in hand until then, unless loose
	delivered int
	done      bool
	loose     bool // popped since the last persist, or given out again by a revival that a crash cut: may come again at any time
	popped    bool // since the last persist
}

func (w *world) write(rec any) int64 {
	w.log = append(w.log, rec)
	return int64(len(w.log) - 1)
}

func (w *world) apply(offset int64, rec any, late bool) {
	switch rec := rec.(type) {
	case *Checkpoint:
		w.ledger.Add(offset, rec, late)
	case *Ack:
		w.ledger.Ack(offset, rec)
	default:
		w.ledger.Skip(offset)
	}
}

func (w *world) pop(q, most int, invisible int64) {
	ids := w.queues[q]
	start := w.pos[q]
	end := min(int64(len(ids)), start+int64(most))
	if start == end {
		return
	}
	c := &Checkpoint{Key: Key{fmt.Sprint("T", q), "g", 0, start, w.now, "b"}, InvisibleTime: invisible}
	for o := start; o < end; o++ {
		if ids[o]%8 != 7 { // the others are filtered out
			c.Offsets = append(c.Offsets, o)
		} else {
			w.ref[ids[o]].done = true
		}
	}
	if w.ledger.Has(&c.Key) {
		return // another of that millisecond
	}
	w.pos[q] = end
	if len(c.Offsets) == 0 {
		return
	}
	w.apply(w.write(c), c, false)
	for _, o := range c.Offsets {
		ref := w.ref[ids[o]]
		if !ref.loose && (ref.done || w.now < ref.until) {
			w.t.Fatalf("at %d message %d is given out again: %+v", w.now, ids[o], *ref)
		}
		ref.delivered++
		ref.until, ref.popped = c.VisibleAt(), true
		w.hands = append(w.hands, hand{ids[o], c.Key, o})
	}
}

func (w *world) take() (hand, bool) {
	if len(w.hands) == 0 {
		return hand{}, false
	}
	i := w.r.IntN(len(w.hands))
	h := w.hands[i]
	w.hands = append(w.hands[:i], w.hands[i+1:]...)
	return h, true
}

func (w *world) ack(h hand) {
	if !w.ledger.Holds(&h.key, h.offset) {
		return // too late, or known from another life
	}
	a := &Ack{Key: h.key, Offsets: []int64{h.offset}}
	w.apply(w.write(a), a, false)
	if w.ledger.Holds(&h.key, h.offset) {
		w.t.Fatalf("message %d is held after its ack", h.id)
	}
	w.ref[h.id].done = true
}

// postpone is a change of the invisible time: a new checkpoint, and an ack of the old one; a crash may come between.
func (w *world) postpone(h hand, invisible int64, crash bool) {
	if !w.ledger.Holds(&h.key, h.offset) {
		return
	}
	c := &Checkpoint{Key: h.key, InvisibleTime: invisible, Offsets: []int64{h.offset}}
	c.Start, c.PopTime = h.offset, w.now
	if w.ledger.Has(&c.Key) {
		return // another of that millisecond
	}
	w.apply(w.write(c), c, false)
	ref := w.ref[h.id]
	if crash {
		ref.loose = true
		w.crash()
		return
	}
	a := &Ack{Key: h.key, Offsets: []int64{h.offset}}
	w.apply(w.write(a), a, false)
	ref.until = c.VisibleAt()
	w.hands = append(w.hands, hand{h.id, c.Key, h.offset})
}

// revive gives out again what is due; a crash may cut it before it is noted.
func (w *world) revive(crash bool) {
	for {
		d, ok := w.ledger.Due(w.now)
		if !ok {
			return
		}
		if d.VisibleAt() > w.now {
			w.t.Fatalf("at %d a checkpoint of %d is due", w.now, d.VisibleAt())
		}
		if w.r.IntN(10) == 0 {
			w.ledger.Defer(d.Checkpoint, w.now+5)
			continue
		}
		q := int(d.Topic[1] - '0')
		for _, o := range d.Left {
			id := w.queues[q][o]
			w.queues[1] = append(w.queues[1], id)
			w.ref[id].loose = w.ref[id].loose || crash
		}
		if crash {
			w.crash()
			return
		}
		done := &Ack{Key: d.Key, Offsets: d.Left}
		w.apply(w.write(done), done, false)
		w.ledger.Settle(d.Checkpoint)
	}
}

func (w *world) persist() {
	w.disk.pos, w.disk.committed = w.pos, w.ledger.Committed()
	for _, ref := range w.ref {
		ref.popped = false
	}
}

// crash loses what was not on disk, and starts again. Everything popped since may come again.
func (w *world) crash() {
	w.pos = w.disk.pos
	for _, ref := range w.ref {
		ref.loose = ref.loose || ref.popped
	}
	old := w.ledger
	w.ledger = NewLedger(w.disk.committed + 1)
	for o := w.disk.committed + 1; o < int64(len(w.log)); o++ {
		w.apply(o, w.log[o], false)
		if w.r.IntN(4) == 0 {
			w.apply(o, w.log[o], false)
		}
	}
	if w.ledger.Len() < old.Len() {
		w.t.Fatalf("%d checkpoints are open after a crash, %d were", w.ledger.Len(), old.Len())
	}
	for k := range old.open {
		if !w.ledger.Has(&k) {
			w.t.Fatalf("checkpoint %+v is lost by a crash", k)
		}
	}
}

func TestModel(t *testing.T) {
	histories.Each(t, 1000, history)
}

func history(t *testing.T, seed uint64) {
	w := &world{t: t, r: rand.New(rand.NewPCG(seed, 7)), now: 1000, ledger: NewLedger(0), ref: map[int]*reference{}}
	w.disk.committed = -1
	next := 0
	for range 400 {
		w.now += w.r.Int64N(4)
		switch w.r.IntN(12) {
		case 0, 1, 2:
			w.queues[0] = append(w.queues[0], next)
			w.ref[next] = &reference{}
			next++
		case 3, 4, 5:
			w.pop(w.r.IntN(2), 1+w.r.IntN(CheckpointMax), w.r.Int64N(60))
		case 6, 7:
			if h, ok := w.take(); ok {
				w.ack(h)
			}
		case 8:
			if h, ok := w.take(); ok {
				w.postpone(h, w.r.Int64N(80), w.r.IntN(6) == 0)
			}
		case 9:
			w.revive(w.r.IntN(20) == 0)
		case 10:
			w.persist()
		case 11:
			if w.r.IntN(6) == 0 {
				w.crash()
			} else {
				w.take() // a consumer forgets a message
			}
		}
	}
	// The world calms down: everything comes to a consumer that acknowledges it.
	for range 1000 {
		w.now += 100
		w.revive(false)
		w.pop(0, CheckpointMax, 50)
		w.pop(1, CheckpointMax, 50)
		for h, ok := w.take(); ok; h, ok = w.take() {
			w.ack(h)
		}
		if w.ledger.Len() == 0 && w.pos[0] == int64(len(w.queues[0])) && w.pos[1] == int64(len(w.queues[1])) {
			break
		}
	}
	for id, ref := range w.ref {
		if !ref.done {
			t.Errorf("message %d never got done: %+v", id, *ref)
		}
	}
	if w.ledger.Len() != 0 || w.ledger.pins.Len() != 0 || w.ledger.due.Len() != 0 || len(w.ledger.ahead) != 0 {
		t.Errorf("ledger keeps %d checkpoints, %d pins, %d due, %d ahead", w.ledger.Len(), w.ledger.pins.Len(), w.ledger.due.Len(), len(w.ledger.ahead))
	}
	if got, want := w.ledger.Committed(), int64(len(w.log)-1); got != want {
		t.Errorf("committed %d, the log's last record is %d", got, want)
	}
}
