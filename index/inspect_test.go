package index

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/internal/vfs"
)

func TestReadOnlyShowsTheFilesAsTheyAre(t *testing.T) {
	for _, store := range golden.Stores() {
		m := golden.Manifest(t, store)
		dir := filepath.Join(golden.Store(t, store), "index")
		x, err := OpenReadOnly(vfs.OS, dir, goldenOptions())
		if err != nil {
			t.Fatal(err)
		}
		files := x.Files()
		if len(files) != len(m.Index) {
			t.Fatalf("%s: %d files, want %d", store, len(files), len(m.Index))
		}
		for i, f := range files {
			want := m.Index[i]
			if filepath.Base(f.Path) != want.File || f.EndTime != want.EndTimestamp || int64(f.EndPhy) != want.EndPhyOffset ||
				f.SlotsUsed != want.HashSlotCount || f.Entries != want.IndexCount-1 {
				t.Errorf("%s: file %d is %+v", store, i, f)
			}
			var items [][5]int64
			if err := x.Entries(i, func(e Entry) error {
				items = append(items, [5]int64{int64(e.Number), int64(e.Hash), int64(e.Phy), int64(e.Seconds), int64(e.Older)})
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(items, want.Items) {
				t.Errorf("%s: file %d has entries %v, want %v", store, i, items, want.Items)
			}
		}
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestReadOnlyChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	x, err := OpenReadOnly(vfs.OS, dir, nil)
	if err != nil || len(x.Files()) != 0 {
		t.Fatalf("absent folder: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
	dir = filepath.Join(golden.Store(t, golden.Crashed), "index")
	var bad *CorruptError
	if _, err := OpenReadOnly(vfs.OS, dir, nil); !errors.As(err, &bad) {
		t.Errorf("files of another size: %v", err)
	}
}
