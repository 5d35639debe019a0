package vfs

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// What is written to a ScratchFS is seen through it and nowhere else, whatever file system is below.
func TestScratchFS(t *testing.T) {
	for name, below := range map[string]FS{"OS": OS, "CrashFS": NewCrashFS(1)} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			noErr(t, below.MkdirAll(dir, 0o755))
			path := func(name string) string { return filepath.Join(dir, name) }
			for _, name := range []string{"a", "b", "c", "d"} {
				writeFile(t, below, path(name), name+" as it was")
			}
			s := NewScratchFS(below)
			f := create(t, s, path("a"))
			m, err := f.Map(0, 4, true)
			noErr(t, err)
			copy(m.Bytes(), "A is")
			wantErr(t, f.Truncate(100), ErrNotSupported, path("a"))
			noErr(t, m.Unmap())
			_, err = f.WriteAt([]byte("!"), 12)
			noErr(t, err)
			wantFile(t, s, path("a"), "A is it was\x00!")
			writeFile(t, s, path("e"), "new")
			noErr(t, s.Rename(path("b"), path("moved")))
			noErr(t, s.Remove(path("c")))
			if got := names(t, s, dir); got != "a d e moved" {
				t.Errorf("there are %s", got)
			}
			wantFile(t, s, path("moved"), "b as it was")
			wantFile(t, s, path("d"), "d as it was")
			for _, gone := range []string{"b", "c"} {
				_, err := s.Stat(path(gone))
				wantErr(t, err, fs.ErrNotExist, path(gone))
				_, err = s.OpenFile(path(gone), os.O_RDWR, 0)
				wantErr(t, err, fs.ErrNotExist, path(gone))
			}
			noErr(t, MakeDirs(s, path("made"), 0o755))
			if got := names(t, s, path("made")); got != "" {
				t.Errorf("there are %s", got)
			}
			noErr(t, s.Close())
			if got := names(t, below, dir); got != "a b c d" {
				t.Errorf("below are %s", got)
			}
			wantFile(t, below, path("a"), "a as it was")
		})
	}
}
