package subscription

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/broker/state/statetest"
	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

func TestFilterTable(t *testing.T) {
	now := int64(1000)
	f, _ := statetest.File(t, "consumerFilter.json")
	open := func() *Filters {
		table := NewFilters(f, func() int64 { return now }, func() {})
		if err := table.Load(); err != nil {
			t.Fatal(err)
		}
		return table
	}
	sub := func(topic, expression string, version int64) *Subscription {
		return New(protocol.SubscriptionData{Topic: topic, SubString: expression, ExpressionType: "SQL92", SubVersion: version})
	}
	online := func(string) bool { return true }
	offline := func(string) bool { return false }
	table := open()
	get := func(topic string) filterData {
		t.Helper()
		of := table.snapshot().FilterDataByTopic[topic]
		if of == nil || of.GroupFilterData["g"] == nil {
			return filterData{}
		}
		return *of.GroupFilterData["g"]
	}
	tags := New(protocol.SubscriptionData{Topic: "c", SubString: "A", SubVersion: 1})
	table.Register("g", []*Subscription{sub("a", "x = 1", 5), sub("b", "x = 2", 5), tags})
	if d := get("a"); d.Expression != "x = 1" || d.BornTime != 1000 || d.Dead || get("b").ClientVersion != 5 || get("c").Expression != "" {
		t.Errorf("registered: %+v", table.snapshot())
	}
	table.Register("g", []*Subscription{sub("a", "x = 9", 4)})
	if d := get("a"); d.Expression != "x = 1" || !get("b").Dead {
		t.Errorf("an older version counts, or a topic that is left lives: %+v %+v", d, get("b"))
	}
	now = 2000
	table.Register("g", []*Subscription{sub("a", "x = 3", 6), sub("b", "x = 2", 5)})
	if d := get("a"); d.Expression != "x = 3" || d.BornTime != 2000 || get("b").Dead {
		t.Errorf("a newer version does not count, or a topic come back is dead: %+v %+v", d, get("b"))
	}
	table.Register("g", []*Subscription{sub("a", "x =", 7), sub("b", "x = 2", 5)})
	if d := get("a"); d.Expression != "" {
		t.Errorf("an expression that cannot be compiled leaves %+v", d)
	}
	if err := table.Persist(); err != nil {
		t.Fatal(err)
	}
	now = 100_000
	table = open()
	if d := get("b"); !d.Dead || d.DeadTime != now-loadedDeathAge {
		t.Errorf("loaded: %+v", d)
	}
	table.Register("g", []*Subscription{sub("b", "x = 2", 8)})
	table.Expire(online, 50)
	if d := get("b"); d.Dead || d.BornTime != 1000 || d.ClientVersion != 8 {
		t.Errorf("come back: %+v", d)
	}
	table.Expire(offline, 50)
	if d := get("b"); !d.Dead {
		t.Errorf("gone offline: %+v", d)
	}
	now += 49
	table.Expire(offline, 50)
	if d := get("b"); !d.Dead {
		t.Error("forgotten too early")
	}
	now++
	table.Expire(offline, 50)
	if d := get("b"); d.Dead || len(table.mu.groups) != 0 {
		t.Errorf("not forgotten: %+v", d)
	}
}

// Java's file loads, and what is saved again means the same; the bits of a new filter are those that Java gave it.
func TestGoldenFilters(t *testing.T) {
	root := golden.Store(t, golden.Clean)
	f := state.NewFile(vfs.OS, filepath.Join(root, "config", "consumerFilter.json"))
	table := NewFilters(f, func() int64 { return 0 }, func() {})
	if err := table.Load(); err != nil {
		t.Fatal(err)
	}
	if kind, text, ok := table.Of("GT_basic", "GC_sql"); !ok || kind != "SQL92" || text != "n IS NOT NULL AND n > 30" {
		t.Errorf("loaded %q %q", kind, text)
	}
	want := statetest.JSON(t, f)
	if err := table.Persist(); err != nil {
		t.Fatal(err)
	}
	if got := statetest.JSON(t, f); !reflect.DeepEqual(want, got) {
		t.Errorf("saved again it differs\n%s", statetest.Difference(want, got, ""))
	}
	java := table.snapshot().FilterDataByTopic["GT_basic"].GroupFilterData["GC_sql"].BloomFilterData
	if ours := newBloomFilterData("GC_sql", "GT_basic"); !reflect.DeepEqual(ours, java) {
		t.Errorf("bits %+v, Java's %+v", ours, java)
	}
}
