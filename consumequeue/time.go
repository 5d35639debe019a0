package consumequeue

import "github.com/rocketlog/rocketlog/message"

// Boundary is the side from which OffsetByTime looks at a time.
type Boundary uint8

// The boundaries, as Java's BoundaryType.
const (
	Lower Boundary = iota // the first unit stored at that time or later
	Upper                 // the last unit stored at that time or earlier
)

// OffsetByTime returns the offset for a store time in milliseconds. Lower is
// the first unit with that time or a later one, the end of the queue if there
// is none; Upper the last unit with that time or an earlier one, the minimum
// offset if there is none. The answer lies within [MinOffset, MaxOffset].
//
// storeTime looks up the time of a unit's record. A unit for which it knows
// none counts as older than any: the log has dropped its record meanwhile.
func (q *ConsumeQueue) OffsetByTime(t int64, b Boundary, storeTime func(Unit) (ms int64, ok bool)) (message.QueueOffset, error) {
	low, high := q.min.Load(), q.max.Load()
	at, err := q.searchUnits(low, high, func(u Unit) bool {
		ms, ok := storeTime(u)
		return ok && (ms > t || b == Lower && ms == t)
	})
	if err != nil {
		return 0, err
	}
	if b == Upper && at > low {
		at-- // the one before the first that is later
	}
	return message.QueueOffset(at), nil
}
