package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/broker/config"
	"github.com/rocketlog/rocketlog/ha"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// seat is a broker whose role changes.
type seat struct {
	testing.TB
	host   *Host
	addr   string
	client *remoting.Client
}

func switchOptions(dir, role string, id int64) *Options {
	o := pairOptions(dir, role, id)
	o.EnableAutoSwitchHA, o.AllAckInSyncStateSet, o.MinInSyncReplicas = true, true, 2
	return o
}

func openSeat(t *testing.T, o *Options) *seat {
	t.Helper()
	h, err := OpenHost(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &seat{TB: t, host: h, addr: h.Broker().Addr(), client: remoting.NewClient(nil)}
	t.Cleanup(func() {
		s.client.Close()
		h.Close()
	})
	return s
}

// bench is the broker of the moment.
func (s *seat) bench() *bench {
	s.Helper()
	var b *Broker
	for deadline := time.Now().Add(30 * time.Second); b == nil; b = s.host.Broker() {
		if time.Now().After(deadline) {
			s.Fatal("the broker does not come back")
		}
		time.Sleep(time.Millisecond)
	}
	return &bench{TB: s.TB, Broker: b, client: s.client}
}

// give tells a broker who is master, and waits until it acts accordingly.
func (s *seat) give(epoch int32, id int64, master *seat) {
	s.Helper()
	before := s.bench().Broker
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := NotifyRole(ctx, s.client, s.addr, id, master.addr, epoch, []int64{id}); err != nil {
		s.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); s.bench().Broker == before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatal("the role does not come into force")
		}
	}
}

// inSync waits until those are in the in-sync set.
func (s *seat) inSync(ids ...int64) {
	s.Helper()
	b := s.bench()
	b.await("the in-sync set", func() bool {
		members, _ := b.replication.master.Members()
		return slices.Equal(slices.Sorted(slices.Values(members)), ids)
	})
}

// TestRolesChange makes one broker master and the other, lets the first write on alone, and finds the same log in both.
func TestRolesChange(t *testing.T) {
	first := openSeat(t, switchOptions(t.TempDir(), config.SyncMaster, 1))
	second := openSeat(t, switchOptions(t.TempDir(), config.SlaveRole, 2))
	first.give(2, 1, first)
	second.give(2, 1, first) // the settings do not say where the master is
	first.inSync(1, 2)
	m := first.bench()
	for i := range 50 {
		m.put("Pair", int32(i%4), fmt.Sprint("m", i))
		if second.bench().store.MaxPhyOffset() != m.store.MaxPhyOffset() {
			t.Fatalf("message %d is answered before the slave has it", i)
		}
	}
	slave := second.bench()
	slave.await("the slave to show what is confirmed", func() bool { return slave.store.ReputOffset() == m.store.MaxPhyOffset() })
	slave.await("the topic", func() bool { return slave.topics.Get("Pair") != nil })
	if p := slave.pull(pullHeader("readers", "Pair", 1, 3)); len(p.records) == 0 {
		t.Errorf("the slave has no message")
	}
	var replicas protocol.BrokerReplicasInfo
	names, _ := protocol.MarshalJSON([]string{"broker-a"})
	resp := m.call(protocol.ControllerGetSyncStateData, nil, names)
	if err := protocol.UnmarshalJSON(resp.Body, &replicas); err != nil {
		t.Fatal(err)
	}
	if info := replicas.ReplicasInfoTable["broker-a"]; info.MasterBrokerID != 1 || info.MasterEpoch != 2 || len(info.InSyncReplicas) != 2 || len(info.NotInSyncReplicas) != 0 {
		t.Errorf("in-sync set %+v", info)
	}

	// The second is made master. The first does not hear of it at once, and is left alone with messages that it is not
	// to keep safe: it takes no others.
	second.give(3, 2, second)
	m.await("the slave to leave the set", func() bool {
		code := m.call(protocol.SendMessageV2, v2{sendHeader("Pair", 0)}, []byte("unsafe")).ResponseCode()
		if code == protocol.Success {
			t.Fatal("a message that only one broker has is answered with success")
		}
		return code == protocol.SystemError
	})
	for i := range 5 {
		m.put("Pair", 0, fmt.Sprint("lost", i), "WAIT", "false")
	}
	now := second.bench()
	if h := now.put("Pair", 0, "after", "WAIT", "false"); h.QueueOffset != 13 {
		t.Fatalf("the first message after the change is at %d", h.QueueOffset)
	}
	first.give(3, 2, second)
	second.inSync(1, 2)
	for i := range 20 {
		now.put("Pair", int32(i%4), fmt.Sprint("more", i))
	}
	back := first.bench()
	back.await("the logs to be equal", func() bool { return back.store.MaxPhyOffset() == now.store.MaxPhyOffset() })
	if a, b := logBytes(t, back), logBytes(t, now); !slices.Equal(a, b) {
		t.Fatalf("the logs differ: %d and %d bytes", len(a), len(b))
	}
	for _, s := range []*seat{first, second} {
		var cache protocol.EpochEntryCache
		s.bench().must(protocol.GetBrokerEpochCache, nil, nil, &cache)
		if n := len(cache.EpochList); n == 0 || cache.EpochList[n-1].Epoch != 3 || cache.EpochList[n-1].EndOffset != 1<<63-1 {
			t.Errorf("epochs %+v", cache)
		}
	}
	// A role under an epoch that is not newer is refused.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, epoch := range []int32{1, 2, 3} {
		err := NotifyRole(ctx, first.client, first.addr, 1, first.addr, epoch, nil)
		var r *refusal
		if !errors.As(err, &r) || r.code != protocol.ControllerFencedMasterEpoch {
			t.Errorf("master under epoch %d again: %v", epoch, err)
		}
	}
}

// TestFirstElection: a controller's first election is under epoch 1, which both brokers have by their settings. The one that it
// makes master and the one that it makes slave take it, and no other one under it.
func TestFirstElection(t *testing.T) {
	first := openSeat(t, switchOptions(t.TempDir(), config.SlaveRole, 1))
	second := openSeat(t, switchOptions(t.TempDir(), config.SlaveRole, 2))
	first.give(1, 1, first)
	second.give(1, 1, first)
	first.inSync(1, 2)
	m := first.bench()
	m.put("Pair", 0, "x")
	slave := second.bench()
	slave.await("the slave to show what is confirmed", func() bool { return slave.store.ReputOffset() == m.store.MaxPhyOffset() })
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, s := range []*seat{first, second} {
		err := NotifyRole(ctx, s.client, s.addr, 2, second.addr, 1, nil)
		if r := (*refusal)(nil); !errors.As(err, &r) || r.code != protocol.ControllerFencedMasterEpoch {
			t.Errorf("another master under the same epoch: %v", err)
		}
		if err := NotifyRole(ctx, s.client, s.addr, 1, first.addr, 1, []int64{1}); s == second && err != nil {
			t.Errorf("the same role again: %v", err)
		}
	}
}

// TestSlaveOfAnUnnamedMaster: a slave that has found its master at a name server, and copied from it, or only heard of it, is
// told later that this is the one, but is not made the master under its epoch.
func TestSlaveOfAnUnnamedMaster(t *testing.T) {
	for _, messages := range []int{0, 3} {
		o := switchOptions(t.TempDir(), config.SyncMaster, 1)
		o.MinInSyncReplicas = 1
		first := openSeat(t, o)
		m := first.bench()
		for range messages {
			m.put("Pair", 0, "x")
		}
		o = switchOptions(t.TempDir(), config.SlaveRole, 2)
		o.HAMasterAddress = m.haAddr()
		second := openSeat(t, o)
		slave := second.bench()
		slave.await("the slave to copy", func() bool {
			return slave.replication.slave.Status().Epoch == 1 && slave.store.MaxPhyOffset() == m.store.MaxPhyOffset()
		})
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		err := NotifyRole(ctx, second.client, second.addr, 2, second.addr, 1, []int64{2})
		if r := (*refusal)(nil); !errors.As(err, &r) || r.code != protocol.ControllerFencedMasterEpoch {
			t.Errorf("a slave of %d messages is made master under its master's epoch: %v", messages, err)
		}
		second.give(1, 1, first)
		first.inSync(1, 2)
		first.bench().put("Pair", 0, "y")
	}
}

// TestRolesThatHold says of each role whether a broker takes it, by the one that it has, the last epoch of its log and the one
// under which a master has answered.
func TestRolesThatHold(t *testing.T) {
	const self, one, other = 7, 1, 2
	for _, c := range []struct {
		why            string
		now            role
		last, answered int32
		given          role
		taken, again   bool
	}{
		{"a later one", role{Epoch: 4, MasterBrokerID: one}, 4, 4, role{Epoch: 5, MasterBrokerID: self}, true, false},
		{"a later one", role{Epoch: 4, MasterBrokerID: self}, 4, 0, role{Epoch: 5, MasterBrokerID: one}, true, false},
		{"an older one", role{Epoch: 4}, 0, 0, role{Epoch: 3, MasterBrokerID: one}, false, false},
		{"older than the log", role{Epoch: 1}, 3, 3, role{Epoch: 2, MasterBrokerID: one}, false, false},
		{"another master", role{Epoch: 4, MasterBrokerID: one}, 3, 0, role{Epoch: 4, MasterBrokerID: other}, false, false},
		{"another than itself", role{Epoch: 4, MasterBrokerID: self}, 4, 0, role{Epoch: 4, MasterBrokerID: other}, false, false},
		{"itself for another", role{Epoch: 4, MasterBrokerID: one}, 3, 0, role{Epoch: 4, MasterBrokerID: self}, false, false},
		{"the same", role{Epoch: 4, MasterBrokerID: one}, 4, 4, role{Epoch: 4, MasterBrokerID: one}, false, true},
		{"a name for the settings' epoch", role{Epoch: 1}, 0, 0, role{Epoch: 1, MasterBrokerID: one}, true, false},
		{"a name for the one copied from", role{Epoch: 1}, 1, 1, role{Epoch: 1, MasterBrokerID: one}, true, false},
		{"a name for the log's epoch", role{Epoch: 1}, 3, 3, role{Epoch: 3, MasterBrokerID: one}, true, false},
		{"a later reign of its master", role{Epoch: 2, MasterBrokerID: one}, 3, 3, role{Epoch: 3, MasterBrokerID: one}, true, false},
		{"another than copied from", role{Epoch: 2, MasterBrokerID: one}, 3, 3, role{Epoch: 3, MasterBrokerID: other}, false, false},
		{"the first election", role{Epoch: 1}, 0, 0, role{Epoch: 1, MasterBrokerID: self}, true, false},
		{"of an older log", role{Epoch: 4}, 3, 3, role{Epoch: 4, MasterBrokerID: self}, true, false},
		{"itself for the one copied from", role{Epoch: 1}, 1, 0, role{Epoch: 1, MasterBrokerID: self}, false, false},
		{"itself for the one that answered", role{Epoch: 1}, 0, 1, role{Epoch: 1, MasterBrokerID: self}, false, false},
		{"itself for the log's last", role{Epoch: 1}, 3, 0, role{Epoch: 3, MasterBrokerID: self}, false, false},
	} {
		o := switchOptions(t.TempDir(), config.SlaveRole, self)
		o.EnsureDefaults()
		if err := os.Mkdir(filepath.Join(o.StorePathRootDir, "config"), 0o755); err != nil {
			t.Fatal(err)
		}
		k, err := openRole(o)
		if err == nil && c.last > 0 {
			err = k.epochs.Save(ha.Epochs{{Epoch: c.last}})
		}
		if err = errors.Join(err, k.write(c.now)); err != nil {
			t.Fatal(err)
		}
		err = k.give(c.given, c.answered)
		var fenced *ha.FencedError
		if (err == nil) != c.taken || errors.Is(err, errSameEpoch) != c.again || errors.As(err, &fenced) != (!c.taken && !c.again) {
			t.Errorf("%s: %+v, log %d, answered %d, given %+v: %v", c.why, c.now, c.last, c.answered, c.given, err)
		}
		if now := k.get(); (now.MasterBrokerID == c.given.MasterBrokerID && now.Epoch == c.given.Epoch) != (c.taken || c.again) {
			t.Errorf("%s: afterwards %+v", c.why, now)
		}
	}
}

// TestRegistrationBearsTheEpoch: of two brokers that say they are master, name servers of either make believe the one
// whose topics have the higher state version, which in RocketMQ is the epoch.
func TestRegistrationBearsTheEpoch(t *testing.T) {
	dir := t.TempDir()
	s := openSeat(t, switchOptions(dir, config.SlaveRole, 7))
	expect := func(epoch int64) {
		t.Helper()
		b := s.bench()
		if v := b.registrar.body(b.options()).TopicConfigSerializeWrapper.DataVersion; v.StateVersion != epoch {
			t.Errorf("registered with the version %+v, want the epoch %d", v, epoch)
		}
	}
	expect(1)
	s.give(5, 7, s)
	expect(5)
	s.bench().put("Made", 0, "x", "WAIT", "false")
	expect(5)
	if err := s.host.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSeat(t, switchOptions(dir, config.SlaveRole, 7))
	expect(5)
}

// logBytes is a broker's whole log.
func logBytes(t *testing.T, s *bench) (all []byte) {
	t.Helper()
	for at := s.store.MinPhyOffset(); at < s.store.ConfirmOffset(); {
		raw, release, err := s.store.ReadRaw(at, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, raw...)
		at += message.PhyOffset(len(raw))
		release()
	}
	return all
}

// TestRoleSurvivesARestart: a role given is kept, also against the settings, whose epoch is older; a higher one there holds.
func TestRoleSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	s := openSeat(t, switchOptions(dir, config.SlaveRole, 7))
	s.give(5, 7, s)
	b := s.bench()
	b.put("Kept", 0, "x", "WAIT", "false")
	if b.isSlave() || b.options().BrokerID != 0 {
		t.Fatalf("role %s, id %d", b.options().BrokerRole, b.options().BrokerID)
	}
	if err := s.host.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSeat(t, switchOptions(dir, config.SlaveRole, 7))
	b = s.bench()
	if h := b.put("Kept", 0, "y", "WAIT", "false"); b.isSlave() || h.QueueOffset != 1 {
		t.Fatalf("after a restart it is a slave: %t", b.isSlave())
	}
	if err := s.host.Close(); err != nil {
		t.Fatal(err)
	}
	o := switchOptions(dir, config.SlaveRole, 7)
	o.HAEpoch = 6
	s = openSeat(t, o)
	if b = s.bench(); !b.isSlave() || b.roles.get().Epoch != 6 {
		t.Fatalf("the settings give a role under epoch 6: %+v", b.roles.get())
	}
}

// TestLostRoleIsNotGuessed: no older role takes the place of one that is damaged, empty or gone, neither at once nor at the next
// start; and a check of the store tells.
func TestLostRoleIsNotGuessed(t *testing.T) {
	o := switchOptions(t.TempDir(), config.SlaveRole, 7)
	b, err := Open(o)
	if err == nil {
		err = errors.Join(b.roles.write(role{Epoch: 5, MasterBrokerID: 7}), b.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(o.StorePathRootDir, "config", "autoSwitchRole.json")
	for _, lose := range []func() error{
		func() error { return os.Truncate(name, 20) },
		func() error { return os.Truncate(name, 0) },
		func() error { return os.Remove(name) },
	} {
		if err := lose(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if b, err := Open(o); err == nil || !strings.Contains(err.Error(), name) {
				t.Fatalf("opened, %v", errors.Join(err, b.Close()))
			}
		}
		part := &statePart{fs: vfs.OS, dir: filepath.Dir(name)}
		if found, err := part.Check(nil, true); err != nil || len(found) != 1 || found[0].File != name {
			t.Errorf("found %+v, %v", found, err)
		}
	}
}

func TestNoSwitching(t *testing.T) {
	b := startWith(t, pairOptions(t.TempDir(), config.SyncMaster, 0))
	for _, code := range []protocol.RequestCode{protocol.GetBrokerEpochCache, protocol.ControllerGetMetadataInfo} {
		if resp := b.call(code, nil, nil); resp.ResponseCode() != protocol.SystemError {
			t.Errorf("request %d: %d %s", code, resp.Code, resp.Remark)
		}
	}
	o := switchOptions(t.TempDir(), config.SyncMaster, 0)
	if _, err := Open(o); err == nil {
		t.Error("a broker without an id of its own is taken")
	}
}
