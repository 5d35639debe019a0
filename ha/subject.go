package ha

import (
	"errors"
	"fmt"

	"github.com/rocketlog/rocketlog/message"
)

// subject is what a Copier knows of the reigns that its log was written under.
// It makes the log a prefix of the master's before it asks for more: what the
// log has behind the last common point was never confirmed by those who made
// this master, and goes. Java: AutoSwitchHAClient.
type subject struct {
	epochs    Epochs
	met       bool              // the master's greeting has come
	confirmed message.PhyOffset // as the master says
	told      message.PhyOffset // the last DoConfirm
}

var errNoEpochs = errors.New("the log has messages, but nothing tells of their epochs: it must be emptied to begin anew")

// submit compares the log with the master's, by their epochs, and cuts it.
func (c *Copier) submit(e Input, out []Effect) []Effect {
	s := c.subject
	if s.met {
		return append(out, Effect{Kind: DoClose, Err: errNoSwitching})
	}
	s.epochs, s.met = s.epochs.Fit(e.End), true
	point, err := s.point(e)
	if err != nil {
		return append(out, Effect{Kind: DoClose, Err: err})
	}
	if point < e.End {
		out = append(out, Effect{Kind: DoTruncate, Offset: point})
	}
	// Only when the log is cut: a crash between the two must not leave bytes that
	// count for an epoch which they are not of.
	if kept := s.epochs.cut(point); len(kept) < len(s.epochs) {
		s.epochs = kept
		out = append(out, Effect{Kind: DoKeep, Epochs: kept})
	}
	c.asm.restart(point)
	c.empty, c.reported, c.lastWrote = point == 0, point, e.Now
	return append(out, Effect{Kind: DoReport, Offset: point})
}

// point is the end of what the log has in common with the master's.
func (s *subject) point(e Input) (message.PhyOffset, error) {
	if len(s.epochs) == 0 {
		if e.End > 0 {
			return 0, errNoEpochs
		}
		return 0, nil
	}
	if e.Epochs.Last() < s.epochs.Last() {
		return 0, &FencedError{Epoch: e.Epochs.Last(), Last: s.epochs.Last()}
	}
	point, ok := s.epochs.common(e.End, e.Epochs, e.Offset)
	switch {
	case !ok:
		return 0, fmt.Errorf("no epoch of the log is one of the master's: %v and %v; it must be emptied to begin anew", s.epochs, e.Epochs)
	case point < e.Begin:
		return 0, fmt.Errorf("the log begins at %d, behind what it has in common with the master's, which ends at %d: it must be emptied to begin anew", e.Begin, point)
	}
	return point, nil
}

// switchFrame checks that the master goes on where the copy ends, and notes a
// new epoch before its first bytes come.
func (c *Copier) switchFrame(e Input, out []Effect) []Effect {
	s := c.subject
	if e.Offset < 0 {
		return out // an empty master is alive
	}
	s.confirmed = max(e.Confirm, 0)
	before := len(out)
	if out = c.frame(e, out); len(out) > before {
		return out
	}
	last := EpochEntry{Epoch: noEpoch}
	if n := len(s.epochs); n > 0 {
		last = s.epochs[n-1]
	}
	switch {
	case e.Epoch == last:
	case e.Epoch.Epoch <= last.Epoch:
		return append(out, Effect{Kind: DoClose, Err: fmt.Errorf("the master sends bytes of epoch %d from %d after those of epoch %d from %d",
			e.Epoch.Epoch, e.Epoch.Start, last.Epoch, last.Start)})
	case e.Epoch.Start > e.Offset, last.Epoch != noEpoch && e.Epoch.Start != e.Offset, len(c.asm.begun) > 0:
		return append(out, Effect{Kind: DoClose, Err: fmt.Errorf("epoch %d begins at %d, but its first bytes are for %d", e.Epoch.Epoch, e.Epoch.Start, e.Offset)})
	default:
		epochs, err := s.epochs.add(e.Epoch)
		if err != nil {
			return append(out, Effect{Kind: DoClose, Err: err})
		}
		s.epochs = epochs
		out = append(out, Effect{Kind: DoKeep, Epochs: epochs})
	}
	return s.confirm(e, out)
}

// confirm lets readers see what the master says is safe, as far as it is here.
func (s *subject) confirm(e Input, out []Effect) []Effect {
	upTo := min(s.confirmed, e.End)
	if upTo == s.told {
		return out
	}
	s.told = upTo
	return append(out, Effect{Kind: DoConfirm, Offset: upTo})
}

// Epochs are those of the log, as far as the copy knows; nil without epochs.
func (c *Copier) Epochs() Epochs {
	if c.subject == nil {
		return nil
	}
	return c.subject.epochs
}
