package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"

	"github.com/rocketlog/rocketlog/broker/config"
	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/ha"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// A role is what a broker with auto-switch HA was made, and under which epoch: of two that it is given, that with the
// higher one holds. It is kept in config/autoSwitchRole.json.
type role struct {
	Epoch          int32  `json:"epoch"`
	MasterBrokerID int64  `json:"masterBrokerId"` // 0 if that is not known
	MasterAddress  string `json:"masterAddress"`  // where it serves clients; empty if that is not known
	// SyncStateSet is of a master: who is in sync with it, itself included.
	SyncStateSet      []int64 `json:"syncStateSet"`
	SyncStateSetEpoch int32   `json:"syncStateSetEpoch"`
	// PageCache is of a master that flushes asynchronously: what it may lose of its reign goes with this page cache.
	PageCache string `json:"pageCache"`
}

// roleKeeper keeps the role of a broker.
type roleKeeper struct {
	file   state.File
	epochs *ha.EpochFile
	id     int64 // the broker's own

	mu struct {
		sync.Mutex
		role role
	}
	// changed is told that a role was noted which is not the one in force.
	changed chan struct{}
}

// errSameEpoch says that a role is the one that the broker has: only its in-sync set may be newer.
var errSameEpoch = errors.New("a broker's role was changed under the epoch that it has")

// openRole reads the role that is noted, in place of which comes that of the settings if their epoch is higher.
func openRole(o *Options) (*roleKeeper, error) {
	k := &roleKeeper{
		file:   state.NewFile(o.FS, filepath.Join(o.StorePathRootDir, "config", "autoSwitchRole.json")),
		epochs: ha.NewEpochFile(o.FS, o.StorePathRootDir),
		id:     o.BrokerID, changed: make(chan struct{}, 1),
	}
	epochs, err := k.epochs.Load()
	if err != nil {
		return nil, err
	}
	if k.mu.role, err = readRole(o.FS, k.file.Name()); err != nil {
		return nil, fmt.Errorf("%w: without its role the broker cannot tell what it may do under which epoch", err)
	}
	if o.HAEpoch > max(k.mu.role.Epoch, epochs.Last()) {
		r := role{Epoch: o.HAEpoch}
		if o.BrokerRole != config.SlaveRole {
			r.MasterBrokerID, r.SyncStateSet, r.SyncStateSetEpoch = k.id, []int64{k.id}, 1
		}
		return k, k.write(r)
	}
	return k, nil
}

// readRole reads the role that is noted in a file, if one ever was. The backup does not stand in for it: under an older role, or
// with an older in-sync set, a master would acknowledge what the one has not that takes its place.
func readRole(fsys vfs.FS, name string) (r role, err error) {
	found, err := vfs.LoadFile(fsys, name, func(data []byte) error { return protocol.UnmarshalJSON(data, &r) })
	if found || err != nil {
		return r, err
	}
	for _, trace := range []string{name, name + vfs.BackupSuffix} {
		if _, err := fsys.Stat(trace); !errors.Is(err, fs.ErrNotExist) {
			return r, errors.Join(err, fmt.Errorf("%s is gone or empty, and a role was noted in it", name))
		}
	}
	return r, nil
}

// get is the role noted last.
func (k *roleKeeper) get() role {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.mu.role
}

func (k *roleKeeper) write(r role) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.writeLocked(r)
}

func (k *roleKeeper) writeLocked(r role) error {
	if err := k.file.Write(&r); err != nil {
		return err
	}
	k.mu.role = r
	return nil
}

// isMaster tells whether the role is that of the master.
func (k *roleKeeper) isMaster(r role) bool { return r.MasterBrokerID == k.id }

// give notes a role that may hold, which comes into force soon. Java's controller also tells of the in-sync set under the epoch
// that holds already. answered is the highest epoch under which a master has answered this process as its slave.
func (k *roleKeeper) give(r role, answered int32) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.mu.role
	if r.Epoch == now.Epoch && r.MasterBrokerID == now.MasterBrokerID && r.SyncStateSetEpoch >= now.SyncStateSetEpoch {
		return errSameEpoch
	}
	epochs, err := k.epochs.Load()
	if err != nil {
		return err
	}
	if last := max(now.Epoch, epochs.Last()); r.Epoch < last || r.Epoch == last && !k.names(r, max(epochs.Last(), answered)) {
		return &ha.FencedError{Epoch: r.Epoch, Last: last}
	}
	if k.isMaster(r) && !slices.Contains(r.SyncStateSet, k.id) {
		r.SyncStateSet = append(slices.Clone(r.SyncStateSet), k.id)
	}
	if err := k.writeLocked(r); err != nil {
		return err
	}
	select {
	case k.changed <- struct{}{}:
	default:
	}
	return nil
}

// names tells whether a role under the last epoch that is known does no more than say whose that is, which was not known: a slave
// has the epoch of its settings (the first one, if they have none), or that of bytes that it copied, before it hears of the role.
// If it is to reign itself nobody else may be known to have begun: reigned is the last epoch known to have been of a master.
func (k *roleKeeper) names(r role, reigned int32) bool {
	now := k.mu.role
	if known := now.MasterBrokerID; known != 0 && (now.Epoch == r.Epoch || known != r.MasterBrokerID) {
		return false // it is another one's, or said again
	}
	return !k.isMaster(r) || reigned < r.Epoch
}

// rule decides on the in-sync set of the reign of an epoch: without a controller, the master itself does.
func (k *roleKeeper) rule(epoch int32, members []int64, setEpoch int32) ([]int64, int32, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.mu.role
	switch {
	case r.Epoch != epoch || !k.isMaster(r):
		return nil, 0, &ha.FencedError{Epoch: epoch, Last: r.Epoch}
	case r.SyncStateSetEpoch != setEpoch:
		return r.SyncStateSet, r.SyncStateSetEpoch, nil
	}
	r.SyncStateSet, r.SyncStateSetEpoch = members, setEpoch+1
	if err := k.writeLocked(r); err != nil {
		return nil, 0, err
	}
	return members, setEpoch + 1, nil
}

// errLostTail keeps a master from going on with a reign of which it may have lost bytes that slaves have.
var errLostTail = errors.New("the last run did not end cleanly, and what it had not flushed may be lost: under the same epoch " +
	"other bytes would take its place. Begin a new reign with a haEpoch above all that any broker of this name had, or make another one master")

// reign begins or goes on with a reign over a store that is open. lost says that the end of the log may be missing.
func (k *roleKeeper) reign(first, end, confirmed message.PhyOffset, lost bool, cache string) (*ha.Reign, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.mu.role
	epochs, err := k.epochs.Load()
	switch {
	case err != nil:
		return nil, err
	case epochs.Last() != r.Epoch:
		if epochs, err = epochs.Reign(r.Epoch, first, end); err == nil {
			err = k.epochs.Save(epochs)
		}
		if err != nil {
			return nil, err
		}
	case lost && (cache == "" || cache != r.PageCache), epochs.Fit(end).Last() != r.Epoch:
		return nil, errLostTail
	}
	if r.PageCache != cache {
		r.PageCache = cache
		if err := k.writeLocked(r); err != nil {
			return nil, err
		}
	}
	return &ha.Reign{ID: k.id, Epochs: epochs, Members: r.SyncStateSet, SetEpoch: r.SyncStateSetEpoch, Confirm: min(confirmed, end)}, nil
}

// roleChanged takes in a role (NOTIFY_BROKER_ROLE_CHANGED), which Java's controller gives, or mqadmin setBrokerRole.
func (b *Broker) roleChanged(c *call) error {
	var h protocol.NotifyBrokerRoleChangedRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	if b.roles == nil {
		return errNoSwitching
	}
	var set protocol.SyncStateSet
	if len(c.req.Body) > 0 {
		if err := c.body(&set); err != nil {
			return err
		}
	}
	r := role{Epoch: h.MasterEpoch.Value, MasterBrokerID: h.MasterBrokerID.Value, MasterAddress: h.MasterAddress}
	if r.Epoch <= 0 || r.MasterBrokerID <= 0 {
		return refuse(protocol.SystemError, "epoch %d and broker id %d: both must be above 0", r.Epoch, r.MasterBrokerID)
	}
	if b.roles.isMaster(r) {
		r.SyncStateSet, r.SyncStateSetEpoch = set.SyncStateSet, max(h.SyncStateSetEpoch.Value, set.SyncStateSetEpoch)
	}
	answered := int32(0)
	if s := b.replication.slave; s != nil {
		answered = s.Status().Epoch
	}
	err := b.roles.give(r, answered)
	var fenced *ha.FencedError
	switch {
	case errors.Is(err, errSameEpoch):
		if m := b.replication.master; m != nil && b.roles.isMaster(r) {
			m.SetMembers(r.SyncStateSet, r.SyncStateSetEpoch)
		}
		return nil
	case errors.As(err, &fenced):
		return refuse(protocol.ControllerFencedMasterEpoch, "%v", err)
	case err != nil:
		return err
	}
	b.log.Info("the broker is given a role", "epoch", r.Epoch, "master", r.MasterBrokerID, "address", r.MasterAddress, "self", b.roles.id)
	return nil
}

// errNoSwitching answers what is of controller mode, as Java's broker does.
var errNoSwitching = refuse(protocol.SystemError, "this request only for controllerMode: enableAutoSwitchHA is off")

// epochCache tells of the epochs of the log (GET_BROKER_EPOCH_CACHE).
func (b *Broker) epochCache(c *call) error {
	if b.roles == nil {
		return errNoSwitching
	}
	o := b.options()
	cache := protocol.EpochEntryCache{
		ClusterName: o.BrokerClusterName, BrokerName: o.BrokerName, BrokerID: o.BrokerID,
		MaxOffset: int64(b.store.MaxPhyOffset()), EpochList: []protocol.EpochEntry{},
	}
	epochs, err := b.roles.epochs.Load()
	if err != nil {
		return err
	}
	for i, e := range epochs {
		entry := protocol.EpochEntry{Epoch: e.Epoch, StartOffset: int64(e.Start), EndOffset: 1<<63 - 1}
		if i+1 < len(epochs) {
			entry.EndOffset = int64(epochs[i+1].Start)
		}
		cache.EpochList = append(cache.EpochList, entry)
	}
	return c.json(&cache)
}

// controllerMetadata says who decides on the in-sync set (CONTROLLER_GET_METADATA_INFO): a master without a controller does.
func (b *Broker) controllerMetadata(c *call) error {
	if b.roles == nil || b.isSlave() {
		return refuse(protocol.SystemError, "the broker is no controller, nor a master that decides on its in-sync set")
	}
	(&protocol.GetMetaDataResponseHeader{
		Group: b.options().BrokerName, ControllerLeaderID: fmt.Sprint(b.roles.id), ControllerLeaderAddress: b.Addr(), IsLeader: true, Peers: b.Addr(),
	}).Encode(&c.resp.Fields)
	return nil
}

// syncStateData tells of the in-sync set (CONTROLLER_GET_SYNC_STATE_DATA).
func (b *Broker) syncStateData(c *call) error {
	var names []string
	if err := c.body(&names); err != nil {
		return err
	}
	m := b.replication.master
	if b.roles == nil || m == nil {
		return refuse(protocol.SystemError, "the broker is no controller, nor a master that decides on its in-sync set")
	}
	o := b.options()
	data := protocol.BrokerReplicasInfo{ReplicasInfoTable: map[string]protocol.ReplicasInfo{}}
	if slices.Contains(names, o.BrokerName) {
		members, setEpoch := m.Members()
		info := protocol.ReplicasInfo{
			MasterAddress: b.Addr(), MasterBrokerID: b.roles.id, MasterEpoch: b.roles.get().Epoch, SyncStateSetEpoch: setEpoch,
			InSyncReplicas: []protocol.ReplicaIdentity{}, NotInSyncReplicas: []protocol.ReplicaIdentity{},
		}
		here := map[int64]string{b.roles.id: b.Addr()}
		for _, s := range m.Slaves() {
			here[s.BrokerID] = s.Addr
		}
		for _, id := range members {
			_, alive := here[id]
			info.InSyncReplicas = append(info.InSyncReplicas, protocol.ReplicaIdentity{BrokerName: o.BrokerName, BrokerID: id, BrokerAddress: here[id], Alive: alive})
			delete(here, id)
		}
		for id, addr := range here {
			info.NotInSyncReplicas = append(info.NotInSyncReplicas, protocol.ReplicaIdentity{BrokerName: o.BrokerName, BrokerID: id, BrokerAddress: addr, Alive: true})
		}
		data.ReplicasInfoTable[o.BrokerName] = info
	}
	return c.json(&data)
}

// haInfo says where a master serves slaves (EXCHANGE_BROKER_HA_INFO).
func (b *Broker) haInfo(c *call) error {
	var master protocol.ExchangeHAInfoRequestHeader
	if err := c.header(&master); err != nil {
		return err
	}
	if master.MasterHAAddress != "" {
		b.replication.learnMaster(&protocol.RegisterBrokerResponseHeader{HAServerAddr: master.MasterHAAddress, MasterAddr: master.MasterAddress})
		if b.acting != nil {
			b.acting.announced()
		}
		return nil
	}
	h := protocol.ExchangeHAInfoResponseHeader{MasterFlushOffset: protocol.Some(int64(b.store.FlushedOffset()))}
	if b.replication.master != nil {
		h.MasterHAAddress, h.MasterAddress = b.haAddr(), b.Addr()
	}
	h.Encode(&c.resp.Fields)
	return nil
}
