package pop

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// Bodies that a Java broker 5.5.0 has written.
const (
	javaCheckpoint = `{"bm":0,"bn":"golden-a","c":"GC_pop","d":[0,1,2,3,4,5],"it":12000,"n":6,"pt":1795231316887,"q":0,"reviveTime":1795231328887,"ro":0,"so":0,"sp":false,"t":"GT_pop"}`
	javaAck        = `{"ao":1,"bn":"golden-a","c":"GC_pop","pt":1795231316887,"q":0,"so":0,"t":"GT_pop"}`
)

var javaKey = Key{"GT_pop", "GC_pop", 0, 0, 1795231316887, "golden-a"}

func TestJavaBodies(t *testing.T) {
	c, err := DecodeCheckpoint([]byte(javaCheckpoint))
	want := &Checkpoint{Key: javaKey, InvisibleTime: 12000, Offsets: []int64{0, 1, 2, 3, 4, 5}}
	if err != nil || !reflect.DeepEqual(c, want) {
		t.Fatalf("checkpoint %+v, %v; want %+v", c, err, want)
	}
	if got := string(AppendCheckpoint(nil, c)); got != javaCheckpoint {
		t.Errorf("checkpoint is written as\n%s, Java writes\n%s", got, javaCheckpoint)
	}
	if got := string(AppendCheckpointID(nil, c)); got != "GT_pop@0@0@GC_pop@1795231316887@golden-a@ck" {
		t.Errorf("checkpoint id %q", got)
	}
	a, err := DecodeAck([]byte(javaAck), "other")
	if err != nil || !reflect.DeepEqual(a, &Ack{Key: javaKey, Offsets: []int64{1}}) {
		t.Fatalf("ack %+v, %v", a, err)
	}
	if got := string(AppendAck(nil, a)); got != javaAck || a.Tag() != TagAck {
		t.Errorf("ack is written as\n%s, Java writes\n%s", got, javaAck)
	}
	if got := string(AppendAckID(nil, a)); got != "GT_pop@0@1@GC_pop@1795231316887@golden-a@ack" {
		t.Errorf("ack id %q", got)
	}
}

func TestDecodeOldBodies(t *testing.T) {
	c, err := DecodeCheckpoint([]byte(`{"bm":5,"c":"g","it":10,"n":4,"pt":1,"q":2,"rp":"x","so":100,"t":"T"}`))
	want := &Checkpoint{Key: Key{"T", "g", 2, 100, 1, ""}, InvisibleTime: 10, Offsets: []int64{101, 103}, Tries: 127}
	if err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("checkpoint without offsets: %+v, %v", c, err)
	}
	a, err := DecodeAck([]byte(`{"ackOffset":7,"consumerGroup":"g","popTime":3,"queueId":1,"startOffset":5,"topic":"T"}`), "here")
	if err != nil || !reflect.DeepEqual(a, &Ack{Key: Key{"T", "g", 1, 5, 3, "here"}, Offsets: []int64{7}}) {
		t.Errorf("ack by long names: %+v, %v", a, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, body := range []string{
		``, `[]`, `{}`, `{"c":"g","n":1,"q":0,"so":0}`, `{"t":"T","n":1}`, `{"c":"g","t":"T","n":33}`, `{"c":"g","t":"T","n":-1}`,
		`{"c":"g","t":"T","n":2,"d":[0]}`, `{"c":"g","t":"T","n":2,"d":[1,0]}`, `{"c":"g","t":"T","n":1,"d":[-1]}`, `{"c":"g","t":"T","n":1,"q":-1}`,
		`{"c":"g","t":"T","n":1,"so":9223372036854775807,"d":[1]}`, `{"c":"g","t":"T","n":1,"pt":9223372036854775807,"it":1}`,
		`{"c":"g","t":"T","n":1,"it":-1}`, `{"t":"` + strings.Repeat("x", maxRecord) + `"}`,
	} {
		if c, err := DecodeCheckpoint([]byte(body)); err == nil {
			t.Errorf("checkpoint %.80s is taken for %+v", body, c)
		}
	}
	for _, body := range []string{``, `{}`, `{"ao":1,"c":"g"}`, `{"ao":-1,"c":"g","t":"T"}`, `{"ao":1,"c":"g","t":"T","so":-1}`} {
		if a, err := DecodeAck([]byte(body), "b"); err == nil {
			t.Errorf("ack %s is taken for %+v", body, a)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 500 {
		c := &Checkpoint{Key: Key{"T\"ü", fmt.Sprint("g", i), r.Int32N(9), r.Int64N(1 << 40), r.Int64N(1 << 40), "b\n"}, InvisibleTime: r.Int64N(1 << 30),
			Offsets: []int64{}, Tries: r.Int32N(100), Suspended: i%2 == 0}
		last := c.Start - 1
		for range r.IntN(CheckpointMax + 1) {
			last += 1 + r.Int64N(3)
			c.Offsets = append(c.Offsets, last)
		}
		back, err := DecodeCheckpoint(AppendCheckpoint(nil, c))
		if err != nil || !reflect.DeepEqual(back, c) {
			t.Fatalf("%+v came back as %+v, %v", c, back, err)
		}
		if len(c.Offsets) == 0 {
			continue
		}
		a := &Ack{Key: c.Key, Offsets: c.Offsets}
		if back, err := DecodeAck(AppendAck(nil, a), ""); err != nil || !reflect.DeepEqual(back, a) {
			t.Fatalf("%+v came back as %+v, %v", a, back, err)
		}
	}
}

func FuzzDecodeCheckpoint(f *testing.F) {
	f.Add([]byte(javaCheckpoint))
	f.Add([]byte(`{"bm":5,"c":"g","it":10,"n":4,"pt":1,"q":2,"rp":"x","so":100,"t":"T"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := DecodeCheckpoint(body)
		if err != nil {
			return
		}
		again, err := DecodeCheckpoint(AppendCheckpoint(nil, c))
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%q: %+v, again %+v, %v", body, c, again, err)
		}
	})
}

func FuzzDecodeAck(f *testing.F) {
	f.Add([]byte(javaAck))
	f.Add([]byte(`{"ao":-1,"aol":[3,4],"c":"g","t":"T"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := DecodeAck(body, "b")
		if err != nil || len(a.Offsets) == 0 {
			return
		}
		again, err := DecodeAck(AppendAck(nil, a), "b")
		if err != nil || !reflect.DeepEqual(again, a) {
			t.Errorf("%q: %+v, again %+v, %v", body, a, again, err)
		}
	})
}
