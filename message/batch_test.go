package message

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// goldenItem was encoded by Java's MessageDecoder.encodeMessage.
const goldenItem = "00000034000000000000000000000000000000026869001C4B455953016B3102" +
	"5741495401747275650254414753015461674102"

func TestBatchItemGolden(t *testing.T) {
	want := unhex(t, goldenItem)
	item, rest, err := NextBatchItem(want)
	if err != nil || len(rest) != 0 {
		t.Fatalf("%d bytes left, error %v", len(rest), err)
	}
	if string(item.Body) != "hi" || string(item.Properties) != "KEYS\x01k1\x02WAIT\x01true\x02TAGS\x01TagA\x02" || item.Flag != 0 {
		t.Fatalf("item %+v", item)
	}
	if got := AppendBatchItem(nil, 0, item.Body, item.Properties); !bytes.Equal(got, want) {
		t.Fatalf("encoded\n%X, want\n%X", got, want)
	}
}

func TestBatchRandom(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		var batch []byte
		var want []*Message
		for range rnd.IntN(8) {
			m := randomMessage(rnd)
			batch = AppendBatchItem(batch, m.Flag, m.Body, m.Properties)
			want = append(want, m)
		}
		n := 0
		err := ForEachBatchItem(batch, func(item BatchItem) error {
			m := want[n]
			if item.Flag != m.Flag || !bytes.Equal(item.Body, m.Body) || !bytes.Equal(item.Properties, m.Properties) {
				t.Fatalf("seed %d: item %d differs", seed, n)
			}
			n++
			return nil
		})
		if err != nil || n != len(want) {
			t.Fatalf("seed %d: %d items of %d, error %v", seed, n, len(want), err)
		}
	}
}

func TestBatchRefuses(t *testing.T) {
	good := unhex(t, goldenItem)
	at := func(off int, b ...byte) []byte {
		out := bytes.Clone(good)
		copy(out[off:], b)
		return out
	}
	for name, tt := range map[string]struct {
		bytes []byte
		field string // of a FormatError; empty: ErrShort
	}{
		"one byte":            {good[:1], ""},
		"fixed part cut":      {good[:itemSizeFixed-1], ""},
		"properties cut":      {good[:len(good)-1], ""},
		"second item cut":     {append(bytes.Clone(good), good[:30]...), ""},
		"body too long":       {at(posItemBodyLen, 0, 0, 1), ""},
		"body negative":       {at(posItemBodyLen, 0xFF), "bodyLen"},
		"properties too long": {at(posItemBody+2, 0x7F), ""},
		"properties negative": {at(posItemBody+2, 0x80), "propertiesLen"},
	} {
		err := ForEachBatchItem(tt.bytes, func(BatchItem) error { return nil })
		var format *FormatError
		switch {
		case tt.field == "" && !errors.Is(err, ErrShort):
			t.Errorf("%s: error %v", name, err)
		case tt.field != "" && (!errors.As(err, &format) || format.Field != tt.field):
			t.Errorf("%s: error %v, want one about %s", name, err, tt.field)
		}
	}
	stop := errors.New("stop")
	if err := ForEachBatchItem(good, func(BatchItem) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
}
