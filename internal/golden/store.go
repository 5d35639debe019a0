package golden

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"sync"
	"testing"
)

//go:embed testdata
var testdata embed.FS

// The stores.
const (
	Clean   = "store-clean"   // after a clean shutdown
	Crashed = "store-crashed" // of a killed broker
	V2      = "store-v2"      // with records of the second version
	IPv6    = "store-ipv6"    // with IPv6 hosts
	Ext     = "store-ext"     // with the features that are off by default
)

// Stores lists the names of the stores.
func Stores() []string { return []string{Clean, Crashed, V2, IPv6, Ext} }

// gunzip returns the content of a compressed file of testdata.
func gunzip(tb testing.TB, name string) []byte {
	tb.Helper()
	raw, err := testdata.ReadFile("testdata/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	zr, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	content, err := io.ReadAll(zr)
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	return content
}

// untar calls fn for every entry of an archive; content reads the entry's.
func untar(tb testing.TB, name string, fn func(h *tar.Header, content io.Reader) error) {
	tb.Helper()
	raw, err := testdata.ReadFile("testdata/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	zr, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	tr := tar.NewReader(zr)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil {
			err = fn(h, tr)
		}
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
	}
}

// entry is a file or folder of a store.
type entry struct {
	name   string // slash-separated, below the store's root
	folder bool
	size   int64
	parts  []part // without the large runs of zeros
}

type part struct {
	at   int64
	data []byte
}

// partSize is the size of a part. A part that is all zeros is not kept: there are files of tens of
// megabytes that have little else.
const partSize = 256 << 10

// unpacked holds the entries of the stores asked for so far, as many tests ask for the same.
var unpacked struct {
	sync.Mutex
	stores map[string][]entry
}

func entries(tb testing.TB, store string) []entry {
	tb.Helper()
	unpacked.Lock()
	defer unpacked.Unlock()
	if all, ok := unpacked.stores[store]; ok {
		return all
	}
	var all []entry
	untar(tb, store+".tar.gz", func(h *tar.Header, content io.Reader) error {
		e := entry{name: path.Clean(h.Name), folder: h.Typeflag == tar.TypeDir, size: h.Size}
		if !filepath.IsLocal(e.name) {
			return fmt.Errorf("%s leads out of the store", h.Name)
		}
		all = append(all, e)
		return all[len(all)-1].read(content)
	})
	if unpacked.stores == nil {
		unpacked.stores = make(map[string][]entry)
	}
	unpacked.stores[store] = all
	return all
}

// read reads the parts of a file.
func (e *entry) read(content io.Reader) error {
	zeros := make([]byte, partSize)
	buf := make([]byte, partSize)
	for at := int64(0); at < e.size; at += partSize {
		data := buf[:min(partSize, e.size-at)]
		if _, err := io.ReadFull(content, data); err != nil {
			return err
		}
		if e.size > partSize && bytes.Equal(data, zeros[:len(data)]) {
			continue
		}
		e.parts = append(e.parts, part{at, bytes.Clone(data)})
	}
	return nil
}

// Files calls fn for every file of a store, with its slash-separated path below the store's root. It
// is for tests that bring a file system of their own; others take [Store]. content is fn's.
func Files(tb testing.TB, store string, fn func(name string, content []byte)) {
	tb.Helper()
	for _, e := range entries(tb, store) {
		if e.folder {
			continue
		}
		content := make([]byte, e.size)
		for _, p := range e.parts {
			copy(content[p.at:], p.data)
		}
		fn(e.name, content)
	}
}

// Store unpacks a store into a new directory, which goes away with the test, and returns its path.
// Empty folders are there as well. Large runs of zeros become holes.
func Store(tb testing.TB, store string) string {
	tb.Helper()
	root := tb.TempDir()
	for _, e := range entries(tb, store) {
		if err := e.unpack(filepath.Join(root, filepath.FromSlash(e.name))); err != nil {
			tb.Fatal(err)
		}
	}
	return root
}

// unpack makes the file or folder called name.
func (e *entry) unpack(name string) (err error) {
	if e.folder {
		return os.MkdirAll(name, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(e.size); err != nil {
		return err
	}
	for _, p := range e.parts {
		if _, err := f.WriteAt(p.data, p.at); err != nil {
			return err
		}
	}
	return nil
}
