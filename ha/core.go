package ha

import (
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// The replication core is two state machines, of a master (Leader) and of a
// slave (Copier), without goroutine, clock or socket: Step takes what happened
// and appends what is to be done to a list of effects. Who drives them has the
// sockets (master.go, slave.go), or is a simulator.

// ConnID names a connection of a master, never the same twice.
type ConnID int64

// InputKind says what happened.
type InputKind int

// What happens, and the fields of Input that it sets.
const (
	Connected    InputKind = iota // to a slave, or to the master: Conn
	Greeted                       // a hello came: Conn, Hello
	Reported                      // a report came: Conn, Offset, of the first Valid
	Grown                         // the log grew
	Sent                          // what DoSend asked for is written: Conn, Size, which is 0 of a heartbeat
	Waited                        // a put waits: Offset, Waiter
	Framed                        // a frame's header came: Offset, Size
	Arrived                       // a piece of a body came: Offset, Raw
	Landed                        // bytes of a body are in their place, behind those of the record begun: Raw is all of them
	Applied                       // what DoAppend or DoExtend asked for is in the log, as durable as it promises
	Ticked                        // time went by
	Disconnected                  // Conn
	Answered                      // with epochs: the master's greeting came: Epochs, Offset is the end of its log
	Ruled                         // with epochs: who decides on the in-sync set has: Members, SetEpoch
)

// Input is something that happened.
type Input struct {
	Kind InputKind
	Now  time.Time
	// Begin and End are of the log just now: of a master's what may be sent,
	// of a slave's all of it.
	Begin, End message.PhyOffset

	Conn   ConnID
	Hello  Hello
	Valid  bool // the slave's log ends with the bytes that ours has there
	Offset message.PhyOffset
	Size   int
	Raw    []byte
	Waiter Waiter

	Epoch    EpochEntry        // of a frame
	Confirm  message.PhyOffset // of a frame
	Epochs   Epochs
	Members  []int64 // broker ids, the master's own included
	SetEpoch int32
}

// EffectKind says what is to be done.
type EffectKind int

// What is to be done, and the fields of Effect that say how.
const (
	DoSend     EffectKind = iota // to Conn: the log from Offset, Size bytes at most in frames of Frame, none is a heartbeat; then Sent
	DoClose                      // Conn, for Err
	DoAnswer                     // Waiter: Err
	DoAppend                     // Raw at Offset; then Applied
	DoExtend                     // Size of the bytes that landed are the log's; then Applied
	DoReport                     // Offset to the master
	DoGreet                      // Conn is told of Epochs and Offset; then Sent with Size 0. Of a slave: it says who it is
	DoTruncate                   // the log is to end at Offset
	DoKeep                       // Epochs are to be durable before what follows
	DoConfirm                    // readers may see the log up to Offset
	DoPropose                    // who decides on the in-sync set is asked for Members in place of that of SetEpoch
)

// Effect is something to do.
type Effect struct {
	Kind   EffectKind
	Conn   ConnID
	Offset message.PhyOffset
	Size   int
	Frame  int    // bytes
	Raw    []byte // valid until the next Step
	Waiter Waiter
	Err    error

	Epoch    EpochEntry        // of what is sent
	Confirm  message.PhyOffset // told with it
	Epochs   Epochs
	Members  []int64
	SetEpoch int32
}
