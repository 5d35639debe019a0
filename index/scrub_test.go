package index

import (
	"fmt"
	"testing"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// A message whose log and index are deleted between its reading and its comparison lacks nothing, but one that the log still has does.
func TestScrubBesideDeletion(t *testing.T) {
	for _, deleted := range []bool{true, false} {
		x := fresh(t, vfs.NewCrashFS(1), &Options{Slots: 10, Entries: 7})
		if err := putN(x, 0, 6); err != nil {
			t.Fatal(err)
		}
		var found []*CorruptError
		logMin := message.PhyOffset(0)
		s := x.BeginScrub(ScrubOptions{
			Pace:     func(int) error { return nil },
			Found:    func(c *CorruptError, _ func() error) { found = append(found, c) },
			IsRecord: func(off message.PhyOffset) bool { return off >= logMin },
		})
		for i := range 6 {
			if i == 2 {
				if n, err := x.DeleteExpired(400); n != 2 || err != nil {
					t.Fatal(n, err)
				}
				if deleted {
					logMin = 400
				}
			}
			m := Message{Topic: []byte("T"), UniqueKey: fmt.Appendf(nil, "U%d", i), Keys: fmt.Appendf(nil, "K%d", i), Tag: []byte("tag"),
				Offset: message.PhyOffset(i * 100), StoreTime: 1_700_000_000_000 + int64(i)*1000}
			if err := s.Compare(&m); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Finish(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if deleted == (len(found) > 0) {
			t.Errorf("deleted from the log: %t, found %v", deleted, found)
		}
	}
}
