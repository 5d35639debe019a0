package metamorphic

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Kind says what an operation does.
type Kind uint8

// The operations.
const (
	Put     Kind = iota // one message
	Stream              // many, one after the other, their answers awaited together
	Race                // many, by several goroutines at once
	Batch               // many in one piece
	Get                 // some messages of a queue
	Query               // all messages with a key
	Flush               // makes all durable
	Restart             // stops the store and opens it again
	Crash               // power loss
	Kill                // end of the process
	Clean               // deletes what retention allows
	Advance             // lets time pass
	Turn                // sets the clock, forward or back
	Fill                // leaves the disk a little space only
	Empty               // gives it space again
	kinds
)

var kindNames = [kinds]string{"put", "stream", "race", "batch", "get", "query", "flush", "restart", "crash", "kill", "clean",
	"advance", "turn", "fill", "empty"}

// String is the name of the operation, in lower case.
func (k Kind) String() string { return kindNames[k] }

// Op is one operation. N and Rand choose among what there is when it runs, so
// that it means something in every part of a history.
type Op struct {
	Number int // in the history as it was drawn
	Kind   Kind
	Queue  int
	Key    int
	N      int // messages, or what else is counted
	Size   int // of a body at most
	Wait   bool
	Rand   uint64
}

// String tells the operation in a line.
func (o Op) String() string {
	switch o.Kind {
	case Put:
		return fmt.Sprintf("%d put queue=%d key=%d size=%d wait=%v", o.Number, o.Queue, o.Key, o.Size, o.Wait)
	case Stream, Race, Batch:
		return fmt.Sprintf("%d %v queue=%d.. n=%d size<=%d wait=%v", o.Number, o.Kind, o.Queue, o.N, o.Size, o.Wait)
	case Get:
		return fmt.Sprintf("%d get queue=%d at=%d/1000 max=%d", o.Number, o.Queue, o.Rand%1000, o.N)
	case Query:
		return fmt.Sprintf("%d query queue=%d key=%d", o.Number, o.Queue, o.Key)
	case Advance:
		return fmt.Sprintf("%d advance %v", o.Number, o.pause())
	case Turn:
		return fmt.Sprintf("%d turn the clock by %v", o.Number, o.turn())
	case Fill:
		return fmt.Sprintf("%d fill but for %d KiB", o.Number, 4*o.N)
	case Crash, Kill, Restart:
		return fmt.Sprintf("%d %v (%d)", o.Number, o.Kind, o.Rand%1000)
	}
	return fmt.Sprintf("%d %v", o.Number, o.Kind)
}

// pause is how long an Advance takes.
func (o Op) pause() time.Duration {
	pauses := [...]time.Duration{50 * time.Microsecond, time.Millisecond, 20 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second}
	return pauses[o.Rand%uint64(len(pauses))]
}

// turn is how far a Turn sets the clock.
func (o Op) turn() time.Duration {
	turns := [...]time.Duration{time.Hour, 5 * time.Hour, 25 * time.Hour, 80 * time.Hour, -time.Hour}
	return turns[o.Rand%uint64(len(turns))]
}

// weights say how often each operation comes in a history.
type weights [kinds]int

var (
	// calm histories lose nothing, so that all option sets must answer alike.
	calm = weights{Put: 20, Stream: 10, Race: 6, Batch: 8, Get: 20, Query: 10, Flush: 4, Restart: 5, Advance: 8, Turn: 1}
	// rough ones have everything.
	rough = weights{Put: 20, Stream: 10, Race: 6, Batch: 8, Get: 12, Query: 6, Flush: 4, Restart: 4, Crash: 4, Kill: 4, Clean: 4,
		Advance: 8, Turn: 2, Fill: 2, Empty: 3}
	// those of the crash campaign have few reads: each image is read as a whole.
	crashing = weights{Put: 20, Stream: 10, Race: 5, Batch: 8, Get: 2, Query: 1, Flush: 4, Restart: 4, Crash: 2, Kill: 2, Clean: 3,
		Advance: 8, Turn: 1, Fill: 1, Empty: 2}
)

func (w *weights) draw(rng *rand.Rand) Kind {
	sum := 0
	for _, n := range w {
		sum += n
	}
	at := rng.IntN(sum)
	for k, n := range w {
		if at -= n; at < 0 {
			return Kind(k)
		}
	}
	panic("metamorphic: weights that do not sum up")
}

// History is a list of operations on a number of queues.
type History struct {
	Seed   uint64
	Queues int
	Ops    []Op
	calm   bool
}

// keysPerTopic is how many keys the messages of a history share.
const keysPerTopic = 12

// newHistory draws the history of a seed.
func newHistory(seed uint64, crashes bool) History {
	rng := rand.New(rand.NewPCG(seed, 1))
	h := History{Seed: seed, Queues: []int{1, 2, 5, 12, 40}[rng.IntN(5)]}
	w := &rough
	switch {
	case crashes:
		w = &crashing
	case rng.IntN(2) == 0:
		w, h.calm = &calm, true
	}
	sizes := []int{20, 200, 1000, 3000}
	for i := range 10 + rng.IntN(40) {
		h.Ops = append(h.Ops, Op{
			Number: i, Kind: w.draw(rng), Queue: rng.IntN(h.Queues), Key: rng.IntN(keysPerTopic), N: 1 + rng.IntN(12),
			Size: 1 + rng.IntN(sizes[rng.IntN(len(sizes))]), Wait: rng.IntN(5) > 0, Rand: rng.Uint64(),
		})
	}
	return h
}

// only returns the part of the history that has the operations of these numbers.
func (h History) only(numbers []int) History {
	part := h
	part.Ops = nil
	for _, n := range numbers {
		if n >= 0 && n < len(h.Ops) {
			part.Ops = append(part.Ops, h.Ops[n])
		}
	}
	return part
}
