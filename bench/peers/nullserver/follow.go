package nullserver

import (
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/ha"
	"github.com/rocketlog/rocketlog/message"
)

const (
	dialEvery   = 10 * time.Millisecond
	dialTimeout = 10 * time.Second
)

// Follow is a slave that keeps nothing: it reads the log that a master sends, and reports it as its own, until the master is gone.
// What a master with it does less than one alone is what replication costs the master, be the slave's own work elsewhere.
func Follow(addr string) error {
	var heard atomic.Bool
	gone := make(chan error, 1)
	slave := ha.OpenSlave(new(nullLog), addr, &ha.SlaveOptions{RetryInterval: dialEvery, OnEvent: func(e ha.Event) {
		switch {
		case e.Connected:
			heard.Store(true)
		case heard.Load(): // else the master is not there yet
			select {
			case gone <- e.Err:
			default: // it was told
			}
		}
	}})
	defer slave.Close()
	select {
	case err := <-gone:
		return err
	case <-time.After(dialTimeout):
	}
	if !heard.Load() {
		return errors.New("no master at " + addr)
	}
	return <-gone
}

// nullLog is a log of which only the end is known.
type nullLog struct {
	end    message.PhyOffset
	landed []byte // what Receive has of it
}

func (l *nullLog) MinPhyOffset() message.PhyOffset  { return 0 }
func (l *nullLog) MaxPhyOffset() message.PhyOffset  { return l.end }
func (l *nullLog) ConfirmOffset() message.PhyOffset { return l.end }
func (l *nullLog) Confirm(message.PhyOffset)        {}
func (l *nullLog) Flush() error                     { return nil }

func (l *nullLog) ReadRaw(message.PhyOffset, int) ([]byte, func(), error) { return nil, nil, nil }

// AppendRaw moves the end on.
func (l *nullLog) AppendRaw(at message.PhyOffset, raw []byte) error {
	l.end = at + message.PhyOffset(len(raw))
	return nil
}

// Receive reads, and moves the end on.
func (l *nullLog) Receive(at message.PhyOffset, begun []byte, r io.Reader, n int, take func([]byte) (int, error)) (int, error) {
	l.landed = slices.Grow(append(l.landed[:0], begun...), n)
	got, err := io.ReadFull(r, l.landed[len(begun):len(begun)+n])
	if got == 0 {
		return 0, err
	}
	whole, refused := take(l.landed[:len(begun)+got])
	if refused != nil {
		return got, refused
	}
	l.end = at + message.PhyOffset(whole)
	return got, err
}

// Truncate takes the end back.
func (l *nullLog) Truncate(end message.PhyOffset) error {
	l.end = end
	return nil
}
