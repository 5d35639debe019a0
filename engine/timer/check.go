package timer

import (
	"errors"
	"fmt"
)

// Check proves the timer's files against invariants 2 and 3: every unit and every slot that is still to be delivered. The
// timer must not run: it is for tools, and tests.
func (t *Timer) Check() error {
	defer t.log.release()
	var errs []error
	fault := func(pos int64, format string, args ...any) {
		if len(errs) < 100 {
			errs = append(errs, &CorruptError{File: t.log.dir, Offset: pos, Reason: fmt.Sprintf(format, args...)})
		}
	}
	last := map[int64]int64{} // of a slot, the newest unit
	_, err := t.log.walk(0, func(pos int64, u unit) bool {
		time := u.due() / t.opts.Precision
		if before, ok := last[time]; ok && u.prev != before && u.prev >= t.log.queue.MinOffset() {
			fault(pos, "the unit comes after that at %d and names that at %d", before, u.prev)
		}
		if time >= t.state.readTime/t.opts.Precision {
			last[time] = pos
		}
		return true
	})
	errs = append(errs, err)
	t.wheel.each(t.state.readTime/t.opts.Precision, func(s slot) slot {
		if at, ok := last[s.time]; !ok || at != s.last {
			fault(s.last, "slot %d ends there, in the log it ends at %d", s.time, at)
		}
		if s.first < 0 || s.first > s.last {
			fault(s.first, "slot %d begins there and ends at %d", s.time, s.last)
		}
		delete(last, s.time)
		return s
	}, nil)
	for time, pos := range last {
		fault(pos, "slot %d does not know of the unit", time)
	}
	return errors.Join(errs...)
}
