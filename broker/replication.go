package broker

import (
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/broker/config"
	"github.com/rocketlog/rocketlog/ha"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// replication is the broker's part as a master or as a slave. One of master and slave is nil.
type replication struct {
	b      *Broker
	master *ha.Master
	slave  *ha.Slave

	sync *slaveSync // of a slave
	rate transferRate

	mu struct {
		sync.Mutex
		masterAddr string // where the master of a slave serves clients
	}
}

// openReplication lets a master listen for slaves, and has a slave's log follow its master's as soon as it is known.
func (b *Broker) openReplication(o *Options) error {
	r := &replication{b: b}
	b.replication = r
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	group := o.BrokerClusterName + "/" + o.BrokerName
	if b.isSlave() {
		if b.roles != nil {
			r.mu.masterAddr = b.roles.get().MasterAddress
		}
		r.sync = newSlaveSync(b)
		r.slave = ha.OpenSlave(b.store, o.FixedMaster(), &ha.SlaveOptions{
			Group: group, BrokerID: o.BrokerID, LastFileOnly: o.SyncFromLastFile, FileSize: o.MappedFileSizeCommitLog,
			HeartbeatInterval: ms(o.HASendHeartbeatInterval), HousekeepingInterval: ms(o.HAHousekeepingInterval),
			Epochs: b.epochFile(), Learner: o.AsyncLearner,
			OnEvent: r.masterEvent,
		})
		return nil
	}
	port := o.HAListenPort
	switch {
	case o.ListenPort == config.AnyPort && port <= 0:
		port = b.lastPorts.ha
	case port <= 0:
		port = b.port + 1
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(o.BindAddress, strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("property haListenPort: %w", err)
	}
	reign, err := b.beginReign(o)
	if err != nil {
		ln.Close()
		return err
	}
	r.master = ha.OpenMaster(b.store, ln, &ha.MasterOptions{
		Group: group, FileSize: o.MappedFileSizeCommitLog, Sync: o.BrokerRole == config.SyncMaster,
		InSyncReplicas: o.InSyncReplicas, MinInSyncReplicas: o.MinInSyncReplicas, AutoInSyncReplicas: o.EnableAutoInSyncReplicas,
		MaxGapNotInSync: o.HAMaxGapNotInSync, SlaveTimeout: ms(o.SlaveTimeout), BatchSize: o.HATransferBatchSize,
		FlowControl: o.HAFlowControlEnable, BytesPerSecond: o.MaxHATransferByteInSecond,
		HeartbeatInterval: ms(o.HASendHeartbeatInterval), HousekeepingInterval: ms(o.HAHousekeepingInterval),
		Reign: reign, Epochs: b.epochFile(), AllAckInSyncStateSet: o.AllAckInSyncStateSet, MaxTimeNotCaughtUp: ms(o.HAMaxTimeSlaveNotCatchup),
		Rule:    b.ruleOf(reign),
		OnEvent: r.slaveEvent,
	})
	b.store.SetReplicator(r.master)
	return nil
}

// isSlave says whether the broker follows a master. A slave takes no messages and does nothing of its own with the log.
func (b *Broker) isSlave() bool { return b.options().BrokerRole == config.SlaveRole }

// refusePuts answers on a slave what would put messages: they come from its master only. Of pops see popper.served.
func (b *Broker) refusePuts(s *remoting.Server) {
	for _, code := range []protocol.RequestCode{protocol.ConsumerSendMsgBack, protocol.RecallMessage} {
		s.Handle(code, answer(func(*call) error { return errSlavePuts }), remoting.Inline())
	}
}

// errSlavePuts is what Java's store says of itself to a client of a slave, which then tries another broker.
var errSlavePuts = refuse(protocol.ServiceNotAvailable, "service not available now: the broker is a slave, and takes messages from its master only")

// start begins to copy what is not in the log.
func (r *replication) start() {
	if r.sync != nil {
		r.sync.start()
	}
}

// close ends the replication. What waits for slaves is answered.
func (r *replication) close() {
	if r.master != nil {
		r.master.Close() //nolint:errcheck // the listener is of no use any more
	}
	if r.slave != nil {
		r.sync.close()
		r.slave.Close() //nolint:errcheck // it has nothing to say
	}
}

func (r *replication) slaveEvent(e ha.Event) {
	switch {
	case e.Connected:
		r.b.log.Info("slave has connected", "address", e.Addr, "brokerId", e.BrokerID)
	case e.Err != nil:
		r.b.log.Warn("slave is gone", "address", e.Addr, "brokerId", e.BrokerID, "error", e.Err)
	default:
		r.b.log.Info("slave is gone", "address", e.Addr, "brokerId", e.BrokerID)
	}
}

func (r *replication) masterEvent(e ha.Event) {
	if e.Truncated > 0 {
		r.b.log.Warn("the log had bytes that the master's does not have, and lost them", "address", e.Addr, "bytes", int64(e.Truncated))
		return
	}
	if e.Connected {
		r.b.log.Info("the log follows the master's", "address", e.Addr)
		r.sync.kick()
		return
	}
	r.b.log.Warn("the log does not follow the master's; tried again", "address", e.Addr, "error", e.Err)
}

// learnMaster takes from a registration where the master is. A fixed address of its HA port stays.
func (r *replication) learnMaster(h *protocol.RegisterBrokerResponseHeader) {
	if r.slave == nil || r.b.roles != nil && r.b.roles.get().MasterAddress != "" {
		return // the role tells, which may be newer than what the name server knows
	}
	if h.HAServerAddr != "" && r.b.options().FixedMaster() == "" {
		r.slave.SetMaster(h.HAServerAddr)
	}
	if h.MasterAddr != "" {
		r.mu.Lock()
		changed := r.mu.masterAddr != h.MasterAddr
		r.mu.masterAddr = h.MasterAddr
		r.mu.Unlock()
		if changed {
			r.sync.kick()
		}
	}
}

// masterAddr is where the master of a slave serves clients, empty if that is not known.
func (r *replication) masterAddr() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.masterAddr
}

// masterGone says of a slave that it does not hear of its master.
func (r *replication) masterGone() bool { return !r.slave.Status().Connected }

// haAddr is what slaves are told.
func (b *Broker) haAddr() string {
	port := b.port + 1
	if r := b.replication; r.master != nil {
		port = r.master.Addr().(*net.TCPAddr).Port
	}
	return net.JoinHostPort(b.options().BrokerIP2, strconv.Itoa(port))
}

// suggestBroker is the id of the broker that a consumer is to read from next: a slave if what it reads is so far behind
// that it would be read from disk, if slaves may be read from.
func (d *pulling) suggestBroker(o *Options) int64 {
	switch {
	case !o.SlaveReadEnable:
		return 0
	case d.res.SuggestSlave:
		return d.group.WhichBrokerWhenConsumeSlowly
	case d.p.b.isSlave() && !d.p.b.replication.masterGone():
		return 0
	case d.p.b.isSlave():
		return o.BrokerID // here, while the master is gone
	default:
		return d.group.BrokerID
	}
}

// backToMaster says that a consumer which finds nothing at a slave is to ask the master: what it looks for may be there.
func (d *pulling) backToMaster() bool {
	b := d.p.b
	return b.isSlave() && !d.res.SuggestSlave && !b.replication.masterGone()
}

// haStatus tells of the slaves of a master, and of a slave how far it is.
func (b *Broker) haStatus(c *call) error {
	end := int64(b.store.MaxPhyOffset())
	info := protocol.HARuntimeInfo{Master: !b.isSlave(), MasterCommitLogMaxOffset: end, HAConnectionInfo: []protocol.HAConnectionRuntimeInfo{}}
	if s := b.replication.slave; s != nil {
		status := s.Status()
		info.MasterCommitLogMaxOffset = 0
		info.HAClientRuntimeInfo = protocol.HAClientRuntimeInfo{
			MasterAddr: status.Master, MaxOffset: end,
			LastReadTimestamp: status.LastRead, LastWriteTimestamp: status.LastWrote,
			TransferredByteInSecond: b.replication.rate.of(b.now(), map[string]int64{status.Master: status.Received})[status.Master],
		}
		return c.json(&info)
	}
	slaves, sent := b.replication.master.Slaves(), map[string]int64{}
	for _, s := range slaves {
		sent[s.Addr] = s.Sent
	}
	rates := b.replication.rate.of(b.now(), sent)
	for _, s := range slaves {
		info.HAConnectionInfo = append(info.HAConnectionInfo, protocol.HAConnectionRuntimeInfo{
			Addr: s.Addr, Diff: end - int64(s.Ack), InSync: s.InSync, SlaveAckOffset: int64(s.Ack), TransferFromWhere: int64(s.Next),
			TransferredByteInSecond: rates[s.Addr],
		})
		if s.InSync {
			info.InSyncSlaveNums++
		}
	}
	return c.json(&info)
}
