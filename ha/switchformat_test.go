package ha

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/rocketlog/rocketlog/message"
)

func TestSwitchReports(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 4))
		want := Hello{ID: rng.Int64(), FromStart: rng.IntN(2) == 0, Learner: rng.IntN(2) == 0}
		stream := appendSwitchHello(nil, want)
		if len(stream) != switchHelloSize {
			t.Fatalf("a hello of %d bytes", len(stream))
		}
		stream = appendSwitchReport(stream, 0)
		stream = appendSwitchReport(stream, 4711)
		var in switchReports
		var got []Hello
		var ends []message.PhyOffset
		for _, piece := range cuts(rng, stream, 1+rng.IntN(50)) {
			if err := in.feed(piece, func(h Hello) { got = append(got, h) }, func(end message.PhyOffset) { ends = append(ends, end) }); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, []Hello{want}) || len(ends) == 0 || ends[len(ends)-1] != 4711 || len(in.begun) > 0 {
			t.Fatalf("seed %d: %v, %v, want %v", seed, got, ends, want)
		}
	}
}

func TestSwitchReportsRefuseNonsense(t *testing.T) {
	hello := appendSwitchHello(nil, Hello{ID: 1})
	for name, stream := range map[string][]byte{
		"a classic slave":         appendReport(nil, 4711),
		"a classic slave's hello": Hello{ID: 1}.append(nil),
		"report first":            appendSwitchReport(nil, 5),
		"hello twice":             append(slices.Clone(hello), hello...),
		"negative":                appendSwitchReport(slices.Clone(hello), -1),
	} {
		var in switchReports
		if err := in.feed(stream, func(Hello) {}, func(message.PhyOffset) {}); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}

// collect writes down what comes of a master.
type collect struct {
	epochs  Epochs
	end     message.PhyOffset
	greeted int
	frames  []frame
	body    []byte
}

func (c *collect) handler() switchHandler {
	return switchHandler{
		greet: func(epochs Epochs, end message.PhyOffset) error {
			c.epochs, c.end = epochs, end
			c.greeted++
			return nil
		},
		begin: func(f frame) error {
			c.frames = append(c.frames, f)
			return nil
		},
		body: func(_ message.PhyOffset, piece []byte) error {
			c.body = append(c.body, piece...)
			return nil
		},
	}
}

func TestSwitchFrames(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 5))
		var list Epochs
		for i := range int32(rng.IntN(5)) {
			list = append(list, EpochEntry{Epoch: i + 1, Start: message.PhyOffset(i) * 1000})
		}
		stream := appendGreeting(nil, list, 9999)
		var frames []frame
		var body []byte
		for at := message.PhyOffset(5000); len(frames) < 5; {
			f := frame{phy: at, size: rng.IntN(300), epoch: EpochEntry{int32(rng.IntN(9)), at - 5}, confirm: at - 7}
			stream = appendSwitchFrame(stream, f)
			piece := make([]byte, f.size)
			for i := range piece {
				piece[i] = byte(rng.Uint32())
			}
			stream, body = append(stream, piece...), append(body, piece...)
			at += message.PhyOffset(f.size)
			frames = append(frames, f)
		}
		in := switchFrames{sizeMax: 300}
		var got collect
		for _, piece := range cuts(rng, stream, 1+rng.IntN(200)) {
			if err := in.feed(piece, got.handler()); err != nil {
				t.Fatal(err)
			}
		}
		if got.greeted != 1 || got.end != 9999 || !slices.Equal(got.epochs, list) || !slices.Equal(got.frames, frames) || !bytes.Equal(got.body, body) {
			t.Fatalf("seed %d: %+v", seed, got)
		}
	}
}

func TestSwitchFramesRefuseNonsense(t *testing.T) {
	greeting := appendGreeting(nil, epochs(1, 0), 100)
	with := func(f frame) []byte { return appendSwitchFrame(slices.Clone(greeting), f) }
	for name, stream := range map[string][]byte{
		"a classic master": appendFrameHeader(nil, 100, 0),
		"no greeting":      appendSwitchFrame(nil, frame{}),
		"greeting twice":   append(slices.Clone(greeting), greeting...),
		"too large":        with(frame{size: 301}),
		"negative size":    with(frame{size: -1}),
		"negative place":   with(frame{phy: -1, size: 1}),
		"no epochs":        appendGreeting(nil, epochs(2, 0, 1, 5), 100),
	} {
		in := switchFrames{sizeMax: 300}
		if err := in.feed(stream, (&collect{}).handler()); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	in := switchFrames{sizeMax: 300}
	var got collect
	if err := in.feed(with(frame{phy: -1, epoch: EpochEntry{Epoch: 1}}), got.handler()); err != nil || len(got.frames) != 1 {
		t.Errorf("the heartbeat of an empty Java master: %v", err)
	}
}

func FuzzSwitchFrames(f *testing.F) {
	f.Add(appendSwitchFrame(appendGreeting(nil, epochs(1, 0, 3, 70), 100), frame{phy: 70, epoch: EpochEntry{3, 70}}), uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		in := switchFrames{sizeMax: 1 << 20}
		var got collect
		for _, piece := range cuts(rand.New(rand.NewPCG(seed, 3)), b, 500) {
			if in.feed(piece, got.handler()) != nil {
				return
			}
			if len(in.head) > switchGreetingSize+epochsMax*epochEntrySize {
				t.Fatalf("%d bytes are held", len(in.head))
			}
		}
		if len(got.body) > len(b) || got.epochs.check() != nil {
			t.Fatalf("%d bytes of %d, epochs %v", len(got.body), len(b), got.epochs)
		}
	})
}

func FuzzSwitchReports(f *testing.F) {
	f.Add(appendSwitchReport(appendSwitchHello(nil, Hello{ID: 7, Learner: true}), 5), uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		var in switchReports
		for _, piece := range cuts(rand.New(rand.NewPCG(seed, 3)), b, 20) {
			err := in.feed(piece, func(h Hello) {
				if again := appendSwitchHello(nil, h); len(again) != switchHelloSize {
					t.Fatalf("%x", again)
				}
			}, func(end message.PhyOffset) {
				if end < 0 {
					t.Fatalf("report %d", end)
				}
			})
			if err != nil {
				return
			}
			if len(in.begun) >= switchHelloSize {
				t.Fatalf("%d bytes are held", len(in.begun))
			}
		}
	})
}
