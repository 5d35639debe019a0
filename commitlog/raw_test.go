package commitlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// stream is the bytes of a log.
func stream(t *testing.T, l *CommitLog) []byte {
	t.Helper()
	var all []byte
	for at := l.MinOffset(); at < l.CommittedOffset(); {
		ref, ok, err := l.Read(at)
		if err != nil || !ok {
			t.Fatalf("read at %d: %v, %v", at, ok, err)
		}
		all = append(all, ref.Bytes()...)
		at += message.PhyOffset(len(ref.Bytes()))
		ref.Release()
	}
	return all
}

// copier has a log receive a stream, in pieces.
type copier struct {
	l      *CommitLog
	stream []byte
	begun  []byte
	at     int // of the byte that comes next
}

// take has it take in n bytes more, which lie in one file: whole sectors are received, what is before and behind them is appended.
func (c *copier) take(t *testing.T, n int) {
	t.Helper()
	if before := min(n, (sector-c.at%sector)%sector); before > 0 {
		c.append(t, before)
		n -= before
	}
	if n >= sector {
		c.receive(t, n/sector*sector)
	}
	if n%sector > 0 {
		c.append(t, n%sector)
	}
}

func (c *copier) append(t *testing.T, n int) {
	t.Helper()
	c.begun = append(c.begun, c.stream[c.at:][:n]...)
	c.at += n
	whole := c.whole(c.begun)
	if err := c.l.AppendRaw(c.l.MaxOffset(), c.begun[:whole]); err != nil {
		t.Fatal(err)
	}
	c.begun = c.begun[whole:]
}

func (c *copier) receive(t *testing.T, n int) {
	t.Helper()
	end := c.l.MaxOffset()
	r := bytes.NewReader(c.stream[c.at:][:n])
	got, err := c.l.Receive(end, c.begun, r, n, func(landed []byte) (int, error) {
		if int(end)+len(landed) != c.at+len(landed)-len(c.begun) || !bytes.Equal(landed, c.stream[end:][:len(landed)]) {
			t.Fatalf("%d bytes landed at %d that are not the stream's", len(landed), end)
		}
		whole := c.whole(landed)
		c.at += len(landed) - len(c.begun)
		c.begun = bytes.Clone(landed[whole:])
		return whole, nil
	})
	if err != nil || got+r.Len() != n {
		t.Fatalf("received %d of %d bytes: %v", got, n, err)
	}
}

// whole is how many bytes at the end of the log are whole records; a blank reaches to the end of its file.
func (c *copier) whole(b []byte) (n int) {
	for len(b)-n >= message.BlankSizeMin {
		at := c.l.MaxOffset() + message.PhyOffset(n)
		size := int(binary.BigEndian.Uint32(b[n:]))
		if binary.BigEndian.Uint32(b[n+4:]) == message.MagicBlank {
			size = int(c.l.NextFile(at) - at)
		}
		if n+size > len(b) {
			break
		}
		n += size
	}
	return n
}

// missing is how many bytes can come at once: those of one file.
func (c *copier) missing() int {
	end := int(c.l.NextFile(message.PhyOffset(c.at)))
	return min(end, len(c.stream)) - c.at
}

// A log that receives another's bytes, cut anywhere, is the other one.
func TestReceive(t *testing.T) {
	for name, opts := range modes() {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			rng := rand.New(rand.NewPCG(seed, 0))
			t.Logf("seed %d", seed)
			source := openAt(t, t.TempDir(), opts)
			defer source.Close()
			source.Start()
			var seq Sequence
			all := fill(t, source, rng, &seq, 300)
			if err := source.Flush(); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			c := &copier{l: openAt(t, dir, opts), stream: stream(t, source)}
			c.l.Start()
			for c.at < len(c.stream) {
				n := 1 + rng.IntN(c.missing())
				if rng.IntN(4) == 0 {
					c.append(t, n)
				} else {
					c.take(t, n)
				}
			}
			if err := c.l.Flush(); err != nil {
				t.Fatal(err)
			}
			verify(t, c.l, all)
			if !bytes.Equal(stream(t, c.l), c.stream) {
				t.Error("the bytes differ")
			}
			if err := c.l.Close(); err != nil {
				t.Fatal(err)
			}
			again := openAt(t, dir, opts)
			defer again.Close()
			if _, err := again.Recover(0, Own, true, noop); err != nil {
				t.Fatal(err)
			}
			verify(t, again, all)
		})
	}
}

// After a power loss while bytes were received, and not all of them were whole records, the log is a prefix of the other one again, with all
// that was flushed, and goes on from there. The records are small, so that the headers of many lie across the end of a sector.
func TestReceivePowerLoss(t *testing.T) {
	opts := modes()["mapped"]
	source := openAt(t, t.TempDir(), opts)
	defer source.Close()
	source.Start()
	var seq Sequence
	for i := range 1500 {
		m := sample(0)
		m.Body, m.Properties = []byte{byte(i)}, nil
		if _, err := source.Append(m, &seq); err != nil {
			t.Fatal(err)
		}
	}
	all := stream(t, source)
	for name, opts := range modes() {
		opts.FlushInterval, opts.CommitInterval = time.Hour, time.Hour
		histories := *crashes
		if name == "mapped" { // the only one where the system writes what is not the log's yet
			histories *= 10
		}
		for range histories {
			receivePowerLoss(t, name, opts, all, rand.Uint64())
		}
	}
}

func receivePowerLoss(t *testing.T, mode string, opts Options, all []byte, seed uint64) {
	defer func() {
		if t.Failed() {
			t.Logf("mode %s, seed %d", mode, seed)
		}
	}()
	rng := rand.New(rand.NewPCG(seed, 5))
	fs := vfs.NewCrashFS(seed)
	flushed := message.PhyOffset(0)
	for range 3 {
		l, err := Open(fs, "log", &opts)
		if err != nil {
			t.Fatal(err)
		}
		rec, err := l.Recover(0, Own, true, noop)
		if err != nil {
			t.Fatal(err)
		}
		if rec.End < flushed && binary.BigEndian.Uint32(all[rec.End+4:]) != message.MagicBlank { // one at the end is written anew
			t.Fatalf("recovered to %d, flushed were %d", rec.End, flushed)
		}
		if got := stream(t, l); !bytes.Equal(got, all[:len(got)]) {
			t.Fatal("the log is no prefix of the one that it was received of")
		}
		l.Start()
		c := &copier{l: l, stream: all, at: int(rec.End)}
		for range 1 + rng.IntN(10) {
			if c.at == len(c.stream) {
				break
			}
			c.take(t, 1+rng.IntN(min(c.missing(), 20_000)))
			if rng.IntN(2) == 0 {
				fs.Snapshot()
			}
			if rng.IntN(4) == 0 {
				if err := l.Flush(); err != nil {
					t.Fatal(err)
				}
				flushed = l.FlushedOffset()
			}
		}
		crashed := fs.Crash(rng.Uint64())
		l.Close()
		fs.Discard()
		fs = crashed
	}
	fs.Discard()
}

func TestReceiveRefuses(t *testing.T) {
	opts := modes()["mapped"]
	l := openAt(t, t.TempDir(), opts)
	refused := errors.New("refused")
	take := func([]byte) (int, error) { return 0, refused }
	for name, c := range map[string]struct {
		at    message.PhyOffset
		begun int
		text  string
		want  string
	}{
		"another place":         {at: 5, text: "text", want: "the log ends at 0"},
		"behind a file":         {begun: int(opts.FileSize), text: "text", want: "do not fit the file"},
		"the midst of a sector": {begun: sector + 1, text: "text", want: "no sector begins"},
		"what is no record":     {text: "text", want: "refused"},
		"nothing":               {want: "EOF"},
	} {
		_, err := l.Receive(c.at, make([]byte, c.begun), strings.NewReader(c.text), sector+4, take)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if l.MaxOffset() != 0 {
			t.Fatalf("%s: the log ends at %d", name, l.MaxOffset())
		}
	}
	if _, err := l.Receive(0, nil, strings.NewReader("text"), sector-1, take); err == nil || !strings.Contains(err.Error(), "no whole sector") {
		t.Errorf("less than a sector: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Receive(0, nil, io.LimitReader(nil, 0), sector, take); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed log receives: %v", err)
	}
}

func TestWholeRecords(t *testing.T) {
	raw := make([]byte, 100+8+50)
	binary.BigEndian.PutUint32(raw, 100)
	binary.BigEndian.PutUint32(raw[100:], 8)
	binary.BigEndian.PutUint32(raw[108:], 50)
	for _, test := range []struct {
		raw  []byte
		most int
		want int // -1 is an error
	}{
		{raw, 1000, 158}, {raw, 158, 158}, {raw, 157, 108}, {raw, 108, 108}, {raw, 107, 100}, {raw, 50, 100},
		{raw[:108], 104, 100}, {raw[:104], 1000, -1}, {raw[:157], 1000, -1}, {raw[100:], 8, 8}, {raw[104:], 1000, -1}, {nil, 5, 0},
	} {
		n, err := wholeRecords(test.raw, test.most)
		if err == nil && n != test.want || (err != nil) != (test.want < 0) {
			t.Errorf("%d bytes, at most %d: %d, %v, want %d", len(test.raw), test.most, n, err, test.want)
		}
	}
}
