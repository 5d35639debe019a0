package mappedfile

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// broken is a reader that ends with an error.
type broken struct {
	io.Reader
	err error
}

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = b.err
	}
	return n, err
}

// What was received and not published reads as zeros again, whatever ended it.
func TestReceivedAndNotPublishedIsGone(t *testing.T) {
	refused, cut := errors.New("refused"), errors.New("cut")
	text := bytes.Repeat([]byte("text"), 2000)
	begun := []byte("begun")
	for name, c := range map[string]struct {
		rule  *vfs.Rule
		take  int
		err   error // of take
		want  error
		wrote int64
	}{
		"a part is published":    {take: 1000, want: cut, wrote: 1000},
		"nothing is published":   {want: cut},
		"it is refused":          {take: 1000, err: refused, want: refused},
		"the disk takes no more": {rule: &vfs.Rule{Op: vfs.OpWrite, Nth: 2, Err: syscall.EIO}, take: 1000, want: syscall.EIO},
		"the disk takes none":    {rule: &vfs.Rule{Op: vfs.OpWrite, Nth: 1, Err: syscall.EIO}, want: syscall.EIO},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewFaultFS(vfs.OS, nil)
			dir := t.TempDir()
			q, err := Open(fs, dir, Options{FileSize: testFileSize})
			if err != nil {
				t.Fatal(err)
			}
			defer q.Close()
			if err := q.Roll(); err != nil {
				t.Fatal(err)
			}
			if c.rule != nil {
				fs.SetRules(*c.rule)
			}
			asked := false
			got, err := q.Receive(begun, broken{bytes.NewReader(text), cut}, len(text)+1, func(landed []byte) (int, error) {
				asked = true
				if want := append(bytes.Clone(begun), text...); !bytes.Equal(landed, want) {
					t.Errorf("%d bytes landed that are not those sent", len(landed))
				}
				return c.take, c.err
			})
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if asked != (got > 0) || c.rule == nil && got != len(text) {
				t.Errorf("%d bytes came, take was called: %t", got, asked)
			}
			if q.Wrote() != c.wrote {
				t.Fatalf("%d bytes are published, want %d", q.Wrote(), c.wrote)
			}
			fs.SetRules()
			file, err := vfs.ReadFile(vfs.OS, filepath.Join(dir, FileName(0)))
			if err != nil {
				t.Fatal(err)
			}
			want := make([]byte, testFileSize)
			copy(want, append(bytes.Clone(begun), text...)[:c.wrote])
			if !bytes.Equal(file, want) {
				t.Error("the file has other bytes than those published and zeros")
			}
		})
	}
}

// While bytes are received no page is made ahead, and the next file is.
func TestReceivingMakesNoPagesAhead(t *testing.T) {
	fs := vfs.NewFaultFS(vfs.OS, nil)
	q, err := Open(fs, t.TempDir(), Options{FileSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if err := q.Roll(); err != nil {
		t.Fatal(err)
	}
	piece := bytes.Repeat([]byte{1}, 64<<10)
	receive := func() {
		if q.Remaining() == 0 {
			if err := q.Roll(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := q.Receive(nil, bytes.NewReader(piece), len(piece), func(landed []byte) (int, error) { return len(landed), nil }); err != nil {
			t.Fatal(err)
		}
	}
	awaitAllocator := func(cond func(a *Allocator) bool) {
		q.alloc.mu.Lock()
		defer q.alloc.mu.Unlock()
		for !cond(q.alloc) {
			q.alloc.changed.Wait()
		}
	}
	receive()
	awaitAllocator(func(a *Allocator) bool { return !a.preparing }) // what was begun before
	before := fs.Count(vfs.OpPreheat)
	for range 20 {
		receive()
	}
	if n := fs.Count(vfs.OpPreheat); n != before {
		t.Errorf("pages were made ahead %d times", n-before)
	}
	write(t, q, piece)
	awaitAllocator(func(a *Allocator) bool { return a.preheated > q.Wrote() })
}

// What does not fit the ring is received in part, and where what is begun fills it there is an error.
func TestReceiveMoreThanTheRing(t *testing.T) {
	const ring = 4096
	q := openQueue(t, t.TempDir(), Options{RingSize: ring})
	if err := q.Roll(); err != nil {
		t.Fatal(err)
	}
	text := bytes.Repeat([]byte("text"), ring)
	none := func([]byte) (int, error) { return 0, nil }
	if got, err := q.Receive(text[:96], bytes.NewReader(text), len(text), none); got != ring-96 || err != nil {
		t.Errorf("%d bytes were received, want %d: %v", got, ring-96, err)
	}
	if _, err := q.Receive(text[:ring], bytes.NewReader(text), len(text), none); err == nil {
		t.Error("nothing is received, and it is no error")
	}
}
