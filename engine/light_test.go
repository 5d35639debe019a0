package engine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

func withLight(o Options) Options {
	o.LightQueues = true
	return o
}

// light makes a message that names light queues.
func light(topic string, queue int32, key string, names ...string) *message.Message {
	m := newMessage(topic, queue, key, []byte("body of "+key))
	m.Properties = message.AppendProperty(m.Properties, message.PropertyWait, "true")
	if len(names) > 0 {
		m.Properties = message.AppendProperty(m.Properties, message.PropertyMultiDispatch, strings.Join(names, ","))
	}
	return m
}

func lightName(i int) string { return fmt.Sprintf("%%LMQ%%q%d", i) }

// putLight puts n random messages, each in some light queues, and returns what each queue then holds.
func putLight(t *testing.T, s *Store, rng *rand.Rand, n int, want map[string][]string) {
	t.Helper()
	for i := range n {
		var names []string
		for q := range 4 {
			if rng.IntN(3) == 0 {
				names = append(names, lightName(q))
			}
		}
		key := fmt.Sprintf("k%d-%d", rng.Uint32(), i)
		r := s.Put(light("Parent", rng.Int32N(2), key, names...))
		if r.Status != PutOK {
			t.Fatalf("message %d: %v: %v", i, r.Status, r.Err)
		}
		for _, name := range names {
			want[name] = append(want[name], key)
		}
	}
}

// holdsLight compares the light queues with what was put.
func holdsLight(t *testing.T, s *Store, want map[string][]string) {
	t.Helper()
	dispatched(t, s)
	for q := range 4 {
		bodies, _ := consume(t, s, lightName(q), message.LightQueueID)
		var got []string
		for _, b := range bodies {
			got = append(got, strings.TrimPrefix(string(b), "body of "))
		}
		if !slices.Equal(got, want[lightName(q)]) {
			t.Fatalf("%s has %d messages, want %d:\n%v\n%v", lightName(q), len(got), len(want[lightName(q)]), got, want[lightName(q)])
		}
	}
}

func checked(t *testing.T, dir string, opts Options) {
	t.Helper()
	r, err := Check(dir, &opts, nil)
	if err != nil || r.Found > 0 || r.Noted > 0 {
		t.Fatalf("check: %v %v %v", err, r.Problems, r.Notes)
	}
}

// A message counts in each light queue that it names, in the order of the log, over restarts and over the loss of a queue.
func TestLightQueues(t *testing.T) {
	dir, opts := t.TempDir(), withLight(small())
	rng := rand.New(rand.NewPCG(1, 2))
	want := map[string][]string{}
	for range 3 {
		s := open(t, dir, opts)
		holdsLight(t, s, want)
		putLight(t, s, rng, 150, want)
		holdsLight(t, s, want)
		must(t, s.Close())
		checked(t, dir, opts)
	}
	must(t, vfs.OS.RemoveAll(dir+"/consumequeue/"+lightName(1)))
	r, err := Check(dir, &opts, nil)
	if err != nil || r.Found+r.Noted == 0 {
		t.Fatalf("the check misses a light queue that is gone: %v", err)
	}
	s := open(t, dir, opts)
	holdsLight(t, s, want)
	must(t, s.Close())
	checked(t, dir, opts)
}

// The properties of a stored message say where it is in its light queues, as Java's do: whoever sends says nothing of it.
func TestLightProperties(t *testing.T) {
	s := open(t, t.TempDir(), withLight(small()))
	must(t, errors.Join(s.Put(light("Parent", 0, "k1", lightName(0))).Err, s.Put(light("Parent", 0, "k2", lightName(2), lightName(0), lightName(2))).Err))
	for i, c := range []struct {
		topic          string
		names, offsets string
	}{
		{"Parent", "%LMQ%q0,%LMQ%q2", "2,1"},
		{"Parent", "", ""},
		{"%RETRY%g", "%LMQ%q0", ""},
		{"%DLQ%g", "%LMQ%q0", ""},
		{"SCHEDULE_TOPIC_XXXX", "%LMQ%q0", ""},
		{"rmq_sys_wheel_timer", "%LMQ%q0", ""},
		{message.HalfTopic, "%LMQ%q0", ""},
	} {
		m := light(c.topic, 0, fmt.Sprint("m", i))
		m.Properties = message.AppendProperty(m.Properties, message.PropertyMultiQueueOffset, "77")
		if c.names != "" {
			m.Properties = message.AppendProperty(m.Properties, message.PropertyMultiDispatch, c.names)
		}
		r := s.Put(m)
		must(t, r.Err)
		ref, err := s.RecordAt(r.PhyOffset)
		must(t, err)
		got, ok := ref.Record().Properties().Get(message.PropertyMultiQueueOffset)
		if string(got) != c.offsets || ok != (c.offsets != "") {
			t.Errorf("%s for %q: offsets %q, want %q", c.topic, c.names, got, c.offsets)
		}
		_, wait := ref.Record().Properties().Get(message.PropertyWait)
		if wait != (c.offsets == "") {
			t.Errorf("%s for %q: WAIT is there: %t", c.topic, c.names, wait)
		}
		ref.Release()
	}
	dispatched(t, s)
	if got := s.MaxOffset(lightName(0), 0); got != 3 {
		t.Errorf("the light queue ends at %d", got)
	}
	if got := s.MaxOffset(lightName(2), 0); got != 2 {
		t.Errorf("the light queue that was named twice ends at %d", got)
	}
}

func TestLightRefusals(t *testing.T) {
	opts := withLight(small())
	opts.MaxLightQueues = 2
	dir := t.TempDir()
	s := open(t, dir, opts)
	for _, names := range []string{"other", "%LMQ%a,other", "%LMQ%a,,%LMQ%b", "%LMQ%a/b", "%LMQ%" + strings.Repeat("x", 300)} {
		if r := s.Put(light("Parent", 0, "k1", names)); r.Status != MessageIllegal || r.Err == nil {
			t.Errorf("%q: %v %v", names, r.Status, r.Err)
		}
	}
	must(t, s.Put(light("Parent", 0, "k1", lightName(0), lightName(1))).Err)
	if r := s.Put(light("Parent", 0, "k1", lightName(2))); r.Status != LMQConsumeQueueNumExceeded {
		t.Errorf("one light queue too many: %v %v", r.Status, r.Err)
	}
	item := message.AppendProperty(nil, message.PropertyMultiQueueOffset, "5")
	batch := message.AppendBatchItem(nil, 0, []byte("b"), item)
	m := newMessage("Parent", 0, "k1", nil)
	if r, _ := s.PutBatch(m, batch, nil); r.Status != MessageIllegal {
		t.Errorf("a batch that says where it is in light queues: %v", r.Status)
	}
	must(t, s.Close())
	s = open(t, dir, opts)
	if r := s.Put(light("Parent", 0, "k1", lightName(2))); r.Status != LMQConsumeQueueNumExceeded {
		t.Errorf("one light queue too many after a restart: %v %v", r.Status, r.Err)
	}
	must(t, s.DeleteTopic(lightName(0)))
	must(t, s.Put(light("Parent", 0, "k1", lightName(2))).Err)
}

// Without the switches a message with the properties is one as any other.
func TestLightQueuesOff(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small())
	must(t, s.Put(light("Parent", 0, "k1", lightName(0), "other")).Err)
	dispatched(t, s)
	if topics := s.Topics(); !slices.Equal(topics, []string{"Parent"}) {
		t.Errorf("topics %v", topics)
	}
	must(t, s.Close())
	checked(t, dir, small())
}

// Concurrent puts to the same light queues leave no gap and no double.
func TestLightQueuesConcurrently(t *testing.T) {
	dir, opts := t.TempDir(), withLight(small())
	s := open(t, dir, opts)
	var putters sync.WaitGroup
	for p := range 4 {
		putters.Go(func() {
			for i := range 100 {
				if r := s.Put(light("Parent", int32(p), fmt.Sprintf("k%d-%d", p, i), lightName(i%2), lightName(2))); r.Status != PutOK {
					t.Errorf("%v: %v", r.Status, r.Err)
				}
			}
		})
	}
	putters.Wait()
	dispatched(t, s)
	for q, want := range []int{200, 200, 400} {
		if bodies, _ := consume(t, s, lightName(q), 0); len(bodies) != want {
			t.Errorf("%s has %d messages, want %d", lightName(q), len(bodies), want)
		}
	}
	must(t, s.Close())
	checked(t, dir, opts)
}

// After a power loss the light queues hold what the log holds, each message of it once and in order.
func TestLightQueuesAfterPowerLoss(t *testing.T) {
	for seed := range uint64(12) {
		fs := vfs.NewCrashFS(seed)
		opts := withLight(small())
		opts.FS = fs
		if seed%2 == 0 {
			opts.FlushDiskType = SyncFlush
		}
		rng := rand.New(rand.NewPCG(seed, 5))
		s, err := Open("/store", &opts)
		must(t, err)
		putLight(t, s, rng, 60+rng.IntN(200), map[string][]string{})
		after := fs.Crash(rng.Uint64())
		s.Close() // writes into the void
		fs.Discard()
		opts.FS = after
		s, err = Open("/store", &opts)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		holdsLight(t, s, inLogOf(t, s))
		putLight(t, s, rng, 20, map[string][]string{})
		holdsLight(t, s, inLogOf(t, s))
		must(t, s.Close())
		checked(t, "/store", opts)
		after.Discard()
	}
}

// inLogOf reads the whole topic and returns what its light queues have to hold.
func inLogOf(t *testing.T, s *Store) map[string][]string {
	t.Helper()
	dispatched(t, s)
	type place struct {
		at   message.PhyOffset
		name string
		key  string
	}
	var places []place
	for queue := range int32(2) {
		for off := s.MinOffset("Parent", queue); off < s.MaxOffset("Parent", queue); off++ {
			ref, err := s.RecordAtQueue("Parent", queue, off)
			must(t, err)
			r := ref.Record()
			names, _ := r.Properties().Get(message.PropertyMultiDispatch)
			for name := range message.LightQueueNames(names) {
				if len(name) > 0 {
					places = append(places, place{r.PhyOffset(), string(name), strings.TrimPrefix(string(r.Body()), "body of ")})
				}
			}
			ref.Release()
		}
	}
	slices.SortStableFunc(places, func(a, b place) int { return int(a.at - b.at) })
	want := map[string][]string{}
	for _, p := range places {
		want[p.name] = append(want[p.name], p.key)
	}
	return want
}

// A scrub puts an entry of a light queue right that was damaged, and a damaged light queue is built again.
func TestScrubOfLightQueues(t *testing.T) {
	dir := t.TempDir()
	var faults faultList
	opts := withLight(small())
	opts.Listener, opts.ScrubBytesPerSecond = faults.listener(), -1
	s := open(t, dir, opts)
	want := map[string][]string{}
	putLight(t, s, rand.New(rand.NewPCG(3, 4)), 150, want)
	holdsLight(t, s, want)
	if found := scrubbed(t, s, &faults); len(found) > 0 {
		t.Fatalf("faults in a store without: %v", found)
	}
	must(t, s.Close())
	s = open(t, dir, opts)
	q := s.queues.Queue(lightName(3), 0)
	path, at := q.Place(5)
	flip(t, path, at+3)
	if found := scrubbed(t, s, &faults); len(found) != 1 || !found[0].Mended {
		t.Fatalf("the scrub found %v", found)
	}
	holdsLight(t, s, want)
	key := consumequeue.Key{Topic: lightName(2), QueueID: 0}
	must(t, s.onDispatcher(func() error {
		gap, err := s.rebuildQueue(key, s.ReputOffset(), errors.New("test"))
		if gap {
			err = errors.Join(err, errors.New("the log has a gap"))
		}
		return err
	}))
	holdsLight(t, s, want)
}

// The light queues that a Java broker made are what we would make of its log, and go on.
func TestGoldenLightQueues(t *testing.T) {
	man := golden.Manifest(t, golden.Ext)
	s := open(t, golden.Store(t, golden.Ext), withLight(javaOptions(man)))
	seen := 0
	for _, q := range s.queues.Queues() {
		key := q.Key()
		if !message.IsLightQueue(key.Topic) {
			continue
		}
		seen++
		want := unitsOf(t, q)
		must(t, s.onDispatcher(func() error {
			_, err := s.rebuildQueue(key, s.ReputOffset(), errors.New("test"))
			return err
		}))
		if got := unitsOf(t, s.queues.Queue(key.Topic, key.QueueID)); len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%v is\n%v, Java's\n%v", key, got, want)
		}
		must(t, s.Put(light("AfterJava", 0, "k1", key.Topic)).Err)
		dispatched(t, s)
		if got := s.MaxOffset(key.Topic, key.QueueID); int(got) != len(want)+1 {
			t.Errorf("%v ends at %d after %d and one more", key, got, len(want))
		}
	}
	if seen == 0 {
		t.Fatal("the store has no light queue")
	}
}

func unitsOf(t *testing.T, q *consumequeue.ConsumeQueue) (all []consumequeue.Unit) {
	t.Helper()
	for at := q.MinOffset(); at < q.MaxOffset(); {
		var units [16]consumequeue.Unit
		n, err := q.Read(at, units[:])
		must(t, err)
		all = append(all, units[:n]...)
		at += message.QueueOffset(n)
	}
	return all
}
