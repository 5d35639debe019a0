package transaction

import (
	"errors"
	"math"
	"strconv"

	"github.com/rocketlog/rocketlog/message"
)

// Half is what decisions need to know of a half message. Its texts are borrowed from the record.
type Half struct {
	Offset message.QueueOffset // in the half queue
	First  message.QueueOffset // of the half message that the producer sent; its own unless this is a copy
	Born   int64               // ms, by the producer's clock
	Stored int64               // ms

	Checks      int32 // times it was checked
	Immune      bool  // it says itself from when on it may be checked
	ImmunityMs  int64 // after Born; below zero: as all others
	Group       []byte
	UniqueKey   []byte
	RealTopic   []byte
	RealQueueID int32
}

// ErrHalf says that a half message does not say what it becomes when it is committed.
var ErrHalf = errors.New("transaction: half message has no real topic or queue")

// ParseHalf reads a half message. With ErrHalf all but where it is meant for is valid.
func ParseHalf(r message.Record) (h Half, err error) {
	h = Half{Offset: r.QueueOffset(), First: r.QueueOffset(), Born: r.BornTimestamp(), Stored: r.StoreTimestamp(), RealQueueID: -1}
	for name, value := range r.Properties().All() {
		switch string(name) {
		case message.PropertyProducerGroup:
			h.Group = value
		case message.PropertyUniqueKey:
			h.UniqueKey = value
		case message.PropertyRealTopic:
			h.RealTopic = value
		case message.PropertyRealQueueID:
			h.RealQueueID = int32(number(value, 0, math.MaxInt32, -1))
		case message.PropertyTransactionCheckTimes:
			h.Checks = int32(number(value, 0, math.MaxInt32, 0))
		case message.PropertyCheckImmunityTime:
			h.Immune = true
			h.ImmunityMs = number(value, 0, math.MaxInt64/1000, -1)
			if h.ImmunityMs > 0 {
				h.ImmunityMs *= 1000
			}
		case message.PropertyPreparedQueueOffset:
			h.First = message.QueueOffset(number(value, 0, math.MaxInt64, int64(h.Offset)))
		}
	}
	if h.First > h.Offset {
		h.First = h.Offset // no copy comes before what it is of
	}
	if len(h.RealTopic) == 0 || h.RealQueueID < 0 {
		return h, ErrHalf
	}
	return h, nil
}

// number reads a number within bounds; what is none is other.
func number(text []byte, low, high, other int64) int64 {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < low || n > high {
		return other
	}
	return n
}

// Policy are the times and limits of checks. Times are in ms.
type Policy struct {
	Timeout  int64 // from when on a half message is checked (transactionTimeOut)
	CheckMax int32 // checks after which it is given up (transactionCheckMax)
	Keep     int64 // age at which it is given up anyhow (fileReservedTime)
}

// Action is what to do with a pending half message.
type Action int

// The actions.
const (
	Wait    Action = iota // nothing yet
	Check                 // copy it to the end of the queue and ask its producer about the copy
	Discard               // give it up, as a message of the topic of those
)

// Decide says what to do at now with a half message that is pending.
func (p Policy) Decide(h *Half, now int64) Action {
	if h.Checks >= p.CheckMax || now-h.Born > p.Keep {
		return Discard
	}
	immunity := p.Timeout
	if h.Immune && h.ImmunityMs >= 0 {
		immunity = h.ImmunityMs
	}
	if now-min(h.Born, h.Stored) <= immunity { // a producer whose clock is ahead is not asked at once, as Java does
		return Wait
	}
	return Check
}

// Late reports whether an end that the producer sends unasked comes too late for a half message that has an immunity of its
// own: it must wait for the check (Java: EndTransactionProcessor.rejectCommitOrRollback).
func (p Policy) Late(h *Half, now int64) bool {
	return h.Immune && now-h.Born > max(h.ImmunityMs, p.Timeout)
}
