package broker

import (
	"context"
	"fmt"
	"net"
	"path/filepath"

	"github.com/rocketlog/rocketlog/broker/config"
	"github.com/rocketlog/rocketlog/ha"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// listenPorts are those that a broker listened on which took any; 0 is any.
type listenPorts struct{ main, fast, ha int }

func (b *Broker) ports() listenPorts {
	p := listenPorts{main: b.port, fast: b.fastPort}
	if m := b.replication.master; m != nil {
		p.ha = m.Addr().(*net.TCPAddr).Port
	}
	return p
}

// takeRole puts the role that the broker has under its epoch in place of that of the settings. A master is known to
// clients by the id 0, as in Java; its own id it keeps for the in-sync set.
func (b *Broker) takeRole(o *Options) error {
	if !o.EnableAutoSwitchHA {
		return nil
	}
	if err := o.FS.MkdirAll(filepath.Join(o.StorePathRootDir, "config"), 0o755); err != nil {
		return err
	}
	var err error
	if b.roles, err = openRole(o); err != nil {
		return err
	}
	r := b.roles.get()
	o.BrokerRole = config.SlaveRole
	if b.roles.isMaster(r) {
		o.BrokerRole, o.BrokerID = config.SyncMaster, 0
	}
	b.log.Info("role", "epoch", r.Epoch, "role", o.BrokerRole, "id", b.roles.id, "master", r.MasterBrokerID)
	return nil
}

// epochFile is nil without auto-switch HA.
func (b *Broker) epochFile() *ha.EpochFile {
	if b.roles == nil {
		return nil
	}
	return b.roles.epochs
}

// beginReign begins a master's reign, or goes on with it. It is nil without auto-switch HA.
func (b *Broker) beginReign(o *Options) (*ha.Reign, error) {
	if b.roles == nil {
		return nil, nil
	}
	lost := b.unclean && (o.FlushDiskType != "SYNC_FLUSH" || o.TransientStorePoolEnable)
	cache := o.FS.CacheID(o.StorePathRootDir)
	if o.TransientStorePoolEnable {
		cache = "" // a kill of the process loses its end too
	}
	return b.roles.reign(b.store.MinPhyOffset(), b.store.MaxPhyOffset(), b.store.ConfirmedOffset(), lost, cache)
}

// ruleOf decides on the in-sync set of a reign.
func (b *Broker) ruleOf(reign *ha.Reign) func([]int64, int32) ([]int64, int32, error) {
	if reign == nil {
		return nil
	}
	epoch := reign.Epochs.Last()
	return func(members []int64, setEpoch int32) ([]int64, int32, error) {
		members, setEpoch, err := b.roles.rule(epoch, members, setEpoch)
		if err == nil {
			b.log.Info("in-sync set", "members", members, "epoch", setEpoch)
		}
		return members, setEpoch, err
	}
}

// findMaster asks the broker that the role names where it serves slaves.
func (s *slaveSync) findMaster(addr string) error {
	o := s.b.options()
	if s.b.roles == nil || o.FixedMaster() != "" {
		return nil
	}
	resp, ok, err := s.ask(addr, protocol.ExchangeBrokerHAInfo, nil, nil)
	if err != nil || !ok {
		return err
	}
	var h protocol.ExchangeHAInfoResponseHeader
	if err := h.Decode(&resp.Fields); err != nil {
		return err
	}
	if h.MasterHAAddress == "" {
		return fmt.Errorf("the broker at %s is no master yet", addr)
	}
	s.b.replication.slave.SetMaster(h.MasterHAAddress)
	return nil
}

// NotifyRole gives the broker at addr a role: who is master of its name under an epoch, which serves clients at
// masterAddr, and, if that is the broker itself, who is in sync with it.
func NotifyRole(ctx context.Context, client *remoting.Client, addr string, masterID int64, masterAddr string, epoch int32, inSync []int64) error {
	req := remoting.NewRequest(protocol.NotifyBrokerRoleChanged)
	(&protocol.NotifyBrokerRoleChangedRequestHeader{
		MasterBrokerID: protocol.Some(masterID), MasterAddress: masterAddr, MasterEpoch: protocol.Some(epoch), SyncStateSetEpoch: protocol.Some(int32(1)),
	}).Encode(&req.Fields)
	var err error
	if req.Body, err = protocol.MarshalJSON(&protocol.SyncStateSet{SyncStateSet: append([]int64{}, inSync...), SyncStateSetEpoch: 1}); err != nil {
		return err
	}
	resp, err := client.Call(ctx, addr, req)
	if err != nil {
		return err
	}
	if resp.ResponseCode() != protocol.Success {
		return &refusal{resp.ResponseCode(), resp.Remark}
	}
	return nil
}
