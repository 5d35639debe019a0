package ha

import (
	"fmt"
	"time"

	"github.com/rocketlog/rocketlog/message"
)

// Copier is the state machine of a slave, for one connection to its master.
type Copier struct {
	opts     *SlaveOptions
	asm      assembler
	empty    bool              // the log has no byte yet
	reported message.PhyOffset // last told to the master
	subject  *subject          // nil in the classic protocol

	lastRead, lastWrote time.Time
}

// NewCopier returns the slave's side of a new connection; the defaults of opts
// must be set.
func NewCopier(opts *SlaveOptions) *Copier { return &Copier{opts: opts} }

// NewSwitchCopier is NewCopier with the epochs of the log.
func NewSwitchCopier(opts *SlaveOptions, epochs Epochs) *Copier {
	return &Copier{opts: opts, subject: &subject{epochs: epochs}}
}

// Step takes in an event and appends what is to be done to out. An DoClose
// is the last thing to do.
func (c *Copier) Step(e Input, out []Effect) []Effect {
	switch e.Kind {
	case Connected:
		c.asm.fileSize = c.opts.FileSize
		c.asm.restart(e.End)
		c.empty, c.reported = e.End == 0, e.End
		c.lastRead, c.lastWrote = e.Now, e.Now
		if c.subject != nil {
			return append(out, Effect{Kind: DoGreet})
		}
		return append(out, Effect{Kind: DoReport, Offset: e.End})
	case Answered:
		c.lastRead = e.Now
		return c.submit(e, out)
	case Framed:
		c.lastRead = e.Now
		if c.subject != nil {
			return c.switchFrame(e, out)
		}
		return c.frame(e, out)
	case Arrived:
		c.lastRead = e.Now
		err := c.asm.add(e.Raw, func(at message.PhyOffset, raw []byte) error {
			out = append(out, Effect{Kind: DoAppend, Offset: at, Raw: raw})
			return nil
		})
		if err != nil {
			out = append(out, Effect{Kind: DoClose, Err: err})
		}
	case Landed:
		c.lastRead = e.Now
		whole, err := c.asm.land(e.Raw)
		if err != nil {
			return append(out, Effect{Kind: DoClose, Err: err})
		}
		return append(out, Effect{Kind: DoExtend, Size: whole})
	case Applied:
		if c.subject != nil {
			out = c.subject.confirm(e, out)
		}
		if e.End > c.reported {
			return c.report(e, out)
		}
	case Ticked:
		if silent := e.Now.Sub(c.lastRead); silent > c.opts.HousekeepingInterval {
			return append(out, Effect{Kind: DoClose, Err: fmt.Errorf("the master was silent for %s", silent)})
		}
		if c.subject != nil && !c.subject.met {
			return out // the master's greeting comes first
		}
		if e.Now.Sub(c.lastWrote) > c.opts.HeartbeatInterval {
			return c.report(e, out)
		}
	}
	return out
}

// Begun is what has come of the record at the end of the log, and where that is. What is to be Landed comes behind it.
func (c *Copier) Begun() (at message.PhyOffset, begun []byte) { return c.asm.at, c.asm.begun }

func (c *Copier) report(e Input, out []Effect) []Effect {
	c.reported, c.lastWrote = e.End, e.Now
	return append(out, Effect{Kind: DoReport, Offset: e.End})
}

// frame checks that the master goes on where the copy ends, in heartbeats too.
// Where an empty log begins is the master's to say.
func (c *Copier) frame(e Input, out []Effect) []Effect {
	if c.empty && len(c.asm.begun) == 0 {
		if int64(e.Offset)%c.opts.FileSize != 0 {
			return append(out, Effect{Kind: DoClose, Err: fmt.Errorf(
				"the master's log begins at %d, which is no file's start: is its mappedFileSizeCommitLog %d?", e.Offset, c.opts.FileSize)})
		}
		c.empty = e.Size == 0
		c.asm.restart(e.Offset)
	}
	if e.Offset != c.asm.next() {
		return append(out, Effect{Kind: DoClose, Err: fmt.Errorf("the master goes on at %d, the copy ends at %d", e.Offset, c.asm.next())})
	}
	return out
}
