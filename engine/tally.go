package engine

import (
	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// TallyRequest asks how many messages of a stretch of a queue a filter takes.
type TallyRequest struct {
	Topic    string
	QueueID  int32
	From, To message.QueueOffset
	Filter   Filter // nil takes all
	// ByRecord says that the filter decides by the record, not by the entry alone.
	ByRecord bool
	// FirstOnly ends the count behind the first message taken.
	FirstOnly bool
	// Entries and Records bound how much is looked at.
	Entries, Records int
}

// Tally is what was counted: all from TallyRequest.From up to Next.
type Tally struct {
	Next             message.QueueOffset
	Messages, Bytes  int64
	First            message.QueueOffset // of the messages taken, -1 without one
	Entries, Records int                 // looked at
}

// tallyUnits is how many entries are read at once.
const tallyUnits = 512

// Tally counts messages of a queue without giving them out. A message that is gone, or whose record cannot be
// read, counts as one that is not taken; the error is that of the queue itself.
func (s *Store) Tally(req *TallyRequest) (t Tally, err error) {
	t.Next, t.First = req.From, -1
	q := s.queues.Queue(req.Topic, req.QueueID)
	if q == nil {
		t.Next = max(req.From, req.To)
		return t, nil
	}
	t.Next = max(req.From, q.MinOffset())
	to := min(req.To, q.MaxOffset())
	err = vfs.Guarded(func() error { return s.tally(q, req, &t, to) })
	return t, err
}

func (s *Store) tally(q *consumequeue.ConsumeQueue, req *TallyRequest, t *Tally, to message.QueueOffset) error {
	var units [tallyUnits]consumequeue.Unit
	for t.Next < to && t.Entries < req.Entries {
		most := min(int64(to-t.Next), int64(req.Entries-t.Entries), tallyUnits)
		n, err := q.Read(t.Next, units[:most])
		if err != nil || n == 0 {
			return err
		}
		for _, u := range units[:n] {
			taken := req.Filter == nil || req.Filter.MatchTags(u.TagsCode)
			if taken && req.ByRecord {
				if t.Records >= req.Records {
					return nil
				}
				t.Records++
				taken = s.takes(req.Filter, u)
			}
			t.Entries++
			t.Next++
			if !taken {
				continue
			}
			t.Messages++
			t.Bytes += int64(u.Size)
			if t.First < 0 {
				t.First = t.Next - 1
			}
			if req.FirstOnly {
				return nil
			}
		}
	}
	return nil
}

// takes asks a filter about the record of an entry.
func (s *Store) takes(f Filter, u consumequeue.Unit) bool {
	ref, err := s.RecordAt(u.Offset)
	if err != nil {
		return false
	}
	defer ref.Release()
	return f.MatchRecord(ref.Record())
}
