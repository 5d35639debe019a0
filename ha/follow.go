package ha

import (
	"fmt"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// copier is the state machine of a slave, for one connection to its master.
type copier struct {
	opts     *SlaveOptions
	asm      assembler
	empty    bool              // the log has no byte yet
	reported message.PhyOffset // last told to the master

	lastRead, lastWrote time.Time
}

// step takes in an event and appends what is to be done to out. An effectClose
// is the last thing to do.
func (c *copier) step(e event, out []effect) []effect {
	switch e.kind {
	case connected:
		c.asm.fileSize = c.opts.FileSize
		c.asm.restart(e.end)
		c.empty, c.reported = e.end == 0, e.end
		c.lastRead, c.lastWrote = e.now, e.now
		return append(out, effect{kind: effectReport, offset: e.end})
	case framed:
		c.lastRead = e.now
		return c.frame(e, out)
	case arrived:
		c.lastRead = e.now
		err := c.asm.add(e.raw, func(at message.PhyOffset, raw []byte) error {
			out = append(out, effect{kind: effectAppend, offset: at, raw: raw})
			return nil
		})
		if err != nil {
			out = append(out, effect{kind: effectClose, err: err})
		}
	case applied:
		if e.end > c.reported {
			return c.report(e, out)
		}
	case ticked:
		if silent := e.now.Sub(c.lastRead); silent > c.opts.HousekeepingInterval {
			return append(out, effect{kind: effectClose, err: fmt.Errorf("the master was silent for %s", silent)})
		}
		if e.now.Sub(c.lastWrote) > c.opts.HeartbeatInterval {
			return c.report(e, out)
		}
	}
	return out
}

func (c *copier) report(e event, out []effect) []effect {
	c.reported, c.lastWrote = e.end, e.now
	return append(out, effect{kind: effectReport, offset: e.end})
}

// frame checks that the master goes on where the copy ends, in heartbeats too.
// Where an empty log begins is the master's to say.
func (c *copier) frame(e event, out []effect) []effect {
	if c.empty && len(c.asm.begun) == 0 {
		if int64(e.offset)%c.opts.FileSize != 0 {
			return append(out, effect{kind: effectClose, err: fmt.Errorf(
				"the master's log begins at %d, which is no file's start: is its mappedFileSizeCommitLog %d?", e.offset, c.opts.FileSize)})
		}
		c.empty = e.size == 0
		c.asm.restart(e.offset)
	}
	if e.offset != c.asm.next() {
		return append(out, effect{kind: effectClose, err: fmt.Errorf("the master goes on at %d, the copy ends at %d", e.offset, c.asm.next())})
	}
	return out
}
