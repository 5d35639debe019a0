package sim

import (
	"slices"

	"github.com/rocketlog/rocketlog/ha"
)

// link is a connection. What one end sends arrives at the other in order, some
// time; across links there is no order.
type link struct {
	id      ha.ConnID
	index   int // of the slave
	slave   *node
	copier  *ha.Copier // nil once the slave's end is gone
	crashed bool       // the slave has crashed since it connected

	sending  *ha.Effect // what the master has yet to write
	toSlave  []ha.Input
	toMaster []ha.Input
	dirty    bool // the slave has bytes that it has not reported
}

func (c *Cluster) link(id ha.ConnID) *link {
	for _, l := range c.links {
		if l.id == id {
			return l
		}
	}
	return nil
}

// connect lets a slave connect that has no connection, as far as it knows.
func (c *Cluster) connect(i int) {
	if c.barred[i] > 0 || slices.ContainsFunc(c.links, func(l *link) bool { return l.index == i && l.copier != nil }) {
		return
	}
	c.Connections++
	c.lastConn++
	s := c.slaves[i]
	l := &link{id: c.lastConn, index: i, slave: s, copier: ha.NewCopier(&c.slaveOpts[i])}
	c.links = append(c.links, l)
	if err := s.Flush(); err != nil { // as a slave does before it asks
		c.fail(err)
		return
	}
	c.tell(ha.Input{Kind: ha.Connected, Conn: l.id})
	if c.broken != KeepsNoIdentity {
		tail, _ := ha.TailHash(s, s.MaxPhyOffset(), c.FileSize)
		l.toMaster = append(l.toMaster, ha.Input{Kind: ha.Greeted, Hello: ha.Hello{
			ID: c.slaveOpts[i].BrokerID, FromStart: true, Group: ha.GroupHash("c/b"), Tail: tail,
		}})
	}
	c.copy(l, ha.Input{Kind: ha.Connected})
}

// cut ends a connection at both ends, with what is under way.
func (c *Cluster) cut(l *link) {
	c.Cuts++
	c.links = slices.DeleteFunc(c.links, func(other *link) bool { return other == l })
	c.tell(ha.Input{Kind: ha.Disconnected, Conn: l.id})
}

// progress lets one thing happen on a connection.
func (c *Cluster) progress(l *link) {
	if c.barred[l.index] > 0 {
		return
	}
	switch c.rng.IntN(4) {
	case 0:
		c.write(l)
	case 1:
		if len(l.toSlave) > 0 && l.copier != nil {
			in := l.toSlave[0]
			l.toSlave = l.toSlave[1:]
			c.copy(l, in)
		}
	case 2:
		c.settle(l)
	case 3:
		if len(l.toMaster) > 0 {
			in := l.toMaster[0]
			l.toMaster = l.toMaster[1:]
			c.hear(l, in)
		}
	}
}

// write does what the master asked for.
func (c *Cluster) write(l *link) {
	if l.sending == nil {
		return
	}
	frames, total, err := c.master.frames(c.rng, l.sending)
	if err != nil {
		c.fail(err)
		return
	}
	l.toSlave, l.sending = append(l.toSlave, frames...), nil
	c.tell(ha.Input{Kind: ha.Sent, Conn: l.id, Size: total})
}

// hear lets the master take in what a slave sent.
func (c *Cluster) hear(l *link, in ha.Input) {
	in.Conn = l.id
	if in.Kind == ha.Greeted {
		// The first report comes with it.
		c.tell(in)
		if len(l.toMaster) == 0 || c.link(l.id) == nil {
			return
		}
		hello := in.Hello
		in, l.toMaster = l.toMaster[0], l.toMaster[1:]
		in.Conn = l.id
		tail, ok := ha.TailHash(c.master, in.Offset, c.FileSize)
		in.Valid = c.broken == TrustsAnyLog || ok && tail == hello.Tail
	}
	c.tell(in)
}

// copy lets the slave take in what happened, and does what it asks for.
func (c *Cluster) copy(l *link, in ha.Input) {
	if in.Kind == ha.Arrived && c.rng.IntN(2) == 0 {
		alive := func() bool { return c.link(l.id) != nil }
		inPlace(in, alive, func(in ha.Input) { c.apply(l, in) }, func(sectors []byte) { c.land(l, sectors) })
		return
	}
	c.apply(l, in)
}

// apply is copy of what passes through the slave.
func (c *Cluster) apply(l *link, in ha.Input) {
	in.Now, in.End = c.now, l.slave.MaxPhyOffset()
	begin := in.Kind == ha.Framed
	for _, do := range l.copier.Step(in, nil) {
		switch do.Kind {
		case ha.DoAppend:
			if err := l.slave.AppendRaw(do.Offset, do.Raw); err != nil {
				c.fail(err)
				return
			}
			c.Copied += len(do.Raw)
			l.dirty = true
			begin = true
		case ha.DoReport:
			l.toMaster = append(l.toMaster, ha.Input{Kind: ha.Reported, Offset: do.Offset})
		case ha.DoClose:
			c.cut(l)
			return
		}
	}
	if begin { // invariant 1
		c.fail(differ(c.master, l.slave, 0))
	}
}

// land has a piece of a body come to its place in the slave's log.
func (c *Cluster) land(l *link, piece []byte) {
	whole, refused, err := l.slave.land(l.copier, c.now, piece)
	switch {
	case err != nil:
		c.fail(err)
		return
	case refused != nil:
		c.cut(l)
		return
	case whole > 0:
		c.Copied += whole
		l.dirty = true
	}
	c.fail(differ(c.master, l.slave, 0)) // invariant 1
}

// settle brings what a slave has to where its flush type promises it, and lets
// it report.
func (c *Cluster) settle(l *link) {
	if !l.dirty || l.copier == nil {
		return
	}
	l.slave.fs.Snapshot()
	if l.slave.ConfirmOffset() < l.slave.MaxPhyOffset() && c.broken != ReportsBeforeSync {
		if err := l.slave.Flush(); err != nil {
			c.fail(err)
			return
		}
	}
	l.dirty = false
	c.copy(l, ha.Input{Kind: ha.Applied})
}
