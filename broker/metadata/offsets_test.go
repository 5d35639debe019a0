package metadata

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/broker/state/statetest"
)

// The offsets are those of a plain map, through random histories with saves and loads.
func TestOffsetsAgainstModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	f, _ := statetest.File(t, "consumerOffset.json")
	table := NewOffsets(f, OffsetOptions{}, func() int64 { return 7 }, func() {})
	type key struct {
		topic, group string
		queue        int32
	}
	model, saved := map[key]int64{}, map[key]int64{}
	for range 20000 {
		k := key{fmt.Sprint("t", rnd.IntN(5)), fmt.Sprint("g", rnd.IntN(5)), rnd.Int32N(4)}
		switch rnd.IntN(200) {
		case 0:
			if err := table.Persist(); err != nil {
				t.Fatal(err)
			}
			saved = map[key]int64{}
			for k, v := range model {
				saved[k] = v
			}
		case 1: // the process is killed
			table = NewOffsets(f, OffsetOptions{}, func() int64 { return 7 }, func() {})
			if err := table.Load(); err != nil {
				t.Fatal(err)
			}
			model = map[key]int64{}
			for k, v := range saved {
				model[k] = v
			}
		case 2:
			table.Forget(func(topic, group string) bool { return topic == k.topic && group == k.group })
			for other := range model {
				if other.topic == k.topic && other.group == k.group {
					delete(model, other)
				}
			}
		default:
			v := rnd.Int64N(1000)
			table.Commit(k.topic, k.group, k.queue, v)
			model[k] = v
		}
		got, ok := table.Committed(k.topic, k.group, k.queue)
		if want, had := model[k]; ok != had || got != want {
			t.Fatalf("%v: offset %d %t, want %d %t", k, got, ok, want, had)
		}
	}
}

func TestOffsetsArmTheirWriterOnce(t *testing.T) {
	f, _ := statetest.File(t, "consumerOffset.json")
	armed := 0
	table := NewOffsets(f, OffsetOptions{}, func() int64 { return 7 }, func() { armed++ })
	if err := table.Persist(); err != nil {
		t.Fatal(err)
	}
	if v, _ := state.Load[OffsetsFile](f); v != nil {
		t.Error("written though nothing changed")
	}
	table.Commit("t", "g", 0, 1)
	table.Commit("t", "g", 0, 2)
	table.Commit("t", "g", 0, 2)
	if armed != 1 {
		t.Errorf("armed %d times", armed)
	}
	if err := table.Persist(); err != nil {
		t.Fatal(err)
	}
	table.Commit("t", "g", 0, 2)
	if armed != 1 {
		t.Error("an offset that is as it was makes the table dirty")
	}
	table.Commit("t", "g", 0, 3)
	if armed != 2 {
		t.Errorf("armed %d times", armed)
	}
}

func TestOffsetResets(t *testing.T) {
	f, _ := statetest.File(t, "consumerOffset.json")
	table := NewOffsets(f, OffsetOptions{}, func() int64 { return 7 }, func() {})
	table.Commit("t", "g", 0, 9)
	if _, ok := table.TakeReset("t", "g", 0); ok {
		t.Error("a reset that nobody asked for")
	}
	table.Reset("t", "g", 0, 4)
	if !table.PendingReset("t", "g", 0) || table.PendingReset("t", "g", 1) {
		t.Error("the reset is not pending, or for another queue too")
	}
	if offset, ok := table.TakeReset("t", "g", 0); !ok || offset != 4 {
		t.Errorf("taken: %d %t", offset, ok)
	}
	if _, ok := table.TakeReset("t", "g", 0); ok || table.PendingReset("t", "g", 0) {
		t.Error("a reset is taken twice")
	}
	if offset, _ := table.Committed("t", "g", 0); offset != 4 {
		t.Errorf("committed %d", offset)
	}
	table.CopyGroup("t", "g", "h")
	if offset, _ := table.Committed("t", "h", 0); offset != 4 {
		t.Errorf("copied %d", offset)
	}
	if got := table.GroupsOf("t"); !slices.Equal(got, []string{"g", "h"}) {
		t.Errorf("groups %v", got)
	}
}
