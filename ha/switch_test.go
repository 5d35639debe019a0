package ha

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// member is a broker whose role changes: its log, and the file of its epochs.
type member struct {
	*memLog
	id    int64
	file  *EpochFile
	close func() error
}

func newMember(t *testing.T, id int64) *member {
	return &member{memLog: newMemLog(testFile), id: id, file: NewEpochFile(vfs.OS, t.TempDir()), close: func() error { return nil }}
}

func (m *member) epochs(t *testing.T) Epochs {
	t.Helper()
	s, err := m.file.Load()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reign makes it the master of an epoch.
func (m *member) reign(t *testing.T, epoch int32, opts MasterOptions) *Master {
	t.Helper()
	m.close()
	epochs, err := m.epochs(t).Reign(epoch, m.MinPhyOffset(), m.MaxPhyOffset())
	if err == nil {
		err = m.file.Save(epochs)
	}
	if err != nil {
		t.Fatal(err)
	}
	opts.Reign = &Reign{ID: m.id, Epochs: epochs}
	opts.Epochs, opts.AllAckInSyncStateSet, opts.Sync = m.file, true, true
	master := openMaster(t, m.memLog, opts)
	m.close = master.Close
	return master
}

// follow makes it a slave.
func (m *member) follow(t *testing.T, master *Master, opts SlaveOptions) *Slave {
	t.Helper()
	m.close()
	opts.BrokerID, opts.Epochs = m.id, m.file
	s := openSlave(t, m.memLog, master, opts)
	m.close = s.Close
	return s
}

func awaitMembers(t *testing.T, m *Master, want ...int64) {
	t.Helper()
	await(t, "the in-sync set", func() bool {
		ids, _ := m.Members()
		ids = slices.Sorted(slices.Values(ids))
		return slices.Equal(ids, want)
	})
}

func TestSwitchFollowsAndConfirms(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 1))
	a, b, learner := newMember(t, 1), newMember(t, 2), newMember(t, 3)
	fill(t, a.memLog, rng, 5*testFile/2) // from before there were epochs
	m := a.reign(t, 1, MasterOptions{BatchSize: 1000})
	if end := a.put(t, rng, 100); m.awaitReplicated(end) != nil {
		t.Fatal("a put of a master alone is not answered with success")
	}
	b.follow(t, m, SlaveOptions{})
	learner.follow(t, m, SlaveOptions{Learner: true})
	awaitCopied(t, a.memLog, b.memLog)
	awaitCopied(t, a.memLog, learner.memLog)
	if b.off != 0 {
		t.Errorf("the copy begins at %d", b.off)
	}
	awaitMembers(t, m, 1, 2)
	for range 100 {
		end := a.put(t, rng, 1000)
		if err := m.awaitReplicated(end); err != nil || b.MaxPhyOffset() < end {
			t.Fatalf("a put up to %d: %v, the slave in sync has %d", end, err, b.MaxPhyOffset())
		}
		if got := a.confirmed(); got < end {
			t.Fatalf("the confirm offset is %d when a put up to %d is answered", got, end)
		}
	}
	await(t, "the slave's readers see all", func() bool { return b.confirmed() == a.MaxPhyOffset() })
	for _, s := range m.Slaves() {
		if s.InSync != (s.BrokerID == 2) {
			t.Errorf("slave %d is in sync: %t", s.BrokerID, s.InSync)
		}
	}
	if got := b.epochs(t); !slices.Equal(got, epochs(1, 0)) {
		t.Errorf("the slave's epochs are %v", got)
	}
	// A slave that is gone leaves the set, and puts go on.
	b.close()
	awaitMembers(t, m, 1)
	if err := m.awaitReplicated(a.put(t, rng, 100)); err != nil {
		t.Fatal(err)
	}
}

// TestSwitchTruncates lets a master go on alone after another was made one, and
// follow then.
func TestSwitchTruncates(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 2))
	a, b := newMember(t, 1), newMember(t, 2)
	ma := a.reign(t, 1, MasterOptions{BatchSize: 1000})
	fill(t, a.memLog, rng, testFile)
	b.follow(t, ma, SlaveOptions{})
	awaitMembers(t, ma, 1, 2)
	awaitCopied(t, a.memLog, b.memLog)
	common := b.MaxPhyOffset()

	mb := b.reign(t, 2, MasterOptions{BatchSize: 1000})
	fill(t, a.memLog, rng, testFile) // nobody was told that these are safe
	fill(t, b.memLog, rng, testFile/2)
	var truncated atomic.Int64
	lost := a.MaxPhyOffset() - common
	a.follow(t, mb, SlaveOptions{OnEvent: func(e Event) { truncated.Add(int64(e.Truncated)) }})
	awaitMembers(t, mb, 1, 2)
	awaitCopied(t, b.memLog, a.memLog)
	if got := truncated.Load(); got != int64(lost) {
		t.Errorf("%d bytes are cut, want %d", got, lost)
	}
	want := epochs(1, 0, 2, int64(common))
	if ea, eb := a.epochs(t), b.epochs(t); !slices.Equal(ea, want) || !slices.Equal(eb, want) {
		t.Errorf("epochs %v and %v, want %v", ea, eb, want)
	}
	// And back, with nothing written in the third epoch.
	for epoch := int32(3); epoch < 5; epoch++ {
		ma = a.reign(t, epoch, MasterOptions{BatchSize: 1000})
		b.follow(t, ma, SlaveOptions{})
		awaitMembers(t, ma, 1, 2)
	}
	fill(t, a.memLog, rng, testFile)
	awaitCopied(t, a.memLog, b.memLog)
	want = append(want, EpochEntry{4, a.epochs(t)[2].Start})
	await(t, "the slave's epochs", func() bool { return slices.Equal(b.epochs(t), want) })
	if _, err := a.epochs(t).Reign(4, 0, a.MaxPhyOffset()); err == nil {
		t.Error("an epoch is given twice")
	}
}

// TestSwitchRefusals has slaves that must not follow.
func TestSwitchRefusals(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 3))
	a := newMember(t, 1)
	a.reign(t, 4, MasterOptions{}).Close()
	fill(t, a.memLog, rng, testFile/2)
	m := a.reign(t, 5, MasterOptions{})
	fill(t, a.memLog, rng, testFile/2)
	for name, c := range map[string]struct {
		epochs Epochs
		want   func(error) bool
	}{
		"a stale master": {epochs(6, 0), func(err error) bool { var f *FencedError; return errors.As(err, &f) }},
		"no epochs":      {nil, func(err error) bool { return errors.Is(err, errNoEpochs) }},
		"another log":    {epochs(3, 0), func(err error) bool { return err != nil }},
	} {
		b := newMember(t, 2)
		fill(t, b.memLog, rng, testFile/2)
		end := b.MaxPhyOffset()
		if err := b.file.Save(c.epochs); err != nil {
			t.Fatal(err)
		}
		said := make(chan error, 1)
		b.follow(t, m, SlaveOptions{OnEvent: func(e Event) {
			if !e.Connected {
				select {
				case said <- e.Err:
				default:
				}
			}
		}})
		select {
		case err := <-said:
			if !c.want(err) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(patience):
			t.Errorf("%s: it is not refused", name)
		}
		b.close()
		if b.MaxPhyOffset() != end {
			t.Errorf("%s: the log is changed", name)
		}
	}
}

// TestSwitchStalledMemberHoldsPuts: what a member does not have is not
// acknowledged until it has left the set.
func TestSwitchStalledMemberHoldsPuts(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 4))
	a := newMember(t, 1)
	ruled := make(chan []int64, 100)
	m := a.reign(t, 1, MasterOptions{SlaveTimeout: 50 * time.Millisecond, MaxTimeNotCaughtUp: time.Second,
		Rule: func(members []int64, setEpoch int32) ([]int64, int32, error) {
			ruled <- members
			return members, setEpoch + 1, nil
		}})
	end := a.put(t, rng, 100)
	conn := dial(t, m)
	conn.Write(appendSwitchReport(appendSwitchReport(appendSwitchHello(nil, Hello{ID: 7}), 0), 0)) // it has nothing
	await(t, "the slave", func() bool { return len(m.Slaves()) == 1 })
	await(t, "what was sent can be acknowledged", func() bool {
		conn.Write(appendSwitchReport(nil, end))
		ids, _ := m.Members()
		return len(ids) == 2
	})
	before := a.confirmed()
	if err := m.awaitReplicated(a.put(t, rng, 100)); !errors.Is(err, ErrSlaveTimeout) {
		t.Fatalf("a put that a member does not have: %v", err)
	}
	if now := a.confirmed(); now != before || now != end {
		t.Fatalf("the confirm offset went from %d to %d", before, now)
	}
	awaitMembers(t, m, 1)
	if got, want := a.confirmed(), a.MaxPhyOffset(); got != want {
		t.Fatalf("the confirm offset is %d of %d", got, want)
	}
	if len(ruled) != 2 {
		t.Errorf("%d decisions were asked for", len(ruled))
	}
}

func TestSwitchTooFewMembers(t *testing.T) {
	m := newMember(t, 1).reign(t, 1, MasterOptions{MinInSyncReplicas: 2})
	if _, err := m.Admit(); !errors.Is(err, ErrNotEnoughReplicas) {
		t.Fatal(err)
	}
}

// TestSwitchProposalWithoutAnswer: until it is known what was decided, both sets count.
func TestSwitchProposalWithoutAnswer(t *testing.T) {
	opts := MasterOptions{AllAckInSyncStateSet: true}
	opts.EnsureDefaults()
	now := time.Unix(1000, 0)
	l := NewSwitchLeader(&opts, Reign{ID: 1, Epochs: epochs(1, 0), Members: []int64{1}, SetEpoch: 5}, now)
	end := message.PhyOffset(1000)
	step := func(e Input) (out []Effect) {
		e.Now, e.End = now, end
		return l.Step(e, nil)
	}
	find := func(out []Effect, kind EffectKind) *Effect {
		for i := range out {
			if out[i].Kind == kind {
				return &out[i]
			}
		}
		return nil
	}
	for conn, id := range map[ConnID]int64{1: 2, 2: 3} {
		step(Input{Kind: Connected, Conn: conn})
		step(Input{Kind: Greeted, Conn: conn, Hello: Hello{ID: id}})
		step(Input{Kind: Sent, Conn: conn})
	}
	p := find(step(Input{Kind: Reported, Conn: 1, Offset: 1000}), DoPropose)
	if p == nil || !slices.Equal(p.Members, []int64{1, 2}) || p.SetEpoch != 5 {
		t.Fatalf("%+v", p)
	}
	end = 2000
	if out := step(Input{Kind: Waited, Offset: 2000, Waiter: nobody{}}); len(out) != 0 || l.Confirmed(end) != 1000 {
		t.Fatalf("%+v, confirmed %d: the slave may be in the set already", out, l.Confirmed(end))
	}
	if out := step(Input{Kind: Ticked}); find(out, DoPropose) != nil {
		t.Fatalf("asked again at once: %+v", out)
	}
	step(Input{Kind: Disconnected, Conn: 1})
	now = now.Add(proposePause)
	p = find(step(Input{Kind: Ticked}), DoPropose)
	if p == nil || !slices.Equal(p.Members, []int64{1}) {
		t.Fatalf("%+v", p)
	}
	if l.Confirmed(end) != 1000 {
		t.Fatal("it is not known yet that the slave is not in the set")
	}
	// The first proposal was taken. That is old news now.
	step(Input{Kind: Ruled, Members: []int64{1, 2}, SetEpoch: 6})
	if ids, epoch := l.Members(); len(ids) != 2 || epoch != 6 || l.Confirmed(end) != 1000 {
		t.Fatalf("%v, %d, %d", ids, epoch, l.Confirmed(end))
	}
	if out := step(Input{Kind: Ruled, Members: []int64{1}, SetEpoch: 6}); len(out) != 0 {
		t.Fatalf("%+v", out)
	}
	now = now.Add(proposePause)
	step(Input{Kind: Ticked})
	if out := step(Input{Kind: Ruled, Members: []int64{1}, SetEpoch: 7}); find(out, DoAnswer) == nil || l.Confirmed(end) != 2000 {
		t.Fatalf("%+v, confirmed %d", out, l.Confirmed(end))
	}
}
