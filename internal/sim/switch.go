package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/ha"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// SwitchSettings are what a seed draws for a run with epochs.
type SwitchSettings struct {
	Members   int
	Sync      bool
	PowerLoss bool // else crashes are kills
	FileSize  int64
	BatchSize int
	BodyMax   int
	Steps     int
}

// SwitchCounts say what happened.
type SwitchCounts struct {
	Puts, Acknowledged, Late, Copied, Truncations, Elections, Decisions, Refusals, Crashes, Cuts int
}

func (c *SwitchCounts) add(o SwitchCounts) {
	c.Puts += o.Puts
	c.Acknowledged += o.Acknowledged
	c.Late += o.Late
	c.Copied += o.Copied
	c.Truncations += o.Truncations
	c.Elections += o.Elections
	c.Decisions += o.Decisions
	c.Refusals += o.Refusals
	c.Crashes += o.Crashes
	c.Cuts += o.Cuts
}

// Switching is a group of brokers of which one is made master, and another, and
// so on.
type Switching struct {
	SwitchSettings
	SwitchCounts

	rng    *rand.Rand
	broken Broken
	now    time.Time

	members  []*switcher
	channels []*channel
	lastConn ha.ConnID
	ruler    ruler
	acked    []*switchPut
	err      error
}

// ruler decides who is master and who is in sync, as a controller does: what it
// says holds, whoever has heard of it.
type ruler struct {
	epoch    int32
	master   int // index
	set      []int64
	setEpoch int32
	asked    []question // on their way to it
}

// question is what a master proposes, and comes from the reign of an epoch.
type question struct {
	from     *switcher
	leader   *ha.Leader
	epoch    int32
	members  []int64
	setEpoch int32
}

// switcher is a broker. It has the role that it heard of last.
type switcher struct {
	*node
	s      *Switching
	index  int
	opts   ha.SlaveOptions
	master ha.MasterOptions
	file   *ha.EpochFile
	epochs ha.Epochs
	seq    commitlog.Sequence

	epoch     int32 // of the role
	leader    *ha.Leader
	follows   int // the master's index, of a slave
	confirm   message.PhyOffset
	barred    int // steps for which it is cut off
	unflushed []*switchPut
}

func (m *switcher) id() int64 { return int64(m.index + 1) }

// switchPut is a message put to a master.
type switchPut struct {
	m      *switcher
	leader *ha.Leader
	at     message.PhyOffset
	bytes  []byte
}

func (p *switchPut) end() message.PhyOffset { return p.at + message.PhyOffset(len(p.bytes)) }

// Replicated implements ha.Waiter.
func (p *switchPut) Replicated(err error) {
	s := p.m.s
	switch {
	case p.m.leader != p.leader:
	case err != nil:
		s.Late++
	default:
		s.Acknowledged++
		s.acked = append(s.acked, p)
		s.checkAcknowledged(p, "when it is answered")
	}
}

func newSwitching(seed uint64, broken Broken, quiet func()) (*Switching, error) {
	rng := rand.New(rand.NewPCG(seed, 0x737769746368))
	s := &Switching{rng: rng, broken: broken, now: time.Unix(1_700_000_000, 0)}
	s.SwitchSettings = SwitchSettings{
		Members: 2 + rng.IntN(3), Sync: rng.IntN(2) == 0, PowerLoss: rng.IntN(2) == 0,
		FileSize: int64(8<<10) << rng.IntN(3), BatchSize: 64 << rng.IntN(7), BodyMax: 1 + rng.IntN(1500), Steps: 300 + rng.IntN(500),
	}
	for i := range s.Members {
		m := &switcher{s: s, index: i, follows: -1, node: &node{fs: vfs.NewCrashFS(seed + uint64(i)), fileSize: s.FileSize, sync: s.Sync, quiet: quiet}}
		m.opts = ha.SlaveOptions{BrokerID: m.id(), FileSize: s.FileSize}
		m.opts.EnsureDefaults()
		m.master = ha.MasterOptions{FileSize: s.FileSize, Sync: true, BatchSize: s.BatchSize, AllAckInSyncStateSet: true, MaxTimeNotCaughtUp: 3 * time.Second}
		m.master.EnsureDefaults()
		s.members = append(s.members, m)
		if err := m.start(); err != nil {
			return s, err
		}
	}
	s.ruler.set = []int64{1}
	s.elect(0)
	return s, nil
}

// keepsAcknowledged tells whether crashes may lose nothing that was answered.
func (s *Switching) keepsAcknowledged() bool { return !s.PowerLoss || s.Sync }

// RunSwitching runs one seed; see Run.
func RunSwitching(seed uint64, broken Broken, quiet func()) (SwitchSettings, SwitchCounts, error) {
	s, err := newSwitching(seed, broken, quiet)
	defer func() {
		for _, m := range s.members {
			if m.log != nil {
				m.close()
			}
		}
	}()
	if err != nil {
		return s.SwitchSettings, s.SwitchCounts, err
	}
	for range s.Steps {
		if s.step(); s.err != nil {
			return s.SwitchSettings, s.SwitchCounts, s.err
		}
	}
	s.checkAll("at the end")
	return s.SwitchSettings, s.SwitchCounts, s.err
}

func (s *Switching) fail(err error) {
	if s.err == nil && err != nil {
		s.err = err
	}
}

func (s *Switching) anyone() *switcher { return s.members[s.rng.IntN(len(s.members))] }

// reigning is one of those who take themselves for the master, if there are any.
func (s *Switching) reigning() *switcher {
	var masters []*switcher
	for _, m := range s.members {
		if m.leader != nil {
			masters = append(masters, m)
		}
	}
	if len(masters) == 0 {
		return s.anyone()
	}
	return masters[s.rng.IntN(len(masters))]
}

// step does one thing of those that may happen next.
func (s *Switching) step() {
	s.now = s.now.Add(time.Duration(s.rng.IntN(20)) * time.Millisecond)
	switch n := s.rng.IntN(1000); {
	case n < 200:
		s.put(s.reigning())
	case n < 260:
		s.flush(s.reigning())
	case n < 760:
		for range s.rng.IntN(16) {
			if len(s.channels) > 0 {
				s.progress(s.channels[s.rng.IntN(len(s.channels))])
			}
		}
	case n < 840:
		s.connect(s.anyone())
	case n < 870:
		s.decide()
	case n < 880:
		if len(s.channels) > 0 {
			s.cut(s.channels[s.rng.IntN(len(s.channels))])
		}
	case n < 888:
		s.anyone().barred = s.rng.IntN(100)
	case n < 892:
		s.crash(s.anyone())
	case n < 898:
		s.elect(s.candidate())
	case n < 960:
		s.hear(s.anyone())
	default:
		if n < 970 {
			s.now = s.now.Add(time.Duration(s.rng.IntN(4000)) * time.Millisecond)
		}
		for _, m := range s.members {
			if m.leader != nil {
				s.tell(m, ha.Input{Kind: ha.Ticked})
			}
		}
	}
	for _, m := range s.members {
		m.barred = max(m.barred-1, 0)
	}
	s.checkConfirmed()
	s.checkEpochs()
}

// candidate is one of the in-sync set, whoever of them.
func (s *Switching) candidate() int {
	if s.broken == ElectsAnyone {
		return s.anyone().index
	}
	return int(s.ruler.set[s.rng.IntN(len(s.ruler.set))] - 1)
}

// elect makes a broker master. Nobody else needs to have heard of it.
func (s *Switching) elect(index int) {
	r := &s.ruler
	s.Elections++
	r.epoch++
	r.setEpoch++
	r.master, r.set = index, []int64{int64(index + 1)}
	s.checkAll("after an election")
}

// hear lets a broker hear of the present master.
func (s *Switching) hear(m *switcher) {
	r := &s.ruler
	if m.barred > 0 || m.epoch == r.epoch {
		return
	}
	m.depose()
	m.epoch = r.epoch
	if r.master != m.index {
		m.follows = r.master
		return
	}
	epochs, err := m.epochs.Reign(r.epoch, m.MinPhyOffset(), m.MaxPhyOffset())
	if err == nil {
		err = m.file.Save(epochs)
	}
	if err != nil {
		s.fail(err)
		return
	}
	m.epochs, m.follows = epochs, -1
	m.leader = ha.NewSwitchLeader(&m.master, ha.Reign{ID: m.id(), Epochs: epochs, Members: slices.Clone(r.set), SetEpoch: r.setEpoch, Confirm: min(m.confirm, m.MaxPhyOffset())}, s.now)
}

// depose ends what the broker does in its role.
func (m *switcher) depose() {
	for _, c := range slices.Clone(m.s.channels) {
		if c.slave == m || c.master == m {
			m.s.cut(c)
		}
	}
	m.leader, m.unflushed = nil, nil
}

// decide lets the ruler hear of one proposal, and the master of the answer if it
// gets there. Proposals arrive in any order.
func (s *Switching) decide() {
	r := &s.ruler
	if len(r.asked) == 0 {
		return
	}
	i := s.rng.IntN(len(r.asked))
	q := r.asked[i]
	r.asked = slices.Delete(r.asked, i, i+1)
	if q.from.barred > 0 {
		return
	}
	if q.epoch != r.epoch {
		return // of a reign that is over
	}
	if q.setEpoch == r.setEpoch {
		s.Decisions++
		r.set, r.setEpoch = q.members, r.setEpoch+1
		s.checkAll("after a decision")
	}
	if s.rng.IntN(4) > 0 && q.from.leader == q.leader {
		s.tell(q.from, ha.Input{Kind: ha.Ruled, Members: slices.Clone(r.set), SetEpoch: r.setEpoch})
	}
}

func (s *Switching) put(to *switcher) {
	if to.leader == nil {
		return
	}
	at, raw, err := to.node.put(s.rng, s.BodyMax, &to.seq)
	if err != nil {
		s.fail(err)
		return
	}
	s.Puts++
	p := &switchPut{m: to, leader: to.leader, at: at, bytes: raw}
	if s.broken == ConfirmsItsOwn {
		p.Replicated(nil)
		s.tell(to, ha.Input{Kind: ha.Grown})
		return
	}
	if s.Sync {
		to.unflushed = append(to.unflushed, p)
		return
	}
	s.tell(to, ha.Input{Kind: ha.Waited, Offset: p.end(), Waiter: p})
	s.tell(to, ha.Input{Kind: ha.Grown})
}

// flush is a master's disk, which takes its time.
func (s *Switching) flush(m *switcher) {
	if m.leader == nil {
		return
	}
	m.fs.Snapshot()
	if err := m.Flush(); err != nil {
		s.fail(err)
		return
	}
	ready := m.unflushed
	m.unflushed = nil
	for _, p := range ready {
		s.tell(m, ha.Input{Kind: ha.Waited, Offset: p.end(), Waiter: p})
	}
	s.tell(m, ha.Input{Kind: ha.Grown})
}

// start opens what is on the broker's disk.
func (m *switcher) start() error {
	if err := m.open(); err != nil {
		return err
	}
	m.file = ha.NewEpochFile(m.fs, ".")
	epochs, err := m.file.Load()
	if err != nil {
		return err
	}
	m.epochs = epochs.Fit(m.MaxPhyOffset())
	return nil
}

// crash restarts a broker, which waits for a role then: it may have lost what
// others have of its reign.
func (s *Switching) crash(m *switcher) {
	s.Crashes++
	m.fs.Snapshot()
	next := m.fs.Kill()
	if s.PowerLoss {
		next = m.fs.Crash(s.rng.Uint64())
	}
	for _, c := range s.channels {
		if c.slave == m {
			c.copier = nil // the master does not notice at once
		}
	}
	for _, c := range slices.Clone(s.channels) {
		if c.master == m {
			s.cut(c)
		}
	}
	m.leader, m.unflushed = nil, nil
	_ = m.log.Close() // into the void
	m.fs.Discard()
	m.fs = next
	s.fail(m.start())
	m.confirm = min(m.confirm, m.MaxPhyOffset())
	s.checkAll("after a crash")
	if s.ruler.master == m.index && m.epoch == s.ruler.epoch {
		// A new reign, under which nothing is taken for what it is not.
		s.elect(s.candidate())
	}
}

// tell lets a master take in what happened, and does what it asks for.
func (s *Switching) tell(m *switcher, in ha.Input) {
	in.Now, in.Begin, in.End = s.now, m.MinPhyOffset(), m.ConfirmOffset()
	leader := m.leader
	for _, do := range leader.Step(in, nil) {
		switch do.Kind {
		case ha.DoAnswer:
			do.Waiter.Replicated(do.Err)
		case ha.DoSend, ha.DoGreet:
			if c := s.channel(do.Conn); c != nil {
				c.sending = &do
			}
		case ha.DoConfirm:
			m.confirm = do.Offset
		case ha.DoPropose:
			s.ruler.asked = append(s.ruler.asked, question{m, leader, m.epoch, do.Members, do.SetEpoch})
		case ha.DoKeep:
			s.fail(m.file.Save(do.Epochs))
		case ha.DoClose:
			s.Refusals++
			if c := s.channel(do.Conn); c != nil {
				s.cut(c)
			}
		}
	}
}

// checkAcknowledged: whoever of the set is made master has what was answered.
// Once it is, the next set is of those who have that master's log.
func (s *Switching) checkAcknowledged(p *switchPut, when string) {
	if !s.keepsAcknowledged() {
		return
	}
	for _, id := range s.ruler.set {
		if m := s.members[id-1]; !m.holds(p.at, p.bytes) {
			s.fail(fmt.Errorf("a put from %d to %d was answered with success by broker %d in epoch %d; %s broker %d of the in-sync set %v of epoch %d does not have it",
				p.at, p.end(), p.m.id(), p.m.epoch, when, id, s.ruler.set, s.ruler.epoch))
		}
	}
}

func (s *Switching) checkAll(when string) {
	for _, p := range s.acked {
		s.checkAcknowledged(p, when)
	}
}

// checkConfirmed: what a master shows, all of the set have. A blank at the end of
// a log is nothing to have: it ends when its broker restarts before the next file
// is there, and is sent again.
func (s *Switching) checkConfirmed() {
	r := &s.ruler
	m := s.members[r.master]
	if m.leader == nil || m.epoch != r.epoch || !s.keepsAcknowledged() {
		return
	}
	confirmed := m.leader.Confirmed(m.ConfirmOffset())
	if s.broken == ConfirmsItsOwn {
		confirmed = m.ConfirmOffset()
	}
	for _, id := range r.set {
		if have := s.members[id-1].ConfirmOffset(); have < confirmed && !m.blank(have, confirmed) {
			s.fail(fmt.Errorf("broker %d confirms %d, of the in-sync set %v broker %d has %d", m.id(), confirmed, r.set, id, have))
		}
	}
}

// checkEpochs: where two logs have an epoch in common, they have the same bytes.
func (s *Switching) checkEpochs() {
	if s.rng.IntN(8) > 0 {
		return // it reads all logs
	}
	for i, a := range s.members {
		for _, b := range s.members[:i] {
			s.fail(s.compare(a, b))
		}
	}
}

func (s *Switching) compare(a, b *switcher) error {
	for i, e := range a.epochs {
		j := slices.Index(b.epochs, e)
		if j < 0 {
			continue
		}
		end := min(endOf(a, i), endOf(b, j))
		first := max(e.Start, a.MinPhyOffset(), b.MinPhyOffset())
		if end <= first {
			continue
		}
		x, err := a.bytes(first, end)
		if err != nil {
			return err
		}
		if !b.holds(first, x) {
			return fmt.Errorf("epoch %d from %d to %d has other bytes at broker %d than at broker %d", e.Epoch, first, end, a.id(), b.id())
		}
	}
	return nil
}

// endOf is the end of an epoch in a broker's log, as far as it can be read.
func endOf(m *switcher, i int) message.PhyOffset {
	if i+1 < len(m.epochs) {
		return min(m.epochs[i+1].Start, m.ConfirmOffset())
	}
	return m.ConfirmOffset()
}
