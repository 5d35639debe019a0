package config

import (
	"cmp"
	"net"
)

// The roles of a broker.
const (
	AsyncMaster = "ASYNC_MASTER"
	SyncMaster  = "SYNC_MASTER"
	SlaveRole   = "SLAVE"
)

// haMasterAddressMin is how long a haMasterAddress is at least; a shorter one is taken for none, as in Java.
const haMasterAddressMin = 6

// HAOptions are RocketMQ's settings of masters and slaves, by its keys and with its units.
type HAOptions struct {
	HAMasterAddress           string `property:"haMasterAddress"`           // host and HA port of a slave's master; default what the name servers tell
	HASendHeartbeatInterval   int64  `property:"haSendHeartbeatInterval"`   // ms without a write before a heartbeat; default 5000
	HAHousekeepingInterval    int64  `property:"haHousekeepingInterval"`    // ms of silence before a connection is given up; default 20000
	HATransferBatchSize       int    `property:"haTransferBatchSize"`       // bytes of a frame to a slave; default 32768
	HAMaxGapNotInSync         int64  `property:"haMaxGapNotInSync"`         // bytes that a slave that counts may be behind; default 256 MiB
	HAFlowControlEnable       bool   `property:"haFlowControlEnable"`       // bound the bytes that each slave is sent; default false
	MaxHATransferByteInSecond int64  `property:"maxHaTransferByteInSecond"` // that bound; default 100 MiB
	SlaveTimeout              int64  `property:"slaveTimeout"`              // ms that a message waits for slaves; default 3000
	InSyncReplicas            int    `property:"inSyncReplicas"`            // brokers, the master included, that a SYNC_MASTER's message waits for; default 1: no slave
	MinInSyncReplicas         int    `property:"minInSyncReplicas"`         // brokers that must be there for a SYNC_MASTER to take messages; default 1
	EnableAutoInSyncReplicas  bool   `property:"enableAutoInSyncReplicas"`  // wait for those that are there, if they are fewer than inSyncReplicas; default false
	SyncFromLastFile          bool   `property:"syncFromLastFile"`          // an empty slave begins with the last file of the master's log, not the first; default false
	SlaveReadEnable           bool   `property:"slaveReadEnable"`           // consumers may read from slaves; default false
	EnableSlaveActingMaster   bool   `property:"enableSlaveActingMaster"`   // the name servers may show the first slave as the master of its group, when that is gone; default false
	EnableRemoteEscape        bool   `property:"enableRemoteEscape"`        // with it, that slave delivers what falls due meanwhile to other masters of the topics; default false

	SyncBrokerMemberGroupPeriod int64 `property:"syncBrokerMemberGroupPeriod"` // ms between two looks of such a slave at who is there; default 1000

	// Auto-switch HA: the protocol of Java's controller mode, without a controller.
	EnableAutoSwitchHA       bool  `property:"enableAutoSwitchHA"`       // not one of RocketMQ's, of which enableControllerMode asks for a controller; default false
	HAEpoch                  int32 `property:"haEpoch"`                  // not one of RocketMQ's: the epoch under which brokerRole is given; a role given later under a higher one holds; default 1
	AllAckInSyncStateSet     bool  `property:"allAckInSyncStateSet"`     // acknowledge and show nothing before all in sync have it; default false
	HAMaxTimeSlaveNotCatchup int64 `property:"haMaxTimeSlaveNotCatchup"` // ms after which a slave that lags is not in sync; default 15000
	AsyncLearner             bool  `property:"asyncLearner"`             // as a slave never be in sync; default false
}

// ensureDefaults gives every number that is zero RocketMQ's default.
func (o *HAOptions) ensureDefaults() {
	o.HASendHeartbeatInterval = cmp.Or(o.HASendHeartbeatInterval, 5000)
	o.HAHousekeepingInterval = cmp.Or(o.HAHousekeepingInterval, 20000)
	o.HATransferBatchSize = cmp.Or(o.HATransferBatchSize, 32<<10)
	o.HAMaxGapNotInSync = cmp.Or(o.HAMaxGapNotInSync, 256<<20)
	o.MaxHATransferByteInSecond = cmp.Or(o.MaxHATransferByteInSecond, 100<<20)
	o.SlaveTimeout = cmp.Or(o.SlaveTimeout, 3000)
	o.InSyncReplicas = cmp.Or(o.InSyncReplicas, 1)
	o.MinInSyncReplicas = cmp.Or(o.MinInSyncReplicas, 1)
	o.SyncBrokerMemberGroupPeriod = cmp.Or(o.SyncBrokerMemberGroupPeriod, 1000)
	o.HAEpoch = cmp.Or(o.HAEpoch, 1)
	o.HAMaxTimeSlaveNotCatchup = cmp.Or(o.HAMaxTimeSlaveNotCatchup, 15000)
}

// validate says what of it is wrong.
func (o *HAOptions) validate(fault func(property, format string, args ...any)) {
	if o.FixedMaster() != "" {
		if _, _, err := net.SplitHostPort(o.HAMasterAddress); err != nil {
			fault("haMasterAddress", "%q is not host:port", o.HAMasterAddress)
		}
	}
	if o.HATransferBatchSize < 1 || o.HATransferBatchSize > haBatchMax {
		fault("haTransferBatchSize", "%d is not between 1 and %d, which a slave can take", o.HATransferBatchSize, haBatchMax)
	}
	for _, n := range []struct {
		property string
		value    int64
	}{
		{"haSendHeartbeatInterval", o.HASendHeartbeatInterval}, {"haHousekeepingInterval", o.HAHousekeepingInterval},
		{"haMaxGapNotInSync", o.HAMaxGapNotInSync}, {"maxHaTransferByteInSecond", o.MaxHATransferByteInSecond},
		{"haEpoch", int64(o.HAEpoch)}, {"haMaxTimeSlaveNotCatchup", o.HAMaxTimeSlaveNotCatchup},
		{"slaveTimeout", o.SlaveTimeout}, {"syncBrokerMemberGroupPeriod", o.SyncBrokerMemberGroupPeriod}, {"inSyncReplicas", int64(o.InSyncReplicas)}, {"minInSyncReplicas", int64(o.MinInSyncReplicas)},
	} {
		if n.value < 0 {
			fault(n.property, "%d is negative", n.value)
		}
	}
}

// haBatchMax is what the read buffer of Java's slaves holds, with some room for the frame's header.
const haBatchMax = 4<<20 - 64

// FixedMaster is the configured address of the master's HA port, if there is one.
func (o *HAOptions) FixedMaster() string {
	if len(o.HAMasterAddress) < haMasterAddressMin {
		return ""
	}
	return o.HAMasterAddress
}

// WaitsForSlaves says whether messages may wait for slaves.
func (o *Options) WaitsForSlaves() bool {
	return o.BrokerRole == SyncMaster && (o.InSyncReplicas > 1 || o.MinInSyncReplicas > 1 || o.EnableAutoSwitchHA && o.AllAckInSyncStateSet)
}
