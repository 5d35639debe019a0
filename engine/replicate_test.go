package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// fakeReplicator answers as it is told.
type fakeReplicator struct {
	wait   bool
	refuse error
	answer error
	ends   []message.PhyOffset
}

func (f *fakeReplicator) Appended()            {}
func (f *fakeReplicator) Admit() (bool, error) { return f.wait, f.refuse }
func (f *fakeReplicator) NotifyReplicated(end message.PhyOffset, w ReplicaWaiter) {
	f.ends = append(f.ends, end)
	w.Replicated(f.answer)
}

type late struct{ error }

func (late) Timeout() bool   { return true }
func (l late) Unwrap() error { return l.error }

func TestPutWaitsForReplicas(t *testing.T) {
	for _, flush := range []FlushDiskType{AsyncFlush, SyncFlush} {
		s := open(t, t.TempDir(), Options{CommitLogFileSize: 1 << 20, FlushDiskType: flush})
		boom := errors.New("boom")
		for name, c := range map[string]struct {
			fakeReplicator
			patient bool
			status  PutStatus
			asked   int
		}{
			"has it":               {fakeReplicator{wait: true}, true, PutOK, 2},
			"late":                 {fakeReplicator{wait: true, answer: late{boom}}, true, FlushSlaveTimeout, 2},
			"not there":            {fakeReplicator{wait: true, answer: boom}, true, SlaveNotAvailable, 2},
			"does not wait":        {fakeReplicator{answer: boom}, true, PutOK, 0},
			"sender does not wait": {fakeReplicator{wait: true, answer: boom}, false, PutOK, 0},
			"refused":              {fakeReplicator{refuse: boom}, true, InSyncReplicasNotEnough, 0},
			"refused, no wait":     {fakeReplicator{refuse: boom}, false, PutOK, 0},
		} {
			r := c.fakeReplicator
			s.SetReplicator(&r)
			m := newMessage("T", 0, "k", []byte(name))
			if !c.patient {
				m.Properties = message.AppendProperty(m.Properties, message.PropertyWait, "false")
			}
			res := s.Put(m)
			done := make(putDone, 1)
			s.PutAsync(m, done)
			async := <-done
			if res.Status != c.status || async.Status != c.status || len(r.ends) != c.asked {
				t.Errorf("%s: %v, %v, asked %d times", name, res, async, len(r.ends))
			}
			if c.status != PutOK && (!errors.Is(res.Err, boom) || !errors.Is(async.Err, boom)) {
				t.Errorf("%s: causes %v, %v", name, res.Err, async.Err)
			}
			if stored := res.Status.Stored(); stored == (c.status == InSyncReplicasNotEnough) {
				t.Errorf("%s: stored %t", name, stored)
			}
		}
	}
}

type putDone chan PutResult

func (d putDone) PutDone(r PutResult) { d <- r }

// copyLog gives a follower what the master has in the files up to the one that holds an offset, in pieces of whole files.
func copyLog(t *testing.T, master, follower *Store, from, to message.PhyOffset) {
	t.Helper()
	for at := from; at < to; {
		raw, release, err := master.ReadRaw(at, 1<<30)
		if err != nil || len(raw) == 0 {
			t.Fatalf("read at %d: %d bytes, %v", at, len(raw), err)
		}
		if err := follower.AppendRaw(at, raw); err != nil {
			t.Fatal(err)
		}
		at += message.PhyOffset(len(raw))
		release()
	}
}

// receiveLog has the follower receive what it misses, in sectors, and appends what comes before and behind them.
func receiveLog(t *testing.T, master, follower *Store) {
	t.Helper()
	const sector = vfs.SectorSize
	whole := func(b []byte) (n int) {
		for len(b)-n >= message.BlankSizeMin && n+int(binary.BigEndian.Uint32(b[n:])) <= len(b) {
			n += int(binary.BigEndian.Uint32(b[n:]))
		}
		return n
	}
	var begun []byte
	for end := follower.MaxPhyOffset(); end < master.ConfirmOffset(); end = follower.MaxPhyOffset() {
		next := end + message.PhyOffset(len(begun))
		most := 20 * sector
		if skew := int(next) % sector; skew > 0 {
			most = sector - skew
		}
		raw, release, err := master.ReadRaw(next, most)
		if err != nil || len(raw) == 0 {
			t.Fatalf("read at %d: %d bytes, %v", next, len(raw), err)
		}
		if len(raw) < sector || most < sector {
			begun = append(begun, raw...)
			n := whole(begun)
			if err := follower.AppendRaw(end, begun[:n]); err != nil {
				t.Fatal(err)
			}
			begun = begun[n:]
		} else {
			raw = raw[:len(raw)/sector*sector]
			got, err := follower.Receive(end, begun, bytes.NewReader(raw), len(raw), func(landed []byte) (int, error) {
				n := whole(landed)
				begun = bytes.Clone(landed[n:])
				return n, nil
			})
			if err != nil || got != len(raw) {
				t.Fatalf("received %d of %d bytes at %d: %v", got, len(raw), next, err)
			}
		}
		release()
	}
	if len(begun) > 0 {
		t.Fatalf("the master's log ends with %d bytes that are no record", len(begun))
	}
}

func TestFollower(t *testing.T) {
	const fileSize = 64 << 10
	master := open(t, t.TempDir(), Options{CommitLogFileSize: fileSize})
	for i := range 300 {
		if r := master.Put(newMessage("T", int32(i%3), "k", fmt.Appendf(nil, "%d %01000d", i, 0))); r.Status != PutOK {
			t.Fatal(r)
		}
	}
	for _, begin := range []message.PhyOffset{0, 2 * fileSize} {
		for _, flush := range []FlushDiskType{AsyncFlush, SyncFlush} {
			dir := t.TempDir()
			opts := Options{CommitLogFileSize: fileSize, Following: true, FlushDiskType: flush}
			s := open(t, dir, opts)
			if r := s.Put(newMessage("T", 0, "k", []byte("x"))); r.Status != ServiceNotAvailable {
				t.Fatalf("a follower takes a message: %v", r)
			}
			if err := s.AppendRaw(begin+5, nil); begin > 0 && err == nil {
				t.Fatal("a log begins in the middle of a file")
			}
			half := begin + fileSize + 777
			copyLog(t, master, s, begin, half)
			receiveLog(t, master, s)
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			dispatched(t, s)
			checkFollower(t, master, s, begin)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			// As a master it goes on where the other ended.
			s = open(t, dir, Options{CommitLogFileSize: fileSize})
			checkFollower(t, master, s, begin)
			r := s.Put(newMessage("T", 1, "k", []byte("more")))
			if want := master.MaxOffset("T", 1); r.Status != PutOK || r.QueueOffset != want || r.PhyOffset != master.MaxPhyOffset() {
				t.Fatalf("the first put after a takeover: %+v, want queue offset %d", r, want)
			}
		}
	}
}

// checkFollower compares what can be read from both stores.
func checkFollower(t *testing.T, master, s *Store, begin message.PhyOffset) {
	t.Helper()
	if s.MinPhyOffset() != begin || s.MaxPhyOffset() != master.MaxPhyOffset() {
		t.Fatalf("the follower has [%d, %d), want [%d, %d)", s.MinPhyOffset(), s.MaxPhyOffset(), begin, master.MaxPhyOffset())
	}
	read := 0
	for queue := range int32(3) {
		if got, want := s.MaxOffset("T", queue), master.MaxOffset("T", queue); got != want {
			t.Fatalf("queue %d ends at %d, want %d", queue, got, want)
		}
		for off := s.MinOffset("T", queue); off < s.MaxOffset("T", queue); {
			var have, want GetResult
			req := &GetRequest{Topic: "T", QueueID: queue, Offset: off, MaxMsgs: 1}
			s.Get(req, &have)
			master.Get(req, &want)
			if have.Count != 1 || string(have.Segments[0]) != string(want.Segments[0]) {
				t.Fatalf("queue %d offset %d: %v, %d messages", queue, off, have.Status, have.Count)
			}
			have.Release()
			want.Release()
			off++
			read++
		}
	}
	if begin == 0 && read != 300 || read == 0 {
		t.Fatalf("%d messages can be read", read)
	}
}
