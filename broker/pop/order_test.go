package pop

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/rocketlog/rocketlog/internal/histories"
)

var orderKey = OrderKey{"T", "g", 0}

func TestOrderCounts(t *testing.T) {
	o := NewOrders()
	if counts, least := o.Give(orderKey, "a", []int64{5, 6, 8}, 100, 10, 100); counts != nil || least != 0 {
		t.Errorf("first batch: %v, least %d", counts, least)
	}
	if counts, least := o.Give(orderKey, "b", []int64{5, 6}, 120, 10, 120); !reflect.DeepEqual(counts, []Count{{5, 1}, {6, 1}}) || least != 1 {
		t.Errorf("again: %v, least %d", counts, least)
	}
	if counts, least := o.Give(orderKey, "b", []int64{5, 6}, 121, 10, 121); !reflect.DeepEqual(counts, []Count{{5, 1}, {6, 1}}) || least != 1 {
		t.Errorf("the same attempt: %v, least %d", counts, least)
	}
	if counts, least := o.Give(orderKey, "c", []int64{6, 7}, 140, 10, 140); !reflect.DeepEqual(counts, []Count{{6, 2}}) || least != 0 {
		t.Errorf("another range: %v, least %d", counts, least)
	}
}

func TestOrderBlocks(t *testing.T) {
	o := NewOrders()
	o.Give(orderKey, "a", []int64{5, 6, 8}, 100, 10, 100)
	if !o.Blocked(orderKey, "", 109) || !o.Blocked(orderKey, "b", 109) || o.Blocked(orderKey, "a", 109) || o.Blocked(orderKey, "b", 110) {
		t.Error("a batch blocks all but its own attempt until its time")
	}
	if next, v := o.Ack(orderKey, 6, 100); next != 5 || v != Accepted {
		t.Errorf("ack of 6: %d, %d", next, v)
	}
	if next, v := o.Ack(orderKey, 5, 100); next != 8 || v != Accepted {
		t.Errorf("ack of 5: %d, %d", next, v)
	}
	if _, v := o.Ack(orderKey, 7, 100); v != Unknown {
		t.Errorf("ack of 7: %d", v)
	}
	if _, v := o.Ack(orderKey, 8, 99); v != Stale {
		t.Errorf("ack for another batch: %d", v)
	}
	o.Postpone(orderKey, 8, 100, 300)
	if !o.Blocked(orderKey, "", 299) || o.Blocked(orderKey, "", 300) {
		t.Error("a message put off blocks until then")
	}
	if next, v := o.Ack(orderKey, 8, 100); next != 9 || v != Accepted || o.Blocked(orderKey, "", 100) {
		t.Errorf("ack of 8: %d, %d; blocked %v", next, v, o.Blocked(orderKey, "", 100))
	}
	if next, v := o.Ack(OrderKey{"T", "g", 1}, 8, 100); next != 9 || v != Accepted {
		t.Errorf("ack where no batch is known: %d, %d", next, v)
	}
}

func TestBatchAsJava(t *testing.T) {
	const java = `{"cm":1,"i":600000,"l":1795231317672,"o":[0,1],"popTime":1795231317671}`
	var b Batch
	if err := json.Unmarshal([]byte(java), &b); err != nil || !b.Valid() || b.next() != 1 {
		t.Fatalf("%+v, %v", b, err)
	}
	for _, bad := range []string{`{}`, `{"o":[-1]}`, `{"o":[1,0]}`, `{"o":[1,3,2]}`, `{"o":[1],"i":-1}`, `{"o":[1],"popTime":9223372036854775807}`} {
		var b Batch
		if err := json.Unmarshal([]byte(bad), &b); err != nil || b.Valid() {
			t.Errorf("%s is valid (%v)", bad, err)
		}
	}
}

// TestOrderModel runs random histories of one ordered queue, with crashes that lose what was not persisted: messages are
// done in their order, none is passed over, and none is in two hands at a time but after a crash.
func TestOrderModel(t *testing.T) {
	histories.Each(t, 300, orderedHistory)
}

func orderedHistory(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 8))
	const end = 60
	o, now, committed := NewOrders(), int64(1000), int64(0)
	type held struct{ offset, popTime, until int64 }
	var hands []held
	done := map[int64]bool{}
	saved, savedOffset := Batch{}, int64(0)
	for step := 0; committed < end; step++ {
		now += r.Int64N(5)
		if step > 20000 {
			t.Fatalf("stuck at %d", committed)
		}
		switch r.IntN(10) {
		case 0, 1, 2, 3:
			if o.Blocked(orderKey, "", now) {
				continue
			}
			var offsets []int64
			for at := committed; at < min(end, committed+1+r.Int64N(6)); at++ {
				offsets = append(offsets, at)
			}
			for _, h := range hands {
				if now < h.until && !done[h.offset] {
					t.Fatalf("at %d message %d is in hand until %d, and the queue gives out %v", now, h.offset, h.until, offsets)
				}
			}
			invisible := r.Int64N(30)
			o.Give(orderKey, "", offsets, now, invisible, now)
			hands = hands[:0]
			for _, at := range offsets {
				hands = append(hands, held{at, now, now + invisible})
			}
		case 4, 5, 6, 7:
			if len(hands) == 0 {
				continue
			}
			i := r.IntN(len(hands))
			h := hands[i]
			next, v := o.Ack(orderKey, h.offset, h.popTime)
			if v != Accepted {
				continue // of a batch that a crash has made unknown
			}
			done[h.offset] = true
			hands = slices.Delete(hands, i, i+1)
			if next > committed {
				for at := committed; at < next; at++ {
					if !done[at] {
						t.Fatalf("message %d is passed over by an ack of %d", at, h.offset)
					}
				}
				committed = next
			}
		case 8:
			if len(hands) > 0 {
				i := r.IntN(len(hands))
				if until := now + r.Int64N(40); o.Postpone(orderKey, hands[i].offset, hands[i].popTime, until) {
					hands[i].until = until
				}
			}
		case 9:
			if r.IntN(3) > 0 {
				o.All(func(_ OrderKey, b *Batch) { saved = cloneBatch(t, b) })
				savedOffset = committed
				continue
			}
			o = NewOrders()
			o.Restore(orderKey, &saved)
			saved = cloneBatch(t, &saved)
			committed, hands = savedOffset, nil
		}
	}
}

// cloneBatch is the batch after a way to disk and back.
func cloneBatch(t *testing.T, b *Batch) (c Batch) {
	data, err := json.Marshal(b)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func FuzzBatch(f *testing.F) {
	f.Add([]byte(`{"cm":1,"i":600000,"l":1795231317672,"o":[0,1],"popTime":1795231317671,"ot":{"1":5},"oc":{"0":2}}`), int64(1))
	f.Fuzz(func(t *testing.T, data []byte, offset int64) {
		var b Batch
		if json.Unmarshal(data, &b) != nil {
			return
		}
		o := NewOrders()
		o.Restore(orderKey, &b)
		o.Blocked(orderKey, "x", 1)
		if next, v := o.Ack(orderKey, offset, b.PopTime); o.Len() == 1 && v == Accepted && next < b.Offsets[0] {
			t.Errorf("%+v: ack of %d leads to %d", b, offset, next)
		}
		o.Give(orderKey, "y", []int64{1, 2}, 1, 1, 1)
	})
}
