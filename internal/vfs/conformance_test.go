package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// conformance is what every FS has to do, each case in an empty directory. The
// real file system defines it: a case that fails on OS is a wrong case.
var conformance = []struct {
	name string
	run  func(t *testing.T, fsys FS, dir string)
}{
	{"missing names are fs.ErrNotExist and name the path", testMissing},
	{"exclusive create", testExclusive},
	{"directories", testDirectories},
	{"a directory is no file", testDirectoryIsNoFile},
	{"remove", testRemove},
	{"rename", testRename},
	{"rename a directory", testRenameDirectory},
	{"read at the end", testReadAt},
	{"write beyond the end", testWriteAt},
	{"receive", testReceive},
	{"read-only and write-only files", testAccessMode},
	{"truncate", testTruncate},
	{"allocate", testAllocate},
	{"zero range", testZeroRange},
	{"an open file outlives its name", testUnlinkedFile},
	{"closed file", testClosedFile},
	{"mapping and file are the same bytes", testMapShared},
	{"mappings of a file share", testMapTwice},
	{"a mapping outlives the handle", testMapOutlivesHandle},
	{"no mapping beyond the end", testMapShortFile},
	{"ranges of a mapping", testMapRanges},
	{"preheat changes nothing", testPreheat},
	{"syncs", testSyncs},
	{"lock", testLock},
	{"usage", testUsage},
	{"stat", testStat},
	{"atomic replacement", testWriteFileAtomic},
	{"durable directories", testMakeDirs},
}

func TestConformance(t *testing.T) {
	systems := []struct {
		name string
		make func(t *testing.T) (FS, string)
	}{
		{"OS", func(t *testing.T) (FS, string) { return OS, t.TempDir() }},
		{"CrashFS", func(t *testing.T) (FS, string) {
			fsys := NewCrashFS(1)
			noErr(t, fsys.MkdirAll("/some/dir", 0o755))
			return fsys, "/some/dir"
		}},
		{"FaultFS", func(t *testing.T) (FS, string) { return NewFaultFS(OS, nil), t.TempDir() }},
	}
	for _, sys := range systems {
		for _, c := range conformance {
			t.Run(sys.name+"/"+c.name, func(t *testing.T) {
				fsys, dir := sys.make(t)
				c.run(t, fsys, dir)
			})
		}
	}
}

// noErr ends the test at an error.
func noErr(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantErr checks the cause of an error and that it names the path.
func wantErr(t *testing.T, err, cause error, path string) {
	t.Helper()
	if !errors.Is(err, cause) {
		t.Fatalf("error %v, want %v", err, cause)
	}
	if !strings.Contains(err.Error(), path) {
		t.Fatalf("error %q does not name %s", err, path)
	}
}

func create(t *testing.T, fsys FS, name string) File {
	t.Helper()
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	noErr(t, err)
	t.Cleanup(func() { _ = f.Close() }) // a test may have closed it
	return f
}

func writeFile(t *testing.T, fsys FS, name, data string) {
	t.Helper()
	f := create(t, fsys, name)
	_, err := f.WriteAt([]byte(data), 0)
	noErr(t, err)
	noErr(t, f.Close())
}

func wantFile(t *testing.T, fsys FS, name, want string) {
	t.Helper()
	got, err := ReadFile(fsys, name)
	noErr(t, err)
	if string(got) != want {
		t.Fatalf("%s holds %.60q, want %.60q", name, got, want)
	}
}

func names(t *testing.T, fsys FS, dir string) string {
	t.Helper()
	entries, err := fsys.ReadDir(dir)
	noErr(t, err)
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(e.Name())
		if e.IsDir() {
			b.WriteByte('/')
		}
		b.WriteByte(' ')
	}
	return strings.TrimSpace(b.String())
}

func wantNames(t *testing.T, fsys FS, dir, want string) {
	t.Helper()
	if got := names(t, fsys, dir); got != want {
		t.Fatalf("%s holds %q, want %q", dir, got, want)
	}
}

func wantSize(t *testing.T, f File, want int64) {
	t.Helper()
	size, err := f.Size()
	noErr(t, err)
	if size != want {
		t.Fatalf("%s is %d bytes, want %d", f.Name(), size, want)
	}
}

func mapFile(t *testing.T, f File, off int64, n int, writable bool) Mapping {
	t.Helper()
	m, err := f.Map(off, n, writable)
	noErr(t, err)
	t.Cleanup(func() { _ = m.Unmap() }) // a test may have unmapped it
	return m
}

func testMissing(t *testing.T, fsys FS, dir string) {
	name := filepath.Join(dir, "gone")
	_, openErr := fsys.OpenFile(name, os.O_RDWR, 0)
	_, statErr := fsys.Stat(name)
	_, dirErr := fsys.ReadDir(name)
	_, readErr := ReadFile(fsys, name)
	_, parentErr := fsys.OpenFile(filepath.Join(name, "x"), os.O_RDWR|os.O_CREATE, 0o644)
	for what, err := range map[string]error{
		"open": openErr, "stat": statErr, "readdir": dirErr, "read": readErr, "parent": parentErr,
		"remove": fsys.Remove(name), "rename": fsys.Rename(name, name+"2"), "syncdir": fsys.SyncDir(name),
		"syncall": fsys.SyncAll(name),
	} {
		t.Run(what, func(t *testing.T) { wantErr(t, err, fs.ErrNotExist, name) })
	}
	noErr(t, fsys.RemoveAll(name))
}

func testExclusive(t *testing.T, fsys FS, dir string) {
	name := filepath.Join(dir, "f")
	writeFile(t, fsys, name, "x")
	_, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	wantErr(t, err, fs.ErrExist, name)
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	noErr(t, err)
	wantSize(t, f, 0)
	noErr(t, f.Close())
	_, err = fsys.OpenFile(name, os.O_RDWR|os.O_APPEND, 0)
	wantErr(t, err, syscall.EINVAL, name)
}

func testDirectories(t *testing.T, fsys FS, dir string) {
	noErr(t, fsys.MkdirAll(filepath.Join(dir, "a", "b"), 0o755))
	noErr(t, fsys.MkdirAll(filepath.Join(dir, "a", "b"), 0o755))
	writeFile(t, fsys, filepath.Join(dir, "c"), "")
	writeFile(t, fsys, filepath.Join(dir, "B"), "")
	wantNames(t, fsys, dir, "B a/ c")
	wantNames(t, fsys, filepath.Join(dir, "a"), "b/")
	wantNames(t, fsys, filepath.Join(dir, "a", "b"), "")
	if err := fsys.MkdirAll(filepath.Join(dir, "c", "d"), 0o755); err == nil {
		t.Fatal("a file became a parent")
	}
}

func testDirectoryIsNoFile(t *testing.T, fsys FS, dir string) {
	if _, err := fsys.OpenFile(dir, os.O_RDWR, 0); err == nil {
		t.Fatal("a directory opened for writing")
	}
	writeFile(t, fsys, filepath.Join(dir, "f"), "")
	if _, err := fsys.ReadDir(filepath.Join(dir, "f")); err == nil {
		t.Fatal("a file listed as a directory")
	}
	if _, err := fsys.OpenFile(filepath.Join(dir, "f", "g"), os.O_RDWR|os.O_CREATE, 0o644); err == nil {
		t.Fatal("a file became a parent")
	}
}

func testRemove(t *testing.T, fsys FS, dir string) {
	noErr(t, fsys.MkdirAll(filepath.Join(dir, "d"), 0o755))
	writeFile(t, fsys, filepath.Join(dir, "d", "f"), "x")
	if err := fsys.Remove(filepath.Join(dir, "d")); err == nil {
		t.Fatal("a full directory went")
	}
	if err := RemoveIfThere(fsys, filepath.Join(dir, "d")); err == nil {
		t.Error("RemoveIfThere says nothing of a directory that is not empty")
	}
	noErr(t, RemoveIfThere(fsys, filepath.Join(dir, "d", "none")))
	noErr(t, fsys.Remove(filepath.Join(dir, "d", "f")))
	noErr(t, fsys.Remove(filepath.Join(dir, "d")))
	wantNames(t, fsys, dir, "")

	noErr(t, fsys.MkdirAll(filepath.Join(dir, "e", "e", "e"), 0o755))
	writeFile(t, fsys, filepath.Join(dir, "e", "e", "f"), "x")
	noErr(t, fsys.RemoveAll(filepath.Join(dir, "e")))
	wantNames(t, fsys, dir, "")
}

func testRename(t *testing.T, fsys FS, dir string) {
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	writeFile(t, fsys, a, "new")
	writeFile(t, fsys, b, "old")
	noErr(t, fsys.Rename(a, b))
	wantNames(t, fsys, dir, "b")
	wantFile(t, fsys, b, "new")
	noErr(t, fsys.Rename(b, b))
	wantFile(t, fsys, b, "new")
	noErr(t, fsys.MkdirAll(filepath.Join(dir, "d"), 0o755))
	noErr(t, fsys.Rename(b, filepath.Join(dir, "d", "c")))
	wantFile(t, fsys, filepath.Join(dir, "d", "c"), "new")
	wantNames(t, fsys, dir, "d/")
}

func testRenameDirectory(t *testing.T, fsys FS, dir string) {
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	noErr(t, fsys.MkdirAll(from, 0o755))
	writeFile(t, fsys, filepath.Join(from, "f"), "x")
	noErr(t, fsys.Rename(from, to))
	wantNames(t, fsys, dir, "to/")
	wantFile(t, fsys, filepath.Join(to, "f"), "x")
	writeFile(t, fsys, filepath.Join(dir, "file"), "")
	if err := fsys.Rename(filepath.Join(dir, "file"), to); err == nil {
		t.Fatal("a file replaced a directory")
	}
	if err := fsys.Rename(to, filepath.Join(dir, "file")); err == nil {
		t.Fatal("a directory replaced a file")
	}
	if err := fsys.Rename(to, filepath.Join(to, "below")); err == nil {
		t.Fatal("a directory moved below itself")
	}
}

func testReadAt(t *testing.T, fsys FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	_, err := f.WriteAt([]byte("0123456789"), 0)
	noErr(t, err)
	for _, c := range []struct {
		off  int64
		n    int
		want string
		err  error
	}{
		{0, 10, "0123456789", nil}, {3, 4, "3456", nil}, {8, 4, "89", io.EOF},
		{10, 1, "", io.EOF}, {100, 1, "", io.EOF}, {100, 0, "", nil}, {-1, 1, "", syscall.EINVAL},
	} {
		b := make([]byte, c.n)
		n, err := f.ReadAt(b, c.off)
		if string(b[:n]) != c.want || !errors.Is(err, c.err) {
			t.Fatalf("ReadAt(%d bytes, %d) = %q, %v, want %q, %v", c.n, c.off, b[:n], err, c.want, c.err)
		}
		clear(b)
		n, err = f.ReadCold(b, c.off)
		if string(b[:n]) != c.want || !errors.Is(err, c.err) {
			t.Fatalf("ReadCold(%d bytes, %d) = %q, %v, want %q, %v", c.n, c.off, b[:n], err, c.want, c.err)
		}
	}
}

func testWriteAt(t *testing.T, fsys FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	n, err := f.WriteAt([]byte("end"), 10000)
	noErr(t, err)
	if n != 3 {
		t.Fatalf("wrote %d bytes", n)
	}
	wantSize(t, f, 10003)
	wantFile(t, fsys, f.Name(), string(make([]byte, 10000))+"end")
	if _, err := f.WriteAt([]byte("x"), -1); !errors.Is(err, syscall.EINVAL) {
		t.Fatalf("write at -1: %v", err)
	}
	_, err = f.WriteAt(nil, 20000)
	noErr(t, err)
	wantSize(t, f, 10003)
}

// What comes from a connection, or from anywhere, is written where it belongs: as much as was asked for, and no byte of what is behind.
func testReceive(t *testing.T, fsys FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	noErr(t, f.Allocate(0, 1<<20))
	m := mapFile(t, f, 0, 1<<20, true)
	want := make([]byte, 1<<20)
	sent := make([]byte, 700_000)
	for i := range sent {
		sent[i] = byte(1 + i%251)
	}
	here, there := connected(t)
	go there.Write(sent)
	at := 12_345
	for _, piece := range []int{1, 300_000, 399_000} {
		n, err := Receive(f, int64(at), here, int64(piece))
		noErr(t, err)
		if n != int64(piece) {
			t.Fatalf("received %d bytes of %d", n, piece)
		}
		copy(want[at:], sent[at-12_345:][:piece])
		at += piece
		if !bytes.Equal(m.Bytes(), want) {
			t.Fatalf("the file has other bytes, or more, after %d", piece)
		}
	}
	// A deadline ends it, and what has come is there.
	noErr(t, here.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	n, err := Receive(f, int64(at), here, 100_000)
	if rest := len(sent) - (at - 12_345); !errors.Is(err, os.ErrDeadlineExceeded) || n != int64(rest) {
		t.Fatalf("received %d bytes with %v, want %d until the deadline", n, err, rest)
	}
	copy(want[at:], sent[at-12_345:])
	at += int(n)
	// So does the end of the connection.
	noErr(t, here.SetReadDeadline(time.Time{}))
	_, err = there.Write([]byte("end"))
	noErr(t, err)
	noErr(t, there.Close())
	if n, err := Receive(f, int64(at), here, 100); n != 3 || err != io.EOF {
		t.Fatalf("received %d bytes with %v, want the last 3", n, err)
	}
	copy(want[at:], "end")
	if n, err := Receive(f, 0, strings.NewReader("text"), 3); n != 3 || err != nil {
		t.Fatalf("received %d bytes of a text with %v", n, err)
	}
	copy(want, "tex")
	if !bytes.Equal(m.Bytes(), want) {
		t.Fatal("the file has other bytes in the end")
	}
	noErr(t, f.Close())
	if _, err := Receive(f, 0, strings.NewReader("text"), 3); !errors.Is(err, os.ErrClosed) {
		t.Fatalf("a closed file receives: %v", err)
	}
}

// connected returns both ends of a connection.
func connected(t *testing.T) (here, there net.Conn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	noErr(t, err)
	defer ln.Close()
	there, err = net.Dial("tcp", ln.Addr().String())
	noErr(t, err)
	here, err = ln.Accept()
	noErr(t, err)
	t.Cleanup(func() {
		here.Close()
		there.Close()
	})
	return here, there
}

func testAccessMode(t *testing.T, fsys FS, dir string) {
	name := filepath.Join(dir, "f")
	writeFile(t, fsys, name, string(make([]byte, 4096)))
	r, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	noErr(t, err)
	defer r.Close()
	if _, err := r.WriteAt([]byte("x"), 0); err == nil {
		t.Fatal("wrote a read-only file")
	}
	if err := r.Truncate(0); err == nil {
		t.Fatal("truncated a read-only file")
	}
	if _, err := r.Map(0, 4096, true); err == nil {
		t.Fatal("mapped a read-only file for writing")
	}
	mapFile(t, r, 0, 4096, false)
	w, err := fsys.OpenFile(name, os.O_WRONLY, 0)
	noErr(t, err)
	defer w.Close()
	if _, err := w.ReadAt(make([]byte, 1), 0); err == nil {
		t.Fatal("read a write-only file")
	}
}

func testTruncate(t *testing.T, fsys FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	_, err := f.WriteAt(bytes.Repeat([]byte("x"), 5000), 0)
	noErr(t, err)
	noErr(t, f.Truncate(100))
	wantSize(t, f, 100)
	noErr(t, f.Truncate(9000))
	wantFile(t, fsys, f.Name(), strings.Repeat("x", 100)+string(make([]byte, 8900)))
	if err := f.Truncate(-1); !errors.Is(err, syscall.EINVAL) {
		t.Fatalf("truncate to -1: %v", err)
	}
}

func testAllocate(t *testing.T, fsys FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	_, err := f.WriteAt([]byte("abc"), 0)
	noErr(t, err)
	noErr(t, f.Allocate(0, 8192))
	wantFile(t, fsys, f.Name(), "abc"+string(make([]byte, 8189)))
	noErr(t, f.Allocate(0, 100))
	wantSize(t, f, 8192)
	noErr(t, f.Allocate(8192, 4096))
	wantSize(t, f, 12288)
}

func testZeroRange(t *testing.T, fsys FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	_, err := f.WriteAt(bytes.Repeat([]byte("x"), 10000), 0)
	noErr(t, err)
	noErr(t, f.ZeroRange(100, 8000))
	noErr(t, f.ZeroRange(9000, 5000))
	wantFile(t, fsys, f.Name(), strings.Repeat("x", 100)+string(make([]byte, 8000))+
		strings.Repeat("x", 900)+string(make([]byte, 1000)))
}

func testUnlinkedFile(t *testing.T, fsys FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	noErr(t, fsys.Remove(f.Name()))
	_, err := f.WriteAt([]byte("still"), 0)
	noErr(t, err)
	noErr(t, f.SyncData())
	b := make([]byte, 5)
	_, err = f.ReadAt(b, 0)
	noErr(t, err)
	if string(b) != "still" {
		t.Fatalf("read %q", b)
	}
	wantNames(t, fsys, dir, "")
}

func testClosedFile(t *testing.T, fsys FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	noErr(t, f.Close())
	_, readErr := f.ReadAt(make([]byte, 1), 0)
	_, writeErr := f.WriteAt(make([]byte, 1), 0)
	_, sizeErr := f.Size()
	_, mapErr := f.Map(0, 1, true)
	for what, err := range map[string]error{
		"read": readErr, "write": writeErr, "size": sizeErr, "map": mapErr, "close": f.Close(),
		"truncate": f.Truncate(1), "allocate": f.Allocate(0, 1), "zero": f.ZeroRange(0, 1),
		"sync": f.Sync(), "syncdata": f.SyncData(), "syncrange": f.SyncRange(0, 1),
	} {
		t.Run(what, func(t *testing.T) { wantErr(t, err, fs.ErrClosed, f.Name()) })
	}
}

func testMapShared(t *testing.T, fsys FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	noErr(t, f.Allocate(0, 3*4096))
	_, err := f.WriteAt([]byte("before"), 4096)
	noErr(t, err)
	m := mapFile(t, f, 4096, 2*4096, true)
	if got := string(m.Bytes()[:6]); got != "before" {
		t.Fatalf("mapping shows %q", got)
	}
	_, err = f.WriteAt([]byte("file"), 4096)
	noErr(t, err)
	if got := string(m.Bytes()[:6]); got != "filere" {
		t.Fatalf("mapping shows %q", got)
	}
	copy(m.Bytes()[4096:], "mapping")
	b := make([]byte, 7)
	_, err = f.ReadAt(b, 8192)
	noErr(t, err)
	if string(b) != "mapping" {
		t.Fatalf("file shows %q", b)
	}
	noErr(t, m.Sync(4096, 7))
	noErr(t, m.Unmap())
	if err := m.Unmap(); !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("second unmap: %v", err)
	}
	if err := m.Sync(0, 1); !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("sync after unmap: %v", err)
	}
}

func testMapTwice(t *testing.T, fsys FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	noErr(t, f.Allocate(0, 2*4096))
	a := mapFile(t, f, 0, 2*4096, true)
	g, err := fsys.OpenFile(f.Name(), os.O_RDWR, 0)
	noErr(t, err)
	defer g.Close()
	b := mapFile(t, g, 4096, 4096, false)
	a.Bytes()[4096] = 7
	if b.Bytes()[0] != 7 {
		t.Fatal("the second mapping does not see the first")
	}
}

func testMapOutlivesHandle(t *testing.T, fsys FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	noErr(t, f.Allocate(0, 4096))
	m := mapFile(t, f, 0, 4096, true)
	noErr(t, f.Close())
	copy(m.Bytes(), "late")
	noErr(t, m.Sync(0, 4096))
	wantFile(t, fsys, f.Name(), "late"+string(make([]byte, 4092)))
}

func testMapShortFile(t *testing.T, fsys FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	noErr(t, f.Truncate(4096+100))
	for _, c := range []struct {
		off int64
		n   int
		err error
	}{
		{0, 4096 + 101, ErrShortFile}, {4096, 101, ErrShortFile}, {8192, 1, ErrShortFile},
		{0, 0, syscall.EINVAL}, {-4096, 10, syscall.EINVAL}, {0, -1, syscall.EINVAL}, {1, 10, syscall.EINVAL},
		{0, 4096 + 100, nil}, {4096, 100, nil},
	} {
		m, err := f.Map(c.off, c.n, true)
		if !errors.Is(err, c.err) {
			t.Fatalf("Map(%d, %d): %v, want %v", c.off, c.n, err, c.err)
		}
		if err == nil {
			if len(m.Bytes()) != c.n {
				t.Fatalf("Map(%d, %d) has %d bytes", c.off, c.n, len(m.Bytes()))
			}
			noErr(t, m.Unmap())
		}
	}
}

func testMapRanges(t *testing.T, fsys FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	const size = 3*4096 + 100
	noErr(t, f.Allocate(0, size))
	m := mapFile(t, f, 0, size, true)
	type rangeCall struct {
		name string
		call func(off, n int) error
	}
	// In this order: locked pages refuse to be dropped.
	calls := []rangeCall{{"sync", m.Sync}, {"lock", m.Lock}, {"unlock", m.Unlock}, {"preheat", m.Preheat}, {"load", m.Load}, {"forget", m.Forget}}
	for a := Normal; a < adviceCount; a++ {
		calls = append(calls, rangeCall{fmt.Sprint("advise", a), func(off, n int) error { return m.Advise(off, n, a) }})
	}
	for _, c := range calls {
		call := c.call
		t.Run(c.name, func(t *testing.T) {
			for _, r := range [][2]int{{0, size}, {0, 0}, {size, 0}, {1, 1}, {4095, 2}, {5000, size - 5000}} {
				if err := call(r[0], r[1]); err != nil {
					t.Fatalf("%v: %v", r, err)
				}
			}
			for _, r := range [][2]int{{-1, 1}, {0, -1}, {0, size + 1}, {size, 1}, {size + 1, 0}, {1, int(^uint(0) >> 1)}} {
				wantErr(t, call(r[0], r[1]), ErrRange, f.Name())
			}
		})
	}
	if err := m.Advise(0, 1, adviceCount); !errors.Is(err, syscall.EINVAL) {
		t.Fatalf("unknown advice: %v", err)
	}
}

func testPreheat(t *testing.T, fsys FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	want := bytes.Repeat([]byte("abcdefg"), 1500)
	_, err := f.WriteAt(want, 0)
	noErr(t, err)
	for _, writable := range []bool{true, false} {
		m := mapFile(t, f, 0, len(want), writable)
		noErr(t, m.Preheat(0, len(want)))
		if !bytes.Equal(m.Bytes(), want) {
			t.Fatalf("writable=%v: preheating changed bytes", writable)
		}
		noErr(t, m.Forget(0, len(want)))
		noErr(t, m.Load(0, len(want)))
		if !m.Resident(0, len(want)) {
			t.Fatalf("writable=%v: what was loaded is not there", writable)
		}
		if !bytes.Equal(m.Bytes(), want) {
			t.Fatalf("writable=%v: forgetting and loading changed bytes", writable)
		}
	}
}

func testSyncs(t *testing.T, fsys FS, dir string) {
	f := create(t, fsys, filepath.Join(dir, "f"))
	noErr(t, f.Allocate(0, 8192))
	noErr(t, f.SyncRange(0, 4096))
	noErr(t, f.SyncData())
	noErr(t, f.Sync())
	noErr(t, fsys.SyncDir(dir))
	noErr(t, fsys.SyncAll(dir))
	noErr(t, fsys.SyncAll(f.Name()))
	if f.Name() != filepath.Join(dir, "f") {
		t.Fatalf("name %q", f.Name())
	}
}

func testLock(t *testing.T, fsys FS, dir string) {
	name := filepath.Join(dir, "lock")
	l, err := fsys.Lock(name)
	noErr(t, err)
	_, err = fsys.Lock(name)
	wantErr(t, err, ErrLocked, name)
	_, err = fsys.OpenFile(name, os.O_RDWR, 0)
	wantErr(t, err, ErrLocked, name)
	other, err := fsys.Lock(filepath.Join(dir, "other"))
	noErr(t, err)
	noErr(t, other.Close())
	_, err = fsys.Lock(filepath.Join(dir, "no", "lock"))
	wantErr(t, err, fs.ErrNotExist, "lock")
	noErr(t, l.Close())
	if err := l.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("second close: %v", err)
	}
	l, err = fsys.Lock(name)
	noErr(t, err)
	noErr(t, l.Close())
	wantFile(t, fsys, name, "")
}

func testUsage(t *testing.T, fsys FS, dir string) {
	u, err := fsys.Usage(dir)
	if errors.Is(err, ErrNotSupported) {
		t.Skip(err)
	}
	noErr(t, err)
	if u.Total == 0 || u.Free > u.Total || u.Avail > u.Free {
		t.Fatalf("usage %+v", u)
	}
	_, err = fsys.Usage(filepath.Join(dir, "gone"))
	wantErr(t, err, fs.ErrNotExist, "gone")
}

func testStat(t *testing.T, fsys FS, dir string) {
	writeFile(t, fsys, filepath.Join(dir, "f"), "12345")
	info, err := fsys.Stat(filepath.Join(dir, "f"))
	noErr(t, err)
	if info.Name() != "f" || info.Size() != 5 || info.IsDir() || !info.Mode().IsRegular() || info.ModTime().IsZero() {
		t.Fatalf("file: %s", fs.FormatFileInfo(info))
	}
	info, err = fsys.Stat(dir)
	noErr(t, err)
	if !info.IsDir() || info.Name() != filepath.Base(dir) {
		t.Fatalf("directory: %s", fs.FormatFileInfo(info))
	}
}

func testWriteFileAtomic(t *testing.T, fsys FS, dir string) {
	name := filepath.Join(dir, "state.json")
	noErr(t, WriteFileAtomic(fsys, name, []byte("one")))
	wantNames(t, fsys, dir, "state.json")
	noErr(t, WriteFileAtomic(fsys, name, []byte("two, longer")))
	noErr(t, WriteFileAtomic(fsys, name, []byte("3")))
	wantFile(t, fsys, name, "3")
	wantFile(t, fsys, name+".bak", "two, longer")
	wantNames(t, fsys, dir, "state.json state.json.bak")
	err := WriteFileAtomic(fsys, filepath.Join(dir, "no", "x"), nil)
	wantErr(t, err, fs.ErrNotExist, filepath.Join(dir, "no"))
}

func testMakeDirs(t *testing.T, fsys FS, dir string) {
	deep := filepath.Join(dir, "a", "b", "c")
	noErr(t, MakeDirs(fsys, deep, 0o755))
	noErr(t, MakeDirs(fsys, deep, 0o755))
	wantNames(t, fsys, filepath.Join(dir, "a", "b"), "c/")
	writeFile(t, fsys, filepath.Join(dir, "f"), "")
	if err := MakeDirs(fsys, filepath.Join(dir, "f", "g"), 0o755); err == nil {
		t.Fatal("a file became a parent")
	}
}
