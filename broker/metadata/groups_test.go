package metadata

import (
	"testing"

	"github.com/rocketlog/rocketlog/broker/state/statetest"
	"github.com/rocketlog/rocketlog/internal/vfs"
)

func TestGroups(t *testing.T) {
	f, _ := statetest.File(t, "subscriptionGroup.json")
	groups := NewGroups(f, false, 1)
	if groups.Get("TOOLS_CONSUMER") == nil {
		t.Error("the tools' group is not there")
	}
	c, err := groups.FindOrCreate("readers", true, 2)
	if c == nil || err != nil || c.RetryMaxTimes != 16 || c.RetryQueueNums != 1 || !c.ConsumeEnable {
		t.Fatalf("made by use: %+v, %v", c, err)
	}
	for name, made := range map[string]bool{"others": false, "CID_RMQ_SYS_x": true} {
		if c, _ := groups.FindOrCreate(name, false, 3); (c != nil) != made {
			t.Errorf("%s with autoCreateSubscriptionGroup off: made %t", name, c != nil)
		}
	}
	if c, _ := groups.FindOrCreate("a b", true, 3); c != nil {
		t.Error("a group with a blank is made")
	}
	if err := groups.Forbid("readers", "orders", false, 4); err != nil || !groups.ReadForbidden("readers", "orders") || groups.ReadForbidden("readers", "other") {
		t.Errorf("forbidden: %v", err)
	}
	again := NewGroups(f, false, 9)
	if err := again.Load(); err != nil || again.Get("readers") == nil || !again.ReadForbidden("readers", "orders") {
		t.Errorf("loaded: %v", err)
	}
	if err := groups.Forbid("readers", "orders", true, 5); err != nil || groups.ReadForbidden("readers", "orders") {
		t.Errorf("allowed again: %v", err)
	}
	if err := groups.Remove("readers", 6); err != nil || groups.Get("readers") != nil {
		t.Errorf("removed: %v", err)
	}
}

// What an older writer did not know has its default, not zero.
func TestGroupsOfOlderWriters(t *testing.T) {
	f, fs := statetest.File(t, "subscriptionGroup.json")
	const file = `{"subscriptionGroupTable":{"old":{"groupName":"old","retryMaxTimes":3}}}`
	if err := vfs.WriteFileAtomic(fs, f.Name(), []byte(file)); err != nil {
		t.Fatal(err)
	}
	groups := NewGroups(f, false, 1)
	if err := groups.Load(); err != nil {
		t.Fatal(err)
	}
	c := groups.Get("old")
	if c == nil || c.RetryMaxTimes != 3 || !c.ConsumeEnable || !c.NotifyConsumerIDsChangedEnable || c.RetryQueueNums != 1 {
		t.Errorf("%+v", c)
	}
}
