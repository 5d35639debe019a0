package timer

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// What Java's broker wrote is read as its manifest says, and written again comes out the same.
func TestGoldenFiles(t *testing.T) {
	for _, name := range []string{golden.Clean, golden.Crashed} {
		t.Run(name, func(t *testing.T) {
			man := golden.Manifest(t, name)
			root := golden.Store(t, name)
			units := 0
			for _, f := range man.TimerLog {
				data := readFile(t, root, "timerlog", f.File)
				for _, j := range f.Records {
					b := data[j.Pos%1040:]
					u, err := decodeUnit(b, j.Pos)
					if j.Blank {
						if !errors.Is(err, errBlank) {
							t.Fatalf("unit at %d: %v", j.Pos, err)
						}
						continue
					}
					want := unit{prev: j.PrevPos, magic: j.Magic, writeTime: j.CurrWriteTime, delay: j.DelayTime, phy: message.PhyOffset(j.OffsetPy), size: j.SizePy, hash: j.HashCodeOfRealTopic}
					if err != nil || u != want {
						t.Fatalf("unit at %d is %+v, %v, want %+v", j.Pos, u, err, want)
					}
					var again [unitSize]byte
					u.encode(again[:])
					if !bytes.Equal(again[:], b[:unitSize]) {
						t.Fatalf("unit at %d is written as %x, want %x", j.Pos, again, b[:unitSize])
					}
					units++
				}
			}
			wheel := readFile(t, root, "timerwheel")
			for _, j := range man.TimerWheel.NonEmptySlots {
				b := wheel[j.Slot*slotSize:][:slotSize]
				s := decodeSlot(b)
				if want := (slot{j.TimeField, j.FirstPos, j.LastPos, j.Num, j.Magic}); s != want {
					t.Fatalf("slot %d is %+v, want %+v", j.Slot, s, want)
				}
				var again [slotSize]byte
				s.encode(again[:])
				if !bytes.Equal(again[:], b) {
					t.Fatalf("slot %d is written as %x, want %x", j.Slot, again, b)
				}
			}
			check := readFile(t, root, "config", "timercheck")
			c, err := ParseCheckpoint(check)
			j := man.TimerCheck
			want := Checkpoint{j.LastReadTimeMs, j.LastTimerLogFlushPos, message.QueueOffset(j.LastTimerQueueOffset), message.QueueOffset(j.MasterTimerQueueOffset),
				j.DataVersionState, j.DataVersionTimestamp, j.DataVersionCounter}
			if err != nil || c != want {
				t.Fatalf("checkpoint is %+v, %v, want %+v", c, err, want)
			}
			if !bytes.Equal(c.Append(nil), check[:CheckpointSize]) {
				t.Fatal("the checkpoint is written in another way")
			}
			if units < 3 || len(man.TimerWheel.NonEmptySlots) < 3 {
				t.Fatalf("%d units, %d slots", units, len(man.TimerWheel.NonEmptySlots))
			}
			checkGolden(t, root, c.ReadTime, name == golden.Clean)
		})
	}
}

// checkGolden proves that Java's files keep our invariants, and have nothing that a scrub would mend.
func checkGolden(t *testing.T, root string, now int64, stopped bool) {
	t.Helper()
	s := goldenStore(t, root)
	found, err := Verify(root, s, &Options{
		FS: vfs.NewScratchFS(vfs.OS), LogFileSize: 1040, Now: func() time.Time { return time.UnixMilli(now) }, Stopped: stopped,
		Damaged: func(f Fault) { t.Error(f) }, Failed: func(err error) { t.Error(err) },
	})
	if found != 0 || err != nil {
		t.Errorf("%d faults, %v", found, err)
	}
	tm, err := open(root, s, &Options{LogFileSize: 1040, Now: func() time.Time { return time.UnixMilli(now) }, Failed: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := tm.Check(); err != nil {
		t.Error(err)
	}
	if err := tm.closeFiles(); err != nil {
		t.Error(err)
	}
}

// goldenStore is the timer topic of a store, as its files have it.
func goldenStore(t *testing.T, root string) *memStore {
	t.Helper()
	s := &memStore{now: func() int64 { return 0 }}
	dir := filepath.Join(root, "commitlog")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		s.log = append(s.log, readFile(t, dir, f.Name())...)
	}
	for at := 0; at < len(s.log); {
		r, err := message.ParseRecord(s.log[at:])
		if err != nil {
			at = (at/(1<<20) + 1) << 20
			continue
		}
		if string(r.Topic()) == message.TimerTopic {
			s.queue = append(s.queue, r.PhyOffset())
		}
		at += r.Size()
	}
	return s
}

func readFile(t *testing.T, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestOutTime(t *testing.T) {
	for deliver, want := range map[int64]int64{
		1795231315270: 1795231315000, // Java's store: 3000 ms after 1795231312270
		1795231316000: 1795231315000, // an exact multiple is one earlier: it is delivered when that slot is over
		1795231316001: 1795231316000,
		1795236732001: 1795236732000, // a recall, by its handle
	} {
		if got := OutTime(deliver, 1000); got != want {
			t.Errorf("OutTime(%d) is %d, want %d", deliver, got, want)
		}
	}
}

// Every one bit of a unit that its fields are bound by is missed.
func TestNoUnit(t *testing.T) {
	good := unit{prev: 52, magic: magicDefault | magicRoll, writeTime: 1000, delay: 5000, phy: 7, size: 100}
	for name, spoil := range map[string]func(u *unit, b []byte){
		"magic":     func(u *unit, b []byte) { u.magic = 16 },
		"prev":      func(u *unit, b []byte) { u.prev = 104 },
		"none":      func(u *unit, b []byte) { u.prev = -2 },
		"phy":       func(u *unit, b []byte) { u.phy = -1 },
		"size":      func(u *unit, b []byte) { u.size = 0 },
		"time":      func(u *unit, b []byte) { u.writeTime = -1 },
		"due":       func(u *unit, b []byte) { u.delay = -1001 },
		"unit size": nil,
	} {
		u, b := good, make([]byte, unitSize)
		if spoil != nil {
			spoil(&u, b)
		}
		u.encode(b)
		if spoil == nil {
			b[3] = 51
		}
		if _, err := decodeUnit(b, 104); !errors.Is(err, errNoUnit) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var b [unitSize]byte
	good.encode(b[:])
	if u, err := decodeUnit(b[:], 104); err != nil || u != good {
		t.Fatalf("%+v, %v", u, err)
	}
	for n := range unitSize {
		if _, err := decodeUnit(b[:n], 104); !errors.Is(err, errNoUnit) {
			t.Fatalf("of %d bytes: %v", n, err)
		}
	}
}

func FuzzUnit(f *testing.F) {
	var b [unitSize]byte
	unit{prev: 52, magic: 3, writeTime: 1000, delay: 5000, phy: 7, size: 100}.encode(b[:])
	f.Add(b[:], int64(104))
	encodeBlank(b[:], 68)
	f.Add(b[:], int64(988))
	f.Fuzz(func(t *testing.T, data []byte, pos int64) {
		u, err := decodeUnit(data, pos)
		if err != nil {
			return
		}
		if u.prev >= pos || u.phy < 0 || u.size <= 0 || u.due() < 0 {
			t.Fatalf("%+v passes at %d", u, pos)
		}
		var again [unitSize]byte
		u.encode(again[:])
		if !bytes.Equal(again[:posUnitReserved], data[:posUnitReserved]) {
			t.Fatalf("%x is written as %x", data, again)
		}
	})
}

func FuzzSlot(f *testing.F) {
	f.Add(make([]byte, slotSize))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < slotSize {
			return
		}
		var again [slotSize]byte
		decodeSlot(data).encode(again[:])
		if !bytes.Equal(again[:], data[:slotSize]) {
			t.Fatalf("%x is written as %x", data, again)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	f.Add(Checkpoint{1, 2, 3, 4, 5, 6, 7}.Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCheckpoint(data)
		if err != nil {
			return
		}
		if !bytes.Equal(c.Append(nil), data[:CheckpointSize]) {
			t.Fatalf("%x is written as %x", data, c.Append(nil))
		}
	})
}

func FuzzProgress(f *testing.F) {
	var b [progressSize]byte
	progress{1000, 2, noPhy, 4}.encode(b[:])
	f.Add(b[:])
	f.Fuzz(func(t *testing.T, data []byte) {
		p, ok := decodeProgress(data)
		if !ok {
			return
		}
		var again [progressSize]byte
		p.encode(again[:])
		if !bytes.Equal(again[:], data[:progressSize]) {
			t.Fatalf("%x is written as %x", data, again)
		}
	})
}

// FuzzOpen opens files with damage: a timer starts, or says what is wrong, and delivers what it can.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{1, 2, 3}, uint32(100), uint8(0))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, uint32(0), uint8(2))
	f.Add([]byte{0x7f, 0xff}, uint32(8), uint8(1))
	f.Fuzz(func(t *testing.T, damage []byte, at uint32, which uint8) {
		clock := start
		s := &memStore{now: func() int64 { return clock }}
		opts := &Options{FS: vfs.NewCrashFS(1), Now: func() time.Time { return time.UnixMilli(clock) }, LogFileSize: 1040, slots: 100}
		tm, err := open("store", s, opts)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 30 {
			s.delay("k", start+int64(i)*1000+1, 1000)
		}
		drain(t, tm)
		if err := errors.Join(tm.flush(), tm.closeFiles()); err != nil {
			t.Fatal(err)
		}
		name := []string{"store/timerwheel", "store/timerlog/00000000000000000000", "store/config/timercheck", "store/timerprogress"}[which%4]
		h, err := opts.FS.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		size, err := h.Size()
		if err != nil {
			t.Fatal(err)
		}
		if size > 0 && len(damage) > 0 {
			off := int64(at) % size
			if _, err := h.WriteAt(damage[:min(int64(len(damage)), size-off)], off); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		tm, err = open("store", s, opts)
		if err != nil {
			return
		}
		for range 200 {
			clock += 1000
			drain(t, tm)
		}
		if err := tm.closeFiles(); err != nil {
			t.Fatal(err)
		}
	})
}
