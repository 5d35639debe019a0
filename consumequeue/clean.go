package consumequeue

import "github.com/rocketlog/rocketlog/message"

// Truncate cuts all units whose record lies beyond end. Before the log uses the
// offsets again, the caller takes back any claim of durability beyond end: the
// cut is durable with the next Sync(0), and until then only such a claim could
// make a unit of the past pass for a new one. A queue left without units starts
// anew.
func (s *Set) Truncate(end message.PhyOffset) error {
	defer s.alone()()
	if s.opts.ReadOnly {
		return ErrReadOnly
	}
	for _, q := range s.Queues() {
		if q.end() <= int64(end) {
			continue
		}
		if err := s.setMark(); err != nil {
			return err
		}
		if err := q.truncate(end); err != nil {
			return q.wrap(err) // what is cut but not cleared is cleared by the next write
		}
	}
	return nil
}

func (q *ConsumeQueue) truncate(end message.PhyOffset) error {
	q.io.Lock()
	defer q.io.Unlock()
	low, high := q.first(), q.max.Load()
	at, err := q.searchUnits(low, high, func(u Unit) bool { return !u.IsPlaceholder() && u.end() > end })
	if err != nil {
		return err
	}
	var last Unit
	if at > low {
		if last, err = q.unitAt(at - 1); err != nil {
			return err
		}
	}
	if !last.valid() {
		at, last = low, Unit{} // placeholders alone are no queue
	}
	q.cutAt(at, last)
	return q.clearStale()
}

// cutAt moves the end of the queue back to at, behind the unit last. Called
// with io held.
func (q *ConsumeQueue) cutAt(at int64, last Unit) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if at < q.written {
		q.staleEnd = max(q.staleEnd, q.written)
		q.written = at
		q.tail = q.tail[:0]
		q.last = last
	} else {
		q.tail = q.tail[:(at-q.written)*unitSize]
	}
	q.lastEnd = int64(last.end())
	q.synced = min(q.synced, q.written)
	if q.min.Load() >= at {
		q.min.Store(at)
		q.minPhy = -1 // whatever comes next there
	}
	q.max.Store(at)
	q.cuts++
	q.listLocked()
}

// CorrectMinOffset moves the minimum offset of each queue to its first unit
// whose record lies at or behind logMin, the start of the commit log; with none,
// to the end of the queue. Queues that need no correction cost no I/O.
func (s *Set) CorrectMinOffset(logMin message.PhyOffset) error {
	if s.logMin.Load() >= int64(logMin) {
		return nil
	}
	for _, q := range s.Queues() {
		if err := q.correctMin(logMin); err != nil {
			return q.wrap(err)
		}
	}
	s.logMin.Store(int64(logMin))
	return nil
}

func (q *ConsumeQueue) correctMin(logMin message.PhyOffset) error {
	logMin = max(logMin, 0) // an empty log has none
	q.mu.Lock()
	low, high, phy, lastEnd, cuts := q.min.Load(), q.max.Load(), q.minPhy, q.lastEnd, q.cuts
	q.mu.Unlock()
	if low == high || phy >= int64(logMin) {
		return nil
	}
	at := high // nothing is left if the last record is not
	if lastEnd > int64(logMin) {
		var err error
		if at, err = q.searchMin(low, high, logMin); err != nil {
			return err
		}
	}
	var u Unit
	if at < high {
		var err error
		if u, err = q.unitAt(at); err != nil {
			return err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.cuts == cuts {
		q.min.Store(at)
		q.minPhy = -1
		if u.valid() {
			q.minPhy = int64(u.Offset)
		}
	}
	return nil
}

// searchMin is a search by halves that tries the old minimum first: most often
// it is still right.
func (q *ConsumeQueue) searchMin(low, high int64, logMin message.PhyOffset) (int64, error) {
	kept := func(u Unit) bool { return !u.IsPlaceholder() && u.Offset >= logMin }
	u, err := q.unitAt(low)
	if err != nil || kept(u) {
		return low, err
	}
	return q.searchUnits(low+1, high, kept)
}

// DeleteExpired corrects the minimum offsets and removes files of which neither
// a unit nor the one behind has its record at or behind logMin. So the last file
// of a queue stays, and with it the end of the queue: as the log keeps what has
// not been claimed durable, the expired unit behind a removed file cannot get
// lost in a crash.
func (s *Set) DeleteExpired(logMin message.PhyOffset) (files int, err error) {
	if s.opts.ReadOnly {
		return 0, ErrReadOnly
	}
	if err := s.CorrectMinOffset(logMin); err != nil {
		return 0, err
	}
	for _, q := range s.Queues() {
		n, err := q.deleteExpired()
		files += n
		if err != nil {
			return files, q.wrap(err)
		}
	}
	return files, nil
}

func (q *ConsumeQueue) deleteExpired() (n int, err error) {
	for {
		f := q.takeExpired()
		if f == nil {
			return n, nil
		}
		if err := q.removeFile(f); err != nil {
			return n, err // found again by the next recovery
		}
		n++
	}
}

// takeExpired takes the first file out of the queue if it has expired.
func (q *ConsumeQueue) takeExpired() *file {
	if !q.firstExpired() {
		return nil
	}
	q.io.Lock()
	defer q.io.Unlock()
	if !q.firstExpired() {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.files[0]
	q.files = q.files[1:]
	return f
}

func (q *ConsumeQueue) firstExpired() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.files) > 1 && q.state == queueOpen && q.min.Load() > q.fileEnd(q.files[0])
}
