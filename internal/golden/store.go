package golden

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"embed"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
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

// untar calls fn for every entry of an archive.
func untar(tb testing.TB, name string, fn func(h *tar.Header, content []byte)) {
	tb.Helper()
	tr := tar.NewReader(bytes.NewReader(gunzip(tb, name)))
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		fn(h, content)
	}
}

// Files calls fn for every file of a store, with its slash-separated path below the store's root. It
// is for tests that bring a file system of their own; others take [Store]. content is fn's.
func Files(tb testing.TB, store string, fn func(name string, content []byte)) {
	tb.Helper()
	untar(tb, store+".tar.gz", func(h *tar.Header, content []byte) {
		if h.Typeflag == tar.TypeReg {
			fn(path.Clean(h.Name), content)
		}
	})
}

// Store unpacks a store into a new directory, which goes away with the test, and returns its path.
// Empty folders are there as well. Large runs of zeros become holes.
func Store(tb testing.TB, store string) string {
	tb.Helper()
	root := tb.TempDir()
	untar(tb, store+".tar.gz", func(h *tar.Header, content []byte) {
		name := filepath.Join(root, filepath.FromSlash(path.Clean("/"+h.Name)))
		switch h.Typeflag {
		case tar.TypeDir:
			if err := os.MkdirAll(name, 0o755); err != nil {
				tb.Fatal(err)
			}
		case tar.TypeReg:
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				tb.Fatal(err)
			}
			if err := writeSparse(name, content); err != nil {
				tb.Fatal(err)
			}
		}
	})
	return root
}

// writeSparse writes a file without the zeros of its large empty parts.
func writeSparse(name string, content []byte) (err error) {
	const chunk = 1 << 20
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(int64(len(content))); err != nil {
		return err
	}
	zeros := make([]byte, chunk)
	for at := 0; at < len(content); at += chunk {
		part := content[at:min(at+chunk, len(content))]
		if len(part) == chunk && bytes.Equal(part, zeros) {
			continue
		}
		if _, err := f.WriteAt(part, int64(at)); err != nil {
			return err
		}
	}
	return nil
}
