package golden

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// sums returns size and SHA-256 of every file below root.
func sums(t *testing.T, root string) map[string]FileSum {
	t.Helper()
	got := make(map[string]FileSum)
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		sum := sha256.Sum256(b)
		got[filepath.ToSlash(rel)] = FileSum{int64(len(b)), hex.EncodeToString(sum[:])}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestStoresAreWhole(t *testing.T) {
	for _, store := range Stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			m := Manifest(t, store)
			got := sums(t, Store(t, store))
			if len(m.Files) == 0 || len(m.Messages) == 0 || len(m.Index) == 0 || len(m.ConsumeQueues) == 0 {
				t.Fatal("the manifest lacks a part")
			}
			for name, want := range m.Files {
				if got[name] != (FileSum{want.Size, want.SHA256}) {
					t.Errorf("%s is %v, want %v", name, got[name], want)
				}
			}
		})
	}
}

func TestTornVariants(t *testing.T) {
	variants := TornVariants(t)
	if len(variants) != 51 {
		t.Fatalf("%d variants", len(variants))
	}
	root := Store(t, Crashed)
	before := sums(t, root)
	for _, v := range variants[1:] {
		if len(v.Patches) == 0 || len(v.Description) == 0 {
			t.Errorf("%s: no patches", v.Name)
		}
		if r := v.RecoveredByJavaStore; r.LoadReturned && len(r.AfterLoad.Queues) == 0 && v.Name != "commitlog-gone" {
			t.Errorf("%s: nothing recovered", v.Name)
		}
	}
	for _, op := range []string{"write", "zero", "xor", "truncate", "delete"} {
		t.Run(op, func(t *testing.T) {
			var v TornVariant
			for _, v = range variants {
				if len(v.Patches) > 0 && v.Patches[0].Op == op {
					break
				}
			}
			after := sums(t, TornStore(t, v))
			changed := v.Patches[0].File + v.Patches[0].Path
			for name, sum := range before {
				if name != changed && filepath.Dir(name) != changed && len(v.Patches) == 1 && after[name] != sum {
					t.Errorf("%s: %s changed", v.Name, name)
				}
				if name == changed && after[name] == sum {
					t.Errorf("%s: %s did not change", v.Name, name)
				}
			}
		})
	}
}

func TestFrames(t *testing.T) {
	total := 0
	all := AllFrames(t)
	if len(FrameNames(t)) != len(all) {
		t.Fatalf("%d names, %d recordings", len(FrameNames(t)), len(all))
	}
	for name, frames := range all {
		total += len(frames)
		for _, f := range frames {
			switch sum := sha256.Sum256(f.FrameBytes); {
			case !f.FrameTruncated && len(f.FrameBytes) != f.FrameLen:
				t.Errorf("%s: connection %d, frame %d: %d bytes of %d", name, f.Conn, f.Seq, len(f.FrameBytes), f.FrameLen)
			case f.FrameTruncated && hex.EncodeToString(sum[:]) == f.FrameSHA256:
				t.Errorf("%s: connection %d, frame %d is not cut", name, f.Conn, f.Seq)
			}
		}
	}
	if total != 3196 {
		t.Fatalf("%d frames", total)
	}
	if frames := Frames(t, "json.client-broker.admin"); len(frames) != 64 {
		t.Fatalf("%d frames of the admin scenario", len(frames))
	}
}
