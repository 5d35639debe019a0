package broker

import (
	"testing"
	"time"
)

func TestTransferRate(t *testing.T) {
	var r transferRate
	now := time.Unix(1000, 0)
	for _, step := range []struct {
		after time.Duration
		bytes int64
		want  int64
	}{
		{0, 500, 0},                         // nothing to compare with
		{2 * time.Second, 2500, 1000},       // since the last question
		{time.Second / 2, 9999, 1000},       // asked too soon
		{time.Second / 2, 4500, 2000},       //
		{10 * time.Second, 100, 0},          // another connection of the same peer
		{4 * time.Second, 100 + 4000, 1000}, //
	} {
		now = now.Add(step.after)
		if got := r.of(now, map[string]int64{"slave": step.bytes})["slave"]; got != step.want {
			t.Errorf("after %v and with %d bytes %d a second, want %d", step.after, step.bytes, got, step.want)
		}
	}
}
