package index

import (
	"errors"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// FuzzFile opens a file of any content in each way there is: it is refused by its name, dropped, or
// taken; and then it can be queried, put to, cut and closed, without a panic or an endless chain.
func FuzzFile(f *testing.F) {
	opts := &Options{Slots: 10, Entries: 31}
	const name = "/index/20261121032142862"
	crash := vfs.NewCrashFS(1)
	x := openAt(f, crash, "/index", opts)
	recoverAt(f, x, State{}, true, 0, 0)
	if err := putN(x, 0, 8); err != nil {
		f.Fatal(err)
	}
	good := append([]byte(nil), x.writer.bytes...)
	f.Add(good, int32(0), uint8(0))
	f.Add(good, int32(20), uint8(1))
	f.Add(good[:100], int32(9), uint8(2))
	f.Add(make([]byte, len(good)), int32(3), uint8(1))
	ones := make([]byte, len(good))
	for i := range ones {
		ones[i] = 0x7F
	}
	f.Add(ones, int32(31), uint8(0))
	f.Fuzz(func(t *testing.T, content []byte, count int32, how uint8) {
		if len(content) > 4096 {
			return
		}
		crash := vfs.NewCrashFS(1)
		defer crash.Discard()
		if err := writeFile(crash, name, content); err != nil {
			t.Fatal(err)
		}
		x, err := Open(crash, "/index", opts)
		if err != nil {
			t.Fatal(err)
		}
		var st State
		if how%3 == 1 {
			st = State{File: name[len("/index/"):], Count: count & math.MaxInt32, Used: 3, Durable: 700}
		}
		_, err = x.Recover(st, how%3 == 0, math.MaxInt64, message.PhyOffset(how)*100)
		var bad *CorruptError
		if err != nil {
			if !errors.As(err, &bad) || bad.File != name || how%3 != 0 {
				t.Fatal(err)
			}
			return
		}
		for _, err := range x.Dropped() {
			if !errors.As(err, &bad) || bad.File != name {
				t.Fatal(err)
			}
		}
		use(t, x)
	})
}

func writeFile(fsys vfs.FS, name string, content []byte) error {
	if err := fsys.MkdirAll("/index", 0o755); err != nil {
		return err
	}
	f, err := fsys.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	return errors.Join(err, f.Close())
}

// use does what a broker does with an index, whatever is in it.
func use(t *testing.T, x *Index) {
	t.Helper()
	var bad *CorruptError
	if err := x.Check(); err != nil && !errors.As(err, &bad) {
		t.Fatal(err)
	}
	for i := range 12 {
		query(t, x, fmt.Sprint("K", i))
	}
	first := 10_000
	if err := putN(x, first, 12); err != nil {
		t.Fatal(err)
	}
	if int64(first*100) > x.writer.last-1200 { // the damaged entries may claim to be further
		if got := query(t, x, fmt.Sprint("K", first+5)); len(got) == 0 {
			t.Fatalf("what was put is not found")
		}
	}
	if err := x.Truncate(message.PhyOffset(first*100 + 500)); err != nil {
		t.Fatal(err)
	}
	if _, err := x.DeleteExpired(1000); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
}

// FuzzState: what parses comes back.
func FuzzState(f *testing.F) {
	f.Add(State{File: "20261121032142862", Count: 7, Used: 3, Durable: 1 << 40, EndTime: 99}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := ParseState(b)
		if err != nil {
			return
		}
		if again, err := ParseState(st.Append(nil)); err != nil || again != st {
			t.Fatalf("%+v came back as %+v, error %v", st, again, err)
		}
	})
}
