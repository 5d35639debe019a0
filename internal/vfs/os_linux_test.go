package vfs

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The ways around a missing fallocate, which no file system here needs.
func TestAllocationByWriting(t *testing.T) {
	f := create(t, OS, filepath.Join(t.TempDir(), "f")).(*osFile)
	_, err := f.WriteAt([]byte("abc"), 0)
	noErr(t, err)
	noErr(t, f.extendByWriting(200000))
	wantFile(t, OS, f.name, "abc"+string(make([]byte, 199997)))
	noErr(t, f.extendByWriting(10))
	wantSize(t, f, 200000)
	_, err = f.WriteAt(bytes.Repeat([]byte("x"), 200000), 0)
	noErr(t, err)
	noErr(t, f.zeroByWriting(1000, 150000))
	noErr(t, f.zeroByWriting(199999, 5000))
	noErr(t, f.zeroByWriting(300000, 10))
	wantFile(t, OS, f.name, strings.Repeat("x", 1000)+string(make([]byte, 150000))+strings.Repeat("x", 48999)+"\x00")
}

// Touching pages loses no store of another goroutine and changes no byte.
func TestTouchWhileOthersStore(t *testing.T) {
	const pages = 16
	m, err := Anonymous(pages * pageSize)
	noErr(t, err)
	defer m.Unmap()
	b := m.Bytes()
	counter := (*uint32)(unsafe.Pointer(&b[0]))
	const adds = 20000
	var wg sync.WaitGroup
	wg.Go(func() {
		for range adds {
			atomic.AddUint32(counter, 1)
		}
	})
	for range adds / pages {
		touch(b, true)
		touch(b[:len(b)-pageSize+1], false)
	}
	wg.Wait()
	if n := atomic.LoadUint32(counter); n != adds {
		t.Fatalf("%d of %d additions are there", n, adds)
	}
	if bytes.Count(b[4:], []byte{0}) != len(b)-4 {
		t.Fatal("touching changed a byte")
	}
}

// A scan leaves the page cache as it was: cold pages cold, hot ones hot.
func TestReadColdSparesTheCache(t *testing.T) {
	const size, hot = 4 << 20, 1 << 20
	f := create(t, OS, filepath.Join(t.TempDir(), "f")).(*osFile)
	want := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	_, err := f.WriteAt(want, 0)
	noErr(t, err)
	noErr(t, f.Sync())
	f.advise(0, size, unix.FADV_RANDOM)
	f.advise(0, size, unix.FADV_DONTNEED)
	b := make([]byte, size)
	if len(f.uncached(size/2, coldPiece)) == 0 {
		t.Skip("the file system keeps its pages")
	}
	_, err = f.ReadAt(b[:hot], 0)
	noErr(t, err)
	_, err = f.ReadCold(b, 0)
	noErr(t, err)
	if !bytes.Equal(b, want) {
		t.Error("other bytes")
	}
	for at := int64(0); at < size; at += coldPiece {
		cold := int64(0)
		for _, r := range f.uncached(at, coldPiece) {
			cold += r.n
		}
		if want := at >= hot; want && cold < coldPiece || !want && cold > 0 {
			t.Errorf("%d of %d bytes at %d are cold, %d are hot", cold, coldPiece, at, hot)
		}
	}
}

func TestAnonymous(t *testing.T) {
	if _, err := Anonymous(0); err == nil {
		t.Fatal("an empty mapping")
	}
	m, err := Anonymous(3 * pageSize)
	noErr(t, err)
	noErr(t, m.Lock(0, pageSize))
	noErr(t, m.Preheat(0, 3*pageSize))
	m.Bytes()[pageSize] = 1
	noErr(t, m.Unlock(0, pageSize))
	noErr(t, m.Unmap())
	if m.Unmap() == nil {
		t.Fatal("unmapped twice")
	}
}

// Close waits for calls under way, and none of them ever meets another file
// under the same descriptor.
func TestCloseDuringCalls(t *testing.T) {
	dir := t.TempDir()
	for range 50 {
		f := create(t, OS, filepath.Join(dir, "f"))
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					if _, err := f.WriteAt([]byte("mine"), 0); err != nil {
						return
					}
				}
			})
		}
		noErr(t, f.Close())
		other := create(t, OS, filepath.Join(dir, "other"))
		wg.Wait()
		wantSize(t, other, 0)
		noErr(t, other.Close())
	}
}

func TestSyncsDoNotAllocate(t *testing.T) {
	f := create(t, OS, filepath.Join(t.TempDir(), "f"))
	noErr(t, f.Allocate(0, 8192))
	m := mapFile(t, f, 0, 8192, true)
	b := make([]byte, 100)
	calls := map[string]func() error{
		"pwrite":          func() error { _, err := f.WriteAt(b, 0); return err },
		"pread":           func() error { _, err := f.ReadAt(b, 0); return err },
		"fdatasync":       f.SyncData,
		"msync":           func() error { return m.Sync(0, 100) },
		"sync_file_range": func() error { return f.SyncRange(0, 100) },
		"fstat":           func() error { _, err := f.Size(); return err },
	}
	for what, call := range calls {
		if n := testing.AllocsPerRun(10, func() { noErr(t, call()) }); n != 0 {
			t.Errorf("%s allocates %v times", what, n)
		}
	}
}

func TestIsNoSpace(t *testing.T) {
	if !IsNoSpace(pathError("pwrite", "x", errQuota)) || IsNoSpace(os.ErrClosed) || IsNoSpace(nil) {
		t.Fatal("IsNoSpace is wrong")
	}
}

// What is forgotten is read from the device when it is loaded, and only then.
func TestForgetAndLoad(t *testing.T) {
	const size = 64 * 4096
	f := create(t, OS, filepath.Join(t.TempDir(), "f"))
	want := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	_, err := f.WriteAt(want, 0)
	noErr(t, err)
	noErr(t, f.Sync())
	m := mapFile(t, f, 0, size, true)
	if !m.Resident(0, size) {
		t.Fatal("what was just written is not in memory")
	}
	noErr(t, m.Forget(pageSize, size-2*pageSize))
	if m.Resident(0, size) {
		t.Skip("the file system keeps all in memory")
	}
	if !m.Resident(0, pageSize) {
		t.Error("more was forgotten than asked for")
	}
	noErr(t, m.Load(2*pageSize+1, 10*pageSize))
	if !m.Resident(2*pageSize, 10*pageSize) {
		t.Error("what was loaded is not in memory")
	}
	noErr(t, m.Load(0, size))
	if !m.Resident(0, size) || !bytes.Equal(m.Bytes(), want) {
		t.Error("not all is in memory, or other bytes")
	}
	noErr(t, f.Close())
	noErr(t, m.Forget(0, size))
	if !bytes.Equal(m.Bytes(), want) {
		t.Error("other bytes after the file was closed")
	}
}

// What was loaded in order, in pieces and with all that the system read ahead, leaves by regions of the largest folio.
func TestForgetWhatWasReadAhead(t *testing.T) {
	const size, region, piece = 16 << 20, 2 << 20, 256 << 10
	f := create(t, OS, filepath.Join(t.TempDir(), "f"))
	_, err := f.WriteAt(bytes.Repeat([]byte("0123456789abcdef"), size/16), 0)
	noErr(t, err)
	noErr(t, f.Sync())
	m := mapFile(t, f, 0, size, true)
	noErr(t, m.Forget(0, size))
	if m.Resident(0, size) {
		t.Skip("the file system keeps all in memory")
	}
	for at := 0; at < size; at += piece {
		noErr(t, m.Load(at, piece))
		if !m.Resident(at, piece) || m.Bytes()[at] != '0' {
			t.Fatalf("what was loaded at %d is not in memory", at)
		}
	}
	for at := 0; at < size; at += region {
		noErr(t, m.Forget(at, region))
		for in := at; in < at+region; in += pageSize {
			if m.Resident(in, pageSize) {
				t.Fatalf("the page at %d is still in memory", in)
			}
		}
	}
}
