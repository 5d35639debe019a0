package sim

import (
	"slices"

	"github.com/rocketlog/rocketlog/ha"
)

// channel is a connection of a slave to a master that speaks with epochs, as
// link is in the classic protocol.
type channel struct {
	id            ha.ConnID
	master, slave *switcher
	copier        *ha.Copier // nil once the slave's end is gone

	sending  *ha.Effect
	toSlave  []ha.Input
	toMaster []ha.Input
	dirty    bool // the slave has bytes that it has not reported
}

func (s *Switching) channel(id ha.ConnID) *channel {
	for _, c := range s.channels {
		if c.id == id {
			return c
		}
	}
	return nil
}

// connect lets a slave connect that has no connection, as far as it knows.
func (s *Switching) connect(m *switcher) {
	if m.leader != nil || m.follows < 0 || m.barred > 0 ||
		slices.ContainsFunc(s.channels, func(c *channel) bool { return c.slave == m && c.copier != nil }) {
		return
	}
	master := s.members[m.follows]
	if master.leader == nil || master.barred > 0 || master == m {
		return
	}
	if err := m.Flush(); err != nil { // as a slave does before it asks
		s.fail(err)
		return
	}
	s.lastConn++
	c := &channel{id: s.lastConn, master: master, slave: m, copier: ha.NewSwitchCopier(&m.opts, m.epochs)}
	s.channels = append(s.channels, c)
	s.tell(master, ha.Input{Kind: ha.Connected, Conn: c.id})
	s.copy(c, ha.Input{Kind: ha.Connected})
}

// cut ends a connection at both ends, with what is under way.
func (s *Switching) cut(c *channel) {
	if !slices.Contains(s.channels, c) {
		return
	}
	s.Cuts++
	s.channels = slices.DeleteFunc(s.channels, func(other *channel) bool { return other == c })
	if c.master.leader != nil {
		s.tell(c.master, ha.Input{Kind: ha.Disconnected, Conn: c.id})
	}
}

// progress lets one thing happen on a connection.
func (s *Switching) progress(c *channel) {
	if c.slave.barred > 0 || c.master.barred > 0 || s.channel(c.id) == nil {
		return
	}
	switch s.rng.IntN(4) {
	case 0:
		s.write(c)
	case 1:
		if len(c.toSlave) > 0 && c.copier != nil {
			in := c.toSlave[0]
			c.toSlave = c.toSlave[1:]
			s.copy(c, in)
		}
	case 2:
		s.settle(c)
	case 3:
		if len(c.toMaster) > 0 {
			in := c.toMaster[0]
			c.toMaster = c.toMaster[1:]
			in.Conn = c.id
			s.tell(c.master, in)
		}
	}
}

// write does what the master asked for.
func (s *Switching) write(c *channel) {
	do := c.sending
	if do == nil {
		return
	}
	c.sending = nil
	if do.Kind == ha.DoGreet {
		c.toSlave = append(c.toSlave, ha.Input{Kind: ha.Answered, Epochs: do.Epochs, Offset: do.Offset})
		s.tell(c.master, ha.Input{Kind: ha.Sent, Conn: c.id})
		return
	}
	frames, total, err := c.master.frames(s.rng, do)
	if err != nil {
		s.fail(err)
		return
	}
	c.toSlave = append(c.toSlave, frames...)
	s.tell(c.master, ha.Input{Kind: ha.Sent, Conn: c.id, Size: total})
}

// copy lets the slave take in what happened, and does what it asks for.
func (s *Switching) copy(c *channel, in ha.Input) {
	if in.Kind == ha.Arrived && s.broken != SkipsTruncation && s.rng.IntN(2) == 0 {
		alive := func() bool { return s.channel(c.id) != nil }
		inPlace(in, alive, func(in ha.Input) { s.apply(c, in) }, func(sectors []byte) { s.land(c, sectors) })
		return
	}
	s.apply(c, in)
}

// apply is copy of what passes through the slave.
func (s *Switching) apply(c *channel, in ha.Input) {
	m := c.slave
	in.Now, in.Begin, in.End = s.now, m.MinPhyOffset(), m.MaxPhyOffset()
	for _, do := range c.copier.Step(in, nil) {
		switch do.Kind {
		case ha.DoGreet:
			c.toMaster = append(c.toMaster, ha.Input{Kind: ha.Greeted, Hello: ha.Hello{ID: m.id(), FromStart: true}})
		case ha.DoTruncate:
			s.Truncations++
			if s.broken == SkipsTruncation {
				continue
			}
			m.fs.Snapshot()
			if err := m.Truncate(do.Offset); err != nil {
				s.fail(err)
				return
			}
			s.checkAll("after a log was cut")
		case ha.DoKeep:
			if err := m.file.Save(do.Epochs); err != nil {
				s.fail(err)
				return
			}
			m.epochs = do.Epochs
		case ha.DoConfirm:
			m.confirm = do.Offset
		case ha.DoAppend:
			at := do.Offset
			if s.broken == SkipsTruncation {
				at = m.MaxPhyOffset()
			}
			if err := m.AppendRaw(at, do.Raw); err != nil {
				s.fail(err)
				return
			}
			s.Copied += len(do.Raw)
			c.dirty = true
		case ha.DoReport:
			c.toMaster = append(c.toMaster, ha.Input{Kind: ha.Reported, Offset: do.Offset})
		case ha.DoClose:
			s.Refusals++
			s.cut(c)
			return
		}
	}
}

// land has a piece of a body come to its place in the slave's log.
func (s *Switching) land(c *channel, piece []byte) {
	whole, refused, err := c.slave.land(c.copier, s.now, piece)
	switch {
	case err != nil:
		s.fail(err)
	case refused != nil:
		s.Refusals++
		s.cut(c)
	case whole > 0:
		s.Copied += whole
		c.dirty = true
	}
}

// settle brings what a slave has to where its flush type promises it, and lets
// it report.
func (s *Switching) settle(c *channel) {
	if !c.dirty || c.copier == nil {
		return
	}
	c.slave.fs.Snapshot()
	if c.slave.ConfirmOffset() < c.slave.MaxPhyOffset() {
		if err := c.slave.Flush(); err != nil {
			s.fail(err)
			return
		}
	}
	c.dirty = false
	s.copy(c, ha.Input{Kind: ha.Applied})
}
