package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/ha"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Broken is a mistake made on purpose.
type Broken int

// The mistakes, each of which some invariant forbids.
const (
	Sound             Broken = iota
	TrustsAnyLog             // the master takes a slave's word that its log is the same
	ReportsBeforeSync        // a slave that flushes synchronously reports what is not on disk
	KeepsNoIdentity          // slaves do not say who they are: old connections count beside new ones

	// Of those who speak with epochs.
	SkipsTruncation // a slave goes on behind what its master does not have
	ConfirmsItsOwn  // a master confirms all of its own log
	ElectsAnyone    // a broker outside of the in-sync set is made master
)

// Settings are what a seed draws for a run.
type Settings struct {
	Slaves, Need int // a put waits for Need of the slaves
	MasterSync   bool
	SlavesSync   bool
	PowerLoss    bool // else crashes are kills
	FileSize     int64
	BatchSize    int
	BodyMax      int
	Steps        int
}

func draw(rng *rand.Rand) Settings {
	s := Settings{
		Slaves: 1 + rng.IntN(3), MasterSync: rng.IntN(2) == 0, SlavesSync: rng.IntN(2) == 0, PowerLoss: rng.IntN(2) == 0,
		FileSize: int64(8<<10) << rng.IntN(3), BatchSize: 64 << rng.IntN(7), BodyMax: 1 + rng.IntN(1500), Steps: 100 + rng.IntN(300),
	}
	s.Need = 1 + rng.IntN(s.Slaves)
	return s
}

// keepsAcknowledged tells whether crashes may lose nothing that was answered
// with success.
func (s Settings) keepsAcknowledged() bool { return !s.PowerLoss || s.MasterSync && s.SlavesSync }

// Counts say what happened, so that a run in which nothing does is noticed.
type Counts struct {
	Puts, Acknowledged, Late, Copied, Connections, Refusals, MasterCrashes, SlaveCrashes, Cuts int
}

func (c *Counts) add(o Counts) {
	c.Puts += o.Puts
	c.Acknowledged += o.Acknowledged
	c.Late += o.Late
	c.Copied += o.Copied
	c.Connections += o.Connections
	c.Refusals += o.Refusals
	c.MasterCrashes += o.MasterCrashes
	c.SlaveCrashes += o.SlaveCrashes
	c.Cuts += o.Cuts
}

// Cluster is a master with its slaves.
type Cluster struct {
	Settings
	Counts

	rng    *rand.Rand
	broken Broken
	now    time.Time

	masterOpts ha.MasterOptions
	slaveOpts  []ha.SlaveOptions
	master     *node
	slaves     []*node
	barred     []int // steps for which a slave cannot connect
	leader     *ha.Leader
	links      []*link
	lastConn   ha.ConnID
	seq        commitlog.Sequence

	unflushed []*put // wait for the master's disk
	acked     []*put
	err       error // the first invariant that does not hold
}

// put is a message put to the master.
type put struct {
	c     *Cluster
	life  *ha.Leader // that it was put to
	at    message.PhyOffset
	bytes []byte
}

func (p *put) end() message.PhyOffset { return p.at + message.PhyOffset(len(p.bytes)) }

// Replicated implements ha.Waiter.
func (p *put) Replicated(err error) {
	if p.life != p.c.leader {
		return // the master has crashed, nobody is there to be answered
	}
	if err != nil {
		p.c.Late++
		return
	}
	p.c.Acknowledged++
	p.c.acked = append(p.c.acked, p)
	p.c.checkHeld(p, "when it is answered")
}

func newCluster(seed uint64, broken Broken, quiet func()) (*Cluster, error) {
	rng := rand.New(rand.NewPCG(seed, 0x73696d))
	c := &Cluster{Settings: draw(rng), rng: rng, broken: broken, now: time.Unix(1_700_000_000, 0)}
	c.masterOpts = ha.MasterOptions{Group: "c/b", FileSize: c.FileSize, Sync: true, InSyncReplicas: c.Need + 1, BatchSize: c.BatchSize}
	c.masterOpts.EnsureDefaults()
	c.master = &node{fs: vfs.NewCrashFS(seed), fileSize: c.FileSize, sync: c.MasterSync, quiet: quiet}
	c.leader = ha.NewLeader(&c.masterOpts)
	c.barred = make([]int, c.Slaves)
	err := c.master.open()
	for i := range c.Slaves {
		n := &node{fs: vfs.NewCrashFS(seed + uint64(i) + 1), fileSize: c.FileSize, sync: c.SlavesSync, quiet: quiet}
		o := ha.SlaveOptions{Group: "c/b", BrokerID: int64(i + 1), FileSize: c.FileSize}
		o.EnsureDefaults()
		c.slaves, c.slaveOpts = append(c.slaves, n), append(c.slaveOpts, o)
		if err == nil {
			err = n.open()
		}
	}
	return c, err
}

// Run runs one seed, and returns what happened and the first invariant that did
// not hold. After each change of a log it calls quiet, which waits until the
// making of the next log file has come to rest: then a seed replays.
func Run(seed uint64, broken Broken, quiet func()) (Settings, Counts, error) {
	c, err := newCluster(seed, broken, quiet)
	defer func() {
		for _, n := range append(c.slaves, c.master) {
			if n.log != nil {
				n.close()
			}
		}
	}()
	if err != nil {
		return c.Settings, c.Counts, err
	}
	for range c.Steps {
		if c.step(); c.err != nil {
			return c.Settings, c.Counts, c.err
		}
	}
	c.finish()
	return c.Settings, c.Counts, c.err
}

// finish crashes everybody once more and looks for what was acknowledged.
func (c *Cluster) finish() {
	for _, n := range append(c.slaves, c.master) {
		if err := n.crash(c.PowerLoss, c.rng.Uint64()); err != nil {
			c.fail(err)
			return
		}
	}
	for _, p := range c.acked {
		c.checkHeld(p, "at the end")
	}
}

func (c *Cluster) fail(err error) {
	if c.err == nil && err != nil {
		c.err = err
	}
}

// checkHeld is invariant 3.
func (c *Cluster) checkHeld(p *put, when string) {
	if !c.keepsAcknowledged() {
		return // a slave may have lost it while its acknowledgement was under way
	}
	held := 0
	for _, s := range c.slaves {
		if s.holds(p.at, p.bytes) {
			held++
		}
	}
	if held < c.Need {
		c.fail(fmt.Errorf("a put from %d to %d was answered with success for %d slaves; %s %d have it", p.at, p.end(), c.Need, when, held))
	}
}

// step does one thing of those that may happen next.
func (c *Cluster) step() {
	c.now = c.now.Add(time.Duration(c.rng.IntN(20)) * time.Millisecond)
	switch n := c.rng.IntN(1000); {
	case n < 150:
		c.put()
	case n < 200:
		c.flushMaster()
	case n < 850:
		for range c.rng.IntN(16) {
			if len(c.links) > 0 {
				c.progress(c.links[c.rng.IntN(len(c.links))])
			}
		}
	case n < 930:
		c.connect(c.rng.IntN(c.Slaves))
	case n < 950:
		if len(c.links) > 0 {
			c.cut(c.links[c.rng.IntN(len(c.links))])
		}
	case n < 960:
		c.barred[c.rng.IntN(c.Slaves)] = c.rng.IntN(100) // a partition: nothing gets through for a while
	case n < 972:
		c.crashSlave(c.rng.IntN(c.Slaves))
	case n < 978:
		c.crashMaster()
	case n < 985:
		c.now = c.now.Add(time.Duration(c.rng.IntN(8000)) * time.Millisecond)
		c.tell(ha.Input{Kind: ha.Ticked})
	default:
		c.tell(ha.Input{Kind: ha.Ticked})
	}
	for i := range c.barred {
		c.barred[i] = max(c.barred[i]-1, 0)
	}
	c.checkAcks()
}

// checkAcks is invariant 2.
func (c *Cluster) checkAcks() {
	acks := c.leader.Acks()
	for _, l := range c.links {
		if ack, ok := acks[l.id]; ok && !l.crashed && ack > l.slave.ConfirmOffset() {
			c.fail(fmt.Errorf("the master counts %d of slave %d, which has %d", ack, l.index+1, l.slave.ConfirmOffset()))
		}
	}
}

func (c *Cluster) put() {
	at, raw, err := c.master.put(c.rng, c.BodyMax, &c.seq)
	if err != nil {
		c.fail(err)
		return
	}
	c.Puts++
	p := &put{c: c, life: c.leader, at: at, bytes: raw}
	if c.MasterSync {
		c.unflushed = append(c.unflushed, p)
		return
	}
	c.tell(ha.Input{Kind: ha.Waited, Offset: p.end(), Waiter: p})
	c.tell(ha.Input{Kind: ha.Grown})
}

// flushMaster is the master's disk, which takes its time.
func (c *Cluster) flushMaster() {
	c.master.fs.Snapshot()
	if err := c.master.Flush(); err != nil {
		c.fail(err)
		return
	}
	ready := c.unflushed
	c.unflushed = nil
	for _, p := range ready {
		c.tell(ha.Input{Kind: ha.Waited, Offset: p.end(), Waiter: p})
	}
	c.tell(ha.Input{Kind: ha.Grown})
}

// tell lets the master take in what happened, and does what it asks for.
func (c *Cluster) tell(in ha.Input) {
	in.Now, in.Begin, in.End = c.now, c.master.MinPhyOffset(), c.master.ConfirmOffset()
	for _, do := range c.leader.Step(in, nil) {
		switch do.Kind {
		case ha.DoAnswer:
			do.Waiter.Replicated(do.Err)
		case ha.DoSend:
			if l := c.link(do.Conn); l != nil {
				l.sending = &do
			}
		case ha.DoClose:
			c.Refusals++
			if l := c.link(do.Conn); l != nil {
				c.cut(l)
			}
		}
	}
}

// crashSlave restarts a slave. Its master does not notice at once.
func (c *Cluster) crashSlave(i int) {
	c.SlaveCrashes++
	for _, l := range c.links {
		if l.index == i {
			l.crashed, l.copier = true, nil
		}
	}
	c.slaves[i].fs.Snapshot()
	c.fail(c.slaves[i].crash(c.PowerLoss, c.rng.Uint64()))
}

// crashMaster restarts the master: all connections and all who wait are gone.
func (c *Cluster) crashMaster() {
	c.MasterCrashes++
	c.links, c.unflushed = nil, nil
	c.leader = ha.NewLeader(&c.masterOpts)
	c.master.fs.Snapshot()
	c.fail(c.master.crash(c.PowerLoss, c.rng.Uint64()))
}
