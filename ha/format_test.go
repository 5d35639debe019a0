package ha

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/message"
)

// cuts splits bytes at random places.
func cuts(rng *rand.Rand, b []byte, most int) (pieces [][]byte) {
	for len(b) > 0 {
		n := min(1+rng.IntN(most), len(b))
		pieces, b = append(pieces, b[:n]), b[n:]
	}
	return pieces
}

func TestGoldenStreamIsCopied(t *testing.T) {
	toSlave, toMaster := golden.Replication(t)
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var log []byte
		frames := frames{sizeMax: 1 << 20}
		asm := assembler{fileSize: 1 << 20}
		headers, records := 0, 0
		for _, piece := range cuts(rng, toSlave, 1+rng.IntN(5000)) {
			err := frames.feed(piece, func(phy message.PhyOffset, size int) error {
				headers++
				if phy != asm.next() {
					t.Fatalf("seed %d: frame %d is for %d, the copy ends at %d", seed, headers, phy, asm.next())
				}
				return nil
			}, func(_ message.PhyOffset, piece []byte) error {
				return asm.add(piece, func(at message.PhyOffset, raw []byte) error {
					if int(at) != len(log) {
						t.Fatalf("seed %d: records for %d, the copy ends at %d", seed, at, len(log))
					}
					log = append(log, raw...)
					for len(raw) > 0 {
						r, err := message.ParseRecord(raw)
						if err != nil {
							t.Fatalf("seed %d: record at %d: %v", seed, at, err)
						}
						raw = raw[len(r):]
						records++
					}
					return nil
				})
			})
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if headers != 49 || len(log) != 114866 || records != 49 {
			t.Fatalf("seed %d: %d frames, %d bytes of log with %d records", seed, headers, len(log), records)
		}
		var in reports
		var last message.PhyOffset
		for _, piece := range cuts(rng, toMaster, 30) {
			err := in.feed(piece, func(Hello) { t.Fatal("Java's slave says no hello") }, func(end message.PhyOffset) {
				if end < last {
					t.Fatalf("report %d after %d", end, last)
				}
				last = end
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if last != 114866 {
			t.Fatalf("seed %d: the last report is %d", seed, last)
		}
	}
}

// TestFramesAreJavas builds the recorded frames again from their bodies.
func TestFramesAreJavas(t *testing.T) {
	toSlave, _ := golden.Replication(t)
	var again []byte
	f := frames{sizeMax: 1 << 20}
	err := f.feed(toSlave, func(phy message.PhyOffset, size int) error {
		again = appendFrameHeader(again, phy, size)
		return nil
	}, func(_ message.PhyOffset, piece []byte) error {
		again = append(again, piece...)
		return nil
	})
	if err != nil || !bytes.Equal(again, toSlave) {
		t.Fatalf("%v; equal: %t", err, bytes.Equal(again, toSlave))
	}
}

func TestHello(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 2))
		want := Hello{ID: rng.Int64N(BrokerIDMax), FromStart: rng.IntN(2) == 0, Group: rng.Uint64() & sevenBytes, Tail: rng.Uint64() & sevenBytes}
		stream := want.append(nil)
		for at := 0; at < len(stream); at += reportSize {
			// Java's master must not take a word of it for an offset.
			if int64(binary.BigEndian.Uint64(stream[at:])) >= 0 {
				t.Fatalf("seed %d: word at %d of the hello may be an offset", seed, at)
			}
		}
		if len(stream) != helloSize {
			t.Fatalf("a hello of %d bytes", len(stream))
		}
		stream = appendReport(stream, 4711)
		stream = appendReport(stream, 4712)
		var in reports
		var got []Hello
		var ends []message.PhyOffset
		for _, piece := range cuts(rng, stream, 1+rng.IntN(60)) {
			if err := in.feed(piece, func(h Hello) { got = append(got, h) }, func(end message.PhyOffset) { ends = append(ends, end) }); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, []Hello{want}) || len(ends) == 0 || ends[len(ends)-1] != 4712 {
			t.Fatalf("seed %d: %v, %v, want %v", seed, got, ends, want)
		}
	}
}

func TestReportsRefuseNonsense(t *testing.T) {
	none := func(Hello) {}
	for name, stream := range map[string][]byte{
		"negative": appendReport(nil, -1),
		"torn hello": append(Hello{ID: 1}.append(nil)[:reportSize],
			make([]byte, helloSize)...),
		"hello later": Hello{ID: 1}.append(appendReport(nil, 8)),
	} {
		var in reports
		if err := in.feed(stream, none, func(message.PhyOffset) {}); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}

func TestAssemblerRefusesOtherBytes(t *testing.T) {
	for name, head := range map[string][2]uint32{
		"magic": {200, 1}, "too small": {8, message.MagicV1}, "beyond the file": {1 << 20, message.MagicV1}, "negative": {1 << 31, message.MagicV2},
	} {
		var b [100]byte
		binary.BigEndian.PutUint32(b[:], head[0])
		binary.BigEndian.PutUint32(b[4:], head[1])
		for _, split := range []int{100, 3, 8} {
			a := assembler{fileSize: 1000}
			emit := func(message.PhyOffset, []byte) error { t.Errorf("%s: a record", name); return nil }
			err := a.add(b[:split], emit)
			if err == nil {
				err = a.add(b[split:], emit)
			}
			if err == nil {
				t.Errorf("%s, split at %d: it is taken", name, split)
			}
		}
	}
}

// Frames cut anywhere lose nothing and hold no more than what came; and a body is the same log whether it passes through or lands in its place.
func FuzzFrames(f *testing.F) {
	toSlave, _ := golden.Replication(f)
	f.Add(toSlave[:3000], uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		in := frames{sizeMax: 1 << 20}
		asm := assembler{fileSize: 1 << 20}
		landing := assembler{fileSize: 1 << 20}
		for _, piece := range cuts(rand.New(rand.NewPCG(seed, 3)), b, 500) {
			var end message.PhyOffset
			err := in.feed(piece, func(phy message.PhyOffset, _ int) error { return nil },
				func(_ message.PhyOffset, piece []byte) error {
					err := asm.add(piece, func(at message.PhyOffset, raw []byte) error {
						if at < end || len(raw) == 0 {
							t.Fatalf("%d bytes for %d after %d", len(raw), at, end)
						}
						end = at + message.PhyOffset(len(raw))
						return nil
					})
					_, refused := landing.land(append(bytes.Clone(landing.begun), piece...))
					if (err == nil) != (refused == nil) {
						t.Fatalf("what passes through: %v; what lands: %v", err, refused)
					}
					if err == nil && (landing.at != asm.at || !bytes.Equal(landing.begun, asm.begun)) {
						t.Fatalf("what passes through ends at %d and %d bytes, what lands at %d and %d", asm.at, len(asm.begun), landing.at, len(landing.begun))
					}
					return err
				})
			if err != nil {
				return
			}
			if len(asm.begun) > len(b) {
				t.Fatalf("%d bytes are held of %d", len(asm.begun), len(b))
			}
		}
	})
}

func FuzzReports(f *testing.F) {
	f.Add(appendReport(Hello{ID: 7}.append(nil), 5), uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		var in reports
		for _, piece := range cuts(rand.New(rand.NewPCG(seed, 3)), b, 20) {
			err := in.feed(piece, func(h Hello) {
				if got, err := decodeHello(h.append(nil)); err != nil || got != h {
					t.Fatalf("%+v comes back as %+v: %v", h, got, err)
				}
			}, func(end message.PhyOffset) {
				if end < 0 {
					t.Fatalf("report %d", end)
				}
			})
			if err != nil || len(in.begun) >= helloSize {
				if err == nil {
					t.Fatalf("%d bytes are held", len(in.begun))
				}
				return
			}
		}
	})
}
