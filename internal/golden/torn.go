package golden

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TornVariant is one damage done to a copy of the store [Crashed], and what Java makes of it.
type TornVariant struct {
	Name, Description    string
	Patches              []Patch
	RecoveredByJavaStore Recovered
}

// Patch is one change of one file, or the removal of a path.
type Patch struct {
	Op     string // write, zero, xor, truncate or delete
	File   string // all but delete: path below the store's root
	Path   string // delete: a file or a whole folder
	Offset int64
	Length int64  // zero
	Size   int64  // truncate
	Mask   byte   // xor, of one byte
	Base64 []byte // write: the bytes
}

// TornVariants returns all damages; the first is none.
func TornVariants(tb testing.TB) []TornVariant {
	tb.Helper()
	var all struct{ Variants []TornVariant }
	if err := json.Unmarshal(gunzip(tb, "store-torn.json.gz"), &all); err != nil {
		tb.Fatalf("store-torn: %v", err)
	}
	return all.Variants
}

// TornStore unpacks the store [Crashed] with a damage done to it, and returns its path.
func TornStore(tb testing.TB, v TornVariant) string {
	tb.Helper()
	root := Store(tb, Crashed)
	ApplyPatches(tb, root, v.Patches)
	return root
}

// ApplyPatches changes an unpacked store.
func ApplyPatches(tb testing.TB, root string, patches []Patch) {
	tb.Helper()
	for _, p := range patches {
		if err := p.apply(root); err != nil {
			tb.Fatalf("patch %s %s%s: %v", p.Op, p.File, p.Path, err)
		}
	}
}

func (p *Patch) apply(root string) error {
	if p.Op == "delete" {
		name := filepath.Join(root, filepath.FromSlash(p.Path))
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.RemoveAll(name)
	}
	name := filepath.Join(root, filepath.FromSlash(p.File))
	if p.Op == "truncate" {
		return os.Truncate(name, p.Size)
	}
	content, err := p.bytes(name)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, p.Offset)
	return errors.Join(err, f.Close())
}

// bytes returns what the patch puts at its offset.
func (p *Patch) bytes(name string) ([]byte, error) {
	switch p.Op {
	case "write":
		return p.Base64, nil
	case "zero":
		return make([]byte, p.Length), nil
	case "xor":
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		b := make([]byte, 1)
		_, err = f.ReadAt(b, p.Offset)
		b[0] ^= p.Mask
		return b, errors.Join(err, f.Close())
	}
	return nil, fmt.Errorf("no such operation: %q", p.Op)
}
