package index

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

func TestCleanOpenRefusesDamage(t *testing.T) {
	opts := &Options{Slots: 10, Entries: 31}
	build := func(t *testing.T) (dir string, names []string, st State) {
		x := fresh(t, vfs.OS, opts)
		if err := putN(x, 0, 25); err != nil {
			t.Fatal(err)
		}
		st, err := x.Sync()
		if err != nil {
			t.Fatal(err)
		}
		names, err = x.names()
		if err = errors.Join(err, x.Close()); err != nil {
			t.Fatal(err)
		}
		return x.dir, names, st
	}
	patch := func(t *testing.T, name string, at int64, b ...byte) {
		t.Helper()
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err == nil {
			_, err = f.WriteAt(b, at)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		damage func(t *testing.T, dir string, names []string)
		from   message.PhyOffset // -1: refused
	}{
		{"none", func(*testing.T, string, []string) {}, 2500},
		{"older file short", func(t *testing.T, dir string, names []string) {
			if err := os.Truncate(filepath.Join(dir, names[0]), 100); err != nil {
				t.Fatal(err)
			}
		}, -1},
		{"last file long", func(t *testing.T, dir string, names []string) {
			if err := os.Truncate(filepath.Join(dir, names[2]), 10_000); err != nil {
				t.Fatal(err)
			}
		}, -1},
		{"last file short", func(t *testing.T, dir string, names []string) {
			if err := os.Truncate(filepath.Join(dir, names[2]), 100); err != nil {
				t.Fatal(err)
			}
		}, 1900},
		{"last file gone", func(t *testing.T, dir string, names []string) {
			if err := os.Remove(filepath.Join(dir, names[2])); err != nil {
				t.Fatal(err)
			}
		}, 1900},
		{"all gone", func(t *testing.T, dir string, _ []string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}, 0},
		{"count too large", func(t *testing.T, dir string, names []string) {
			patch(t, filepath.Join(dir, names[1]), posCount, 0, 0, 0, 32)
		}, -1},
		{"count negative", func(t *testing.T, dir string, names []string) {
			patch(t, filepath.Join(dir, names[1]), posCount, 0x80)
		}, -1},
		{"offsets the wrong way", func(t *testing.T, dir string, names []string) {
			patch(t, filepath.Join(dir, names[0]), posEndPhy, 0x80)
		}, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, names, st := build(t)
			tt.damage(t, dir, names)
			x := openAt(t, vfs.OS, dir, opts)
			from, err := x.Recover(st, true, 0, 2500)
			var bad *CorruptError
			if tt.from < 0 {
				if !errors.As(err, &bad) || filepath.Dir(bad.File) != dir {
					t.Fatalf("from %d, error %v", from, err)
				}
				return
			}
			if err != nil || from != tt.from {
				t.Fatalf("from %d, error %v", from, err)
			}
			if err := putN(x, int(from)/100, 25-int(from)/100); err != nil {
				t.Fatal(err)
			}
			checkComplete(t, x, 0, 25)
		})
	}
	t.Run("unclean", func(t *testing.T) {
		for _, tt := range tests {
			dir, names, st := build(t)
			tt.damage(t, dir, names)
			x := openAt(t, vfs.OS, dir, opts)
			from := recoverAt(t, x, st, false, 0, 2500)
			if err := putN(x, int(from)/100, 25-int(from)/100); err != nil {
				t.Fatal(err)
			}
			checkComplete(t, x, 0, 25)
		}
	})
}

// TestCheckFindsDamage changes single bytes of a file and expects Check to name the place, or nothing
// that it looks at to have changed.
func TestCheckFindsDamage(t *testing.T) {
	x := fresh(t, vfs.OS, &Options{Slots: 10, Entries: 31})
	if err := putN(x, 0, 8); err != nil {
		t.Fatal(err)
	}
	f := x.list()[0]
	b := x.writer.bytes
	unseen := 0
	for at := range f.entryAt(f.count.Load()) {
		if at >= f.entryAt(0) && at < f.entryAt(1) {
			continue // never used
		}
		b[at] ^= 0x40
		var bad *CorruptError
		switch err := x.Check(); {
		case err == nil:
			unseen++
		case !errors.As(err, &bad) || bad.File != f.path || bad.Error() == "":
			t.Fatalf("byte %d: %v", at, err)
		}
		b[at] ^= 0x40
	}
	// A hash that keeps its slot, a time, an offset that keeps the order: only the log can tell.
	if limit := 23 * 9; unseen > limit {
		t.Fatalf("%d bytes changed unseen", unseen)
	}
	if err := x.Check(); err != nil {
		t.Fatal(err)
	}
}

// TestCheckBeforeRecover looks at the files of a process that was killed within a message.
func TestCheckBeforeRecover(t *testing.T) {
	crash := vfs.NewCrashFS(1)
	opts := &Options{Slots: 10, Entries: 31}
	x := fresh(t, crash, opts)
	if err := putN(x, 0, 15); err != nil {
		t.Fatal(err)
	}
	f := x.writer.active
	f.put(x.writer.bytes, []keyPlace{{77, f.slotAt(77)}}, 1500, 1_700_000_015_000) // and no finish
	check := func(fsys vfs.FS) error {
		unopened := openAt(t, fsys, x.dir, opts)
		return unopened.Check()
	}
	if err := check(crash.Kill()); err != nil {
		t.Fatal(err)
	}
	storeSlot(x.writer.bytes, f.slotAt(78), 1)
	var bad *CorruptError
	if err := check(crash.Kill()); !errors.As(err, &bad) || bad.File != f.path || bad.Offset != int64(f.slotAt(78)) {
		t.Fatalf("error %v", err)
	}
	if err := check(vfs.NewCrashFS(2)); err != nil { // no folder, no damage
		t.Fatal(err)
	}
}
