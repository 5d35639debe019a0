package ha

import (
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// The replication core is two state machines, of a master and of a slave,
// without goroutine, clock or socket: step takes an event and appends what is
// to be done to a list of effects. Who drives them has the sockets (master.go,
// slave.go) or is a simulator.

// connID names a connection of a master, never the same twice.
type connID int64

type eventKind int

const (
	connected    eventKind = iota // to a slave: conn; to the master: end
	greeted                       // hello came: conn, hello, valid
	reported                      // a report came: conn, offset; the first: valid
	grown                         // the log grew
	sent                          // what effectSend asked for is written: conn, size; or size 0
	waited                        // a put waits: offset, waiter
	framed                        // a frame's header came: offset, size
	arrived                       // a piece of a body came: offset, raw
	applied                       // what effectAppend asked for is in the log: end
	ticked                        // time went by
	disconnected                  // conn
)

// event is something that happened. Every event tells the time and how far the
// log reaches just now.
type event struct {
	kind       eventKind
	now        time.Time
	begin, end message.PhyOffset // of the log: of a master's what may be sent, of a slave's all of it

	conn   connID
	hello  hello
	valid  bool // reported: the slave's log is known not to differ from ours
	offset message.PhyOffset
	size   int
	raw    []byte
	waiter Waiter
}

type effectKind int

const (
	effectSend   effectKind = iota // to conn: the log from offset, size bytes at most; none is a heartbeat
	effectClose                    // conn, for err
	effectAnswer                   // waiter: err
	effectAppend                   // raw at offset; then event applied
	effectReport                   // offset to the master
)

// effect is something to do.
type effect struct {
	kind   effectKind
	conn   connID
	offset message.PhyOffset
	size   int
	raw    []byte // valid until the next event
	waiter Waiter
	err    error
}
