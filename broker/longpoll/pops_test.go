package longpoll

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/rocketlog/rocketlog/broker/filter"
	"github.com/rocketlog/rocketlog/broker/pop"
	"github.com/rocketlog/rocketlog/message"
)

func newPop(topic, group string, queue int32, owner any) (*Pop, *recorder) {
	r := new(recorder)
	return &Pop{Group: group, Request: Request{Topic: topic, Queue: queue, Until: time.Now().Add(time.Minute), Owner: owner, Waiter: r}}, r
}

// wantWoken checks how many of the waiters were woken.
func wantWoken(t *testing.T, what string, want int, all ...*recorder) {
	t.Helper()
	synctest.Wait()
	woken := 0
	for _, r := range all {
		n, freed, _ := r.ended()
		woken += n
		if n+freed > 1 {
			t.Errorf("%s: a pop ended %d times", what, n+freed)
		}
	}
	if woken != want {
		t.Errorf("%s: %d of %d were woken, want %d", what, woken, len(all), want)
	}
}

// One message wakes one pop of each group, the first that came; so does one that comes again.
func TestPopsOfAGroupShareArrivals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewPops(100, 10, time.Now)
		defer table.Close()
		var g, other []*recorder
		for range 3 {
			p, r := newPop("t", "g", pop.WholeTopic, 1)
			q, s := newPop("t", "other", 0, 2)
			if !table.Hold(p) || !table.Hold(q) {
				t.Fatal("not held")
			}
			g, other = append(g, r), append(other, s)
		}
		table.Arrived("t", 1, 0, nil) // the other group waits at queue 0
		wantWoken(t, "a message of queue 1", 1, g...)
		wantWoken(t, "the first that came", 1, g[0])
		wantWoken(t, "a message of queue 1", 0, other...)
		table.Arrived("t", 0, 0, nil)
		wantWoken(t, "a message of queue 0", 2, g...)
		wantWoken(t, "a message of queue 0", 1, other...)
		table.Arrived(pop.RetryTopicV1("t", "other"), 0, 0, nil)
		table.Arrived(pop.RetryTopicV2("t", "other"), 0, 0, nil)
		wantWoken(t, "messages that come again", 3, other...)
		wantWoken(t, "messages that come again to another group", 2, g...)
		table.WakeGroup("t", "g", 5)
		wantWoken(t, "something for the group", 3, g...)
		if table.Len() != 0 || len(table.topics) != 0 || len(table.retry) != 0 || len(table.owners) != 0 {
			t.Error("something is left in the table")
		}
	})
}

// A pop that does not want a message leaves it to the one behind it.
func TestPopsAreWokenByWhatTheyWant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewPops(100, 10, time.Now)
		defer table.Close()
		e, err := filter.Compile("TAG", "B")
		if err != nil {
			t.Fatal(err)
		}
		first, r := newPop("t", "g", 0, 1)
		first.Filter = e
		second, s := newPop("t", "g", 0, 1)
		table.Hold(first)
		table.Hold(second)
		table.Arrived("t", 0, message.TagsCode([]byte("A")), message.Record{})
		wantWoken(t, "a message of another tag", 0, r)
		wantWoken(t, "a message of another tag", 1, s)
		table.Recheck(first)
		table.Recheck(first)
		wantWoken(t, "recheck", 1, r)
	})
}

func TestPopsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewPops(4, 1, time.Now)
		held := 0
		for i := range 5 {
			if p, _ := newPop("t", "g", int32(i/3), i); table.Hold(p) {
				held++
			}
		}
		if held != 4 || table.Waiting("t", "g", 0)+table.Waiting("t", "g", 1) != 4 || table.Waiting("t", "g", 0) > 2 {
			t.Errorf("%d are held, %d and %d at the queues", held, table.Waiting("t", "g", 0), table.Waiting("t", "g", 1))
		}
		table.Drop(0)
		if n := table.Len(); n != 3 {
			t.Errorf("%d are held when one is gone", n)
		}
		table.Close()
		if p, _ := newPop("t", "g", 0, 9); table.Hold(p) {
			t.Error("held by a closed table")
		}
	})
}
