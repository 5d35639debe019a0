package metamorphic

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing/synctest"
	"time"

	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
)

// view is a store that is looked at.
type view struct {
	*engine.Store
	queues   int
	fileSize message.PhyOffset // of the log
	indexed  bool
}

// settle waits until all that was confirmed is dispatched.
func settle(s *engine.Store) error {
	for range 20_000 {
		synctest.Wait()
		if s.ReputOffset() >= s.ConfirmOffset() {
			return nil
		}
		time.Sleep(time.Millisecond) // the dispatcher pauses while it is busy, or stalled
	}
	return fmt.Errorf("dispatched to %d of %d and no further: %v", s.ReputOffset(), s.ConfirmOffset(), s.Writable())
}

// survivors finds which messages a store holds that was opened after a crash,
// and what must hold of them: nothing is missing below promised, there is
// nothing that nobody put, and what was lost is lost from the end.
func (s view) survivors(k *known, promised message.PhyOffset) ([]sent, error) {
	if err := settle(s.Store); err != nil {
		return nil, err
	}
	end := s.MaxPhyOffset()
	// A blank may be passed or overwritten: where the next file is missing, the
	// log ends before the blank.
	if end < promised && (s.nextFile(end) != promised || k.acknowledged(end, promised)) {
		return nil, fmt.Errorf("the log ends at %d, up to %d was promised to survive", end, promised)
	}
	if s.ConfirmOffset() != end {
		return nil, fmt.Errorf("the log ends at %d after recovery, but only up to %d can be read", end, s.ConfirmOffset())
	}
	alive := slices.Clone(k.log)
	for len(alive) > 0 && alive[len(alive)-1].end() > end {
		alive = alive[:len(alive)-1]
	}
	flying := map[string]sent{}
	for _, f := range k.flying {
		flying[uniqueName(f.id)] = f
	}
	for q, answered := range byQueue(alive, s.queues, end) {
		max := s.MaxOffset(topicOf(q), idOf(q))
		for at := message.QueueOffset(0); at < max; at++ {
			if len(answered) > 0 && answered[0].offset == at {
				answered = answered[1:]
				continue
			}
			m, err := s.landed(q, at, flying)
			if err != nil {
				return nil, err
			}
			alive = append(alive, m)
		}
		if len(answered) > 0 {
			return nil, fmt.Errorf("%s queue %d ends at %d, its log has message %d", topicOf(q), idOf(q), max, answered[0].offset)
		}
	}
	slices.SortFunc(alive, func(a, b sent) int { return cmp.Compare(a.phy, b.phy) })
	return alive, s.accounted(alive)
}

// landed is a message that was never answered and is there nevertheless.
func (s view) landed(queue int, at message.QueueOffset, flying map[string]sent) (sent, error) {
	ref, err := s.RecordAtQueue(topicOf(queue), idOf(queue), at)
	if err != nil {
		return sent{}, fmt.Errorf("%s queue %d offset %d: %w", topicOf(queue), idOf(queue), at, err)
	}
	defer ref.Release()
	r := ref.Record()
	unique, _ := r.Properties().Get(message.PropertyUniqueKey)
	m, ok := flying[string(unique)]
	if !ok || m.queue != queue {
		return m, fmt.Errorf("%s queue %d offset %d, place %d: nobody can have put message %q there", topicOf(queue), idOf(queue), at, r.PhyOffset(), unique)
	}
	delete(flying, string(unique))
	m.phy, m.offset, m.time, m.record = r.PhyOffset(), r.QueueOffset(), r.StoreTimestamp(), int32(len(r))
	return m, nil
}

// accounted proves that messages lie in the log back to back, but for the rest
// of each file, and that there is nothing else.
func (s view) accounted(log []sent) error {
	min := s.MinPhyOffset()
	at := min
	for _, m := range log {
		if m.phy < min {
			continue
		}
		if m.phy != at && m.phy != s.nextFile(at) {
			return fmt.Errorf("message %s lies at %d of the log, the one before ends at %d", uniqueName(m.id), m.phy, at)
		}
		at = m.end()
	}
	if end := s.MaxPhyOffset(); end != at && end != s.nextFile(at) {
		return fmt.Errorf("the log ends at %d, its last message at %d", end, at)
	}
	return nil
}

// nextFile is where the file ends that holds off.
func (s view) nextFile(off message.PhyOffset) message.PhyOffset {
	return off - off%s.fileSize + s.fileSize
}

// agree proves that queues, index and log of a store hold the messages of log
// that can be read, all of them from min on, and no others.
func (s view) agree(log []sent, min message.PhyOffset) error {
	end := s.ConfirmOffset()
	scratch := make([]byte, 0, 4096)
	for q, all := range byQueue(log, s.queues, end) {
		if err := s.queueAgrees(q, all, min, scratch); err != nil {
			return err
		}
	}
	if !s.indexed {
		return nil
	}
	type topicKey struct{ topic, key int }
	want := map[topicKey][]message.PhyOffset{}
	for _, m := range log {
		if m.end() <= end && m.phy >= min {
			k := topicKey{m.queue % topics, m.key}
			want[k] = append(want[k], m.phy)
		}
	}
	for k, places := range want {
		if err := s.keyAgrees(k.topic, keyName(k.key), places, min); err != nil {
			return err
		}
	}
	for i := range log { // the unique keys of a few
		if m := &log[i]; i%7 == 3 && m.end() <= end && m.phy >= min {
			if err := s.keyAgrees(m.queue%topics, uniqueName(m.id), []message.PhyOffset{m.phy}, min); err != nil {
				return err
			}
		}
	}
	return nil
}

// queueAgrees reads a queue from its first message at or behind min.
func (s view) queueAgrees(q int, all []sent, min message.PhyOffset, scratch []byte) error {
	topic, id := topicOf(q), idOf(q)
	where := func(err error) error { return fmt.Errorf("%s queue %d: %w", topic, id, err) }
	if max := s.MaxOffset(topic, id); int(max) != len(all) {
		return where(fmt.Errorf("it ends at %d, want %d", max, len(all)))
	}
	first := 0
	for first < len(all) && all[first].phy < min {
		first++
	}
	if first == len(all) {
		return nil
	}
	if at := s.MinOffset(topic, id); int(at) > first {
		return where(fmt.Errorf("it begins at %d, message %d is still in the log", at, first))
	}
	var res engine.GetResult
	defer res.Release()
	for first < len(all) {
		s.Get(&engine.GetRequest{Topic: topic, QueueID: id, Offset: message.QueueOffset(first), MaxMsgs: 32}, &res)
		n, err := gotAgrees(&res, all[first:], 32, scratch)
		if err != nil {
			return where(fmt.Errorf("from %d: %w", first, err))
		}
		first += n
	}
	return nil
}

// gotAgrees proves that a get found the first of want, as many as it may, and
// returns how many.
func gotAgrees(res *engine.GetResult, want []sent, max int, scratch []byte) (int, error) {
	n := min(len(want), max, 32)
	if res.Status != engine.Found || res.Count != n {
		return 0, fmt.Errorf("%v with %d messages, want %d", res.Status, res.Count, n)
	}
	i := 0
	for _, segment := range res.Segments {
		for len(segment) > 0 {
			r, err := message.ParseRecord(segment)
			if err != nil {
				return 0, err
			}
			if i == n {
				return 0, errors.New("it has more messages than it counts")
			}
			if err := want[i].same(r, scratch); err != nil {
				return 0, fmt.Errorf("message %d: %w", i, err)
			}
			segment = segment[len(r):]
			i++
		}
	}
	if i != n || int(res.NextOffset) != int(want[0].offset)+n {
		return 0, fmt.Errorf("%d messages for a count of %d, next offset %d after %d", i, n, res.NextOffset, want[0].offset)
	}
	return n, nil
}

// queryLimit is the most that a query returns.
const queryLimit = 64

// keyAgrees proves that a key finds the messages that have it, and no others.
func (s view) keyAgrees(topic int, key string, want []message.PhyOffset, min message.PhyOffset) error {
	found, err := s.QueryByKey("Topic"+strconv.Itoa(topic), key, queryLimit, 0, 1<<60)
	if err != nil {
		return err
	}
	got := slices.DeleteFunc(found.Offsets, func(phy message.PhyOffset) bool { return phy < min })
	if len(want) > queryLimit {
		want = want[len(want)-queryLimit:]
	}
	if len(found.Offsets) < queryLimit && !slices.Equal(got, want) {
		return fmt.Errorf("key %s of Topic%d finds %v, want %v", key, topic, got, want)
	}
	return nil
}
