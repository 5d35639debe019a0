package config

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/ha"
	"github.com/rocketlog/rocketlog/internal/properties"
	"github.com/rocketlog/rocketlog/internal/vfs"
)

// Options say what a broker is called, where it listens and how it behaves. The fields with a property tag are RocketMQ's
// keys of broker.conf, with its meanings, units and, from DefaultOptions, its defaults. Numbers and texts that are zero
// take the default when the broker is opened; switches are taken as they are, so start from DefaultOptions.
type Options struct {
	BrokerClusterName string `property:"brokerClusterName"` // name of the cluster; default DefaultCluster
	BrokerName        string `property:"brokerName"`        // name of the master with its slaves; default the host's name
	BrokerID          int64  `property:"brokerId"`          // 0 is the master; others are slaves
	BrokerRole        string `property:"brokerRole"`        // ASYNC_MASTER, SYNC_MASTER or SLAVE; default ASYNC_MASTER
	BrokerIP1         string `property:"brokerIP1"`         // address that clients are told; default this machine's first one that others can reach
	BrokerIP2         string `property:"brokerIP2"`         // address that slaves are told; default as BrokerIP1
	BindAddress       string `property:"bindAddress"`       // address to listen on; default 0.0.0.0
	ListenPort        int    `property:"listenPort"`        // main port, and two below it the one of clients with the VIP channel; default 10911, -1 any free port (for tests)
	HAListenPort      int    `property:"haListenPort"`      // port of a master for its slaves; default ListenPort + 1
	NamesrvAddr       string `property:"namesrvAddr"`       // name servers to register with, with ";" between; none by default
	BrokerPermission  int32  `property:"brokerPermission"`  // 4 read, 2 write; default 6

	RegisterNameServerPeriod   int64 `property:"registerNameServerPeriod"`   // ms between registrations, 10000 to 60000; default 30000
	RegisterBrokerTimeoutMills int64 `property:"registerBrokerTimeoutMills"` // ms that a registration may take; default 24000

	AutoCreateTopicEnable       bool   `property:"autoCreateTopicEnable"`       // make a topic when a message is sent to it; default true
	DefaultTopicQueueNums       int32  `property:"defaultTopicQueueNums"`       // queues of such a topic at most; default 8
	AutoCreateSubscriptionGroup bool   `property:"autoCreateSubscriptionGroup"` // make a group when it first consumes; default true
	ClusterTopicEnable          bool   `property:"clusterTopicEnable"`          // the topic called as the cluster may be used; default true
	BrokerTopicEnable           bool   `property:"brokerTopicEnable"`           // the topic called as the broker may be used; default true
	TraceTopicEnable            bool   `property:"traceTopicEnable"`            // make the trace topic; default false
	MsgTraceTopicName           string `property:"msgTraceTopicName"`           // default RMQ_SYS_TRACE_TOPIC
	RejectTransactionMessage    bool   `property:"rejectTransactionMessage"`    // refuse messages of transactions; default false
	RegionID                    string `property:"regionId"`                    // default DefaultRegion
	TraceOn                     bool   `property:"traceOn"`                     // tell producers to report traces; default true

	TransactionTimeOut         int64 `property:"transactionTimeOut"`         // ms from a half message to the first question after it; default 6000
	TransactionCheckMax        int32 `property:"transactionCheckMax"`        // questions after which a transaction is given up; default 15
	TransactionCheckInterval   int64 `property:"transactionCheckInterval"`   // ms between questions; default 30000
	TransactionOpMsgMaxSize    int   `property:"transactionOpMsgMaxSize"`    // bytes of an op message, about; default 4096
	TransactionOpBatchInterval int64 `property:"transactionOpBatchInterval"` // ms from the end of a transaction to its op message; default 3000

	StoreReplyMessageEnable bool `property:"storeReplyMessageEnable"` // keep the replies of request and reply; default true

	LongPollingEnable                 bool  `property:"longPollingEnable"`                  // hold pulls that find nothing; default true
	ShortPollingTimeMills             int64 `property:"shortPollingTimeMills"`              // ms of the hold otherwise; default 1000
	LitePullMessageEnable             bool  `property:"litePullMessageEnable"`              // default true
	RejectPullConsumerEnable          bool  `property:"rejectPullConsumerEnable"`           // refuse pulls of groups without heartbeat; default false
	EnablePropertyFilter              bool  `property:"enablePropertyFilter"`               // filter by SQL92 for consumers that ask for it; default true, RocketMQ's false
	FilterDataCleanTimeSpan           int64 `property:"filterDataCleanTimeSpan"`            // ms for which the filter of a group that is gone is remembered; default 24 h
	FilterSupportRetry                bool  `property:"filterSupportRetry"`                 // filter retry topics too; default false
	NotifyConsumerIDsChangedEnable    bool  `property:"notifyConsumerIdsChangedEnable"`     // tell consumers when their group changes; default true
	UseServerSideResetOffset          bool  `property:"useServerSideResetOffset"`           // a reset of offsets is the broker's affair; default true
	FlushConsumerOffsetInterval       int64 `property:"flushConsumerOffsetInterval"`        // ms from a commit to its being durable; default 5000
	ConsumerOffsetUpdateVersionStep   int64 `property:"consumerOffsetUpdateVersionStep"`    // commits per data version; default 500
	FlushDelayOffsetInterval          int64 `property:"flushDelayOffsetInterval"`           // ms from a delivery of a delayed message to its being noted on disk; default 10000
	StartAcceptSendRequestTimeStamp   int64 `property:"startAcceptSendRequestTimeStamp"`    // Unix ms before which sends are refused; default 0
	RecallMessageEnable               bool  `property:"recallMessageEnable"`                // producers may recall timer messages; default false
	AllowRecallWhenBrokerNotWriteable bool  `property:"allowRecallWhenBrokerNotWriteable"`  // also where brokerPermission forbids sends; default true
	ValidateSystemTopicWhenUpdate     bool  `property:"validateSystemTopicWhenUpdateTopic"` // administrators may not change system topics; default true
	ClearRetryTopicWhenDeleteTopic    bool  `property:"clearRetryTopicWhenDeleteTopic"`     // default true

	EnableRetryTopicV2                 bool  `property:"enableRetryTopicV2"`                 // popped messages come again by %RETRY%group+topic, not %RETRY%group_topic; default false
	RetrieveMessageFromPopRetryTopicV1 bool  `property:"retrieveMessageFromPopRetryTopicV1"` // with it, read those of the other name too; default true
	PopFromRetryProbability            int32 `property:"popFromRetryProbability"`            // percent of pops that look for retried messages first; default 20
	PopFromRetryProbabilityForPriority int32 `property:"popFromRetryProbabilityForPriority"` // the same of topics whose messages have priorities; default 0
	PriorityOrderAsc                   bool  `property:"priorityOrderAsc"`                   // the higher number is popped first; default true
	PopPollingSize                     int   `property:"popPollingSize"`                     // pops of a group that wait at one queue at most; default 1024
	MaxPopPollingSize                  int   `property:"maxPopPollingSize"`                  // pops that wait at most; default 100000
	MaxPopInFlight                     int   `property:"maxPopInFlight"`                     // pops not acknowledged that are kept in memory, about 300 B each; more go through the timer, or are refused without it (not RocketMQ's); default 1000000

	ServerLoadBalancerEnable  bool   `property:"serverLoadBalancerEnable"`  // share queues out among consumers that let the broker do it; default true
	DefaultMessageRequestMode string `property:"defaultMessageRequestMode"` // PULL or POP, for such consumers; default PULL
	DefaultPopShareQueueNum   int32  `property:"defaultPopShareQueueNum"`   // consumers whose queues one pops from besides its own; -1, the default, is all

	MaxPullHolds   int   `property:"maxPullHolds"`   // pulls held at most before more are answered at once (not RocketMQ's); default 100000
	MaxPutWait     int64 `property:"maxPutWait"`     // ms that a message may have to wait for the disk and for slaves before it is refused, by what others wait (not RocketMQ's); default 2500, below the 3 s of producers
	MaxPendingPuts int   `property:"maxPendingPuts"` // messages that wait for the disk at most before more are refused (not RocketMQ's); default 100000

	ColdDataFlowControlEnable bool  `property:"coldDataFlowControlEnable"` // bound what groups read from disk by the two below; default false
	CgColdReadThreshold       int64 `property:"cgColdReadThreshold"`       // bytes of a group in 5 s; default 3 MiB
	GlobalColdReadThreshold   int64 `property:"globalColdReadThreshold"`   // bytes of all groups in 5 s; default 100 MiB
	MaxColdPulls              int   `property:"maxColdPulls"`              // pulls that wait for messages to be read from disk at most (not RocketMQ's); default 10000

	DefaultQueryMaxNum int `property:"defaultQueryMaxNum"` // messages of a query by unique key; default 32

	StoreOptions
	HAOptions

	// OnConfigChange is called with settings that an administrator changes, before they count: to keep them for the next
	// start. An error refuses the change. Default: they count until the broker ends.
	OnConfigChange func([]properties.Entry) error

	FS     vfs.FS           // default the operating system's
	Logger *slog.Logger     // default slog.Default()
	Now    func() time.Time // default time.Now
}

// AnyPort as a port to listen on is any free one.
const AnyPort = -1

// Default returns the options with RocketMQ's defaults.
func Default() *Options {
	o := &Options{
		AutoCreateTopicEnable:              true,
		AutoCreateSubscriptionGroup:        true,
		ClusterTopicEnable:                 true,
		BrokerTopicEnable:                  true,
		TraceOn:                            true,
		LongPollingEnable:                  true,
		LitePullMessageEnable:              true,
		EnablePropertyFilter:               true,
		NotifyConsumerIDsChangedEnable:     true,
		UseServerSideResetOffset:           true,
		ValidateSystemTopicWhenUpdate:      true,
		ClearRetryTopicWhenDeleteTopic:     true,
		StoreOptions:                       defaultStoreOptions(),
		RetrieveMessageFromPopRetryTopicV1: true,
		ServerLoadBalancerEnable:           true,
		PriorityOrderAsc:                   true,
		AllowRecallWhenBrokerNotWriteable:  true,
		StoreReplyMessageEnable:            true,
	}
	o.EnsureDefaults()
	return o
}

// EnsureDefaults gives every number and text that is zero its default.
func (o *Options) EnsureDefaults() {
	o.BrokerClusterName = cmp.Or(o.BrokerClusterName, "DefaultCluster")
	o.BrokerName = cmp.Or(o.BrokerName, hostName())
	o.BrokerRole = cmp.Or(o.BrokerRole, AsyncMaster)
	o.BrokerIP1 = cmp.Or(o.BrokerIP1, reachableAddress())
	o.BrokerIP2 = cmp.Or(o.BrokerIP2, o.BrokerIP1)
	o.BindAddress = cmp.Or(o.BindAddress, "0.0.0.0")
	o.ListenPort = cmp.Or(o.ListenPort, 10911)
	o.BrokerPermission = cmp.Or(o.BrokerPermission, metadata.PermRead|metadata.PermWrite)
	o.RegisterNameServerPeriod = cmp.Or(o.RegisterNameServerPeriod, 30000)
	o.RegisterBrokerTimeoutMills = cmp.Or(o.RegisterBrokerTimeoutMills, 24000)
	o.DefaultTopicQueueNums = cmp.Or(o.DefaultTopicQueueNums, 8)
	o.MsgTraceTopicName = cmp.Or(o.MsgTraceTopicName, "RMQ_SYS_TRACE_TOPIC")
	o.RegionID = cmp.Or(o.RegionID, "DefaultRegion")
	o.TransactionTimeOut = cmp.Or(o.TransactionTimeOut, 6000)
	o.TransactionCheckMax = cmp.Or(o.TransactionCheckMax, 15)
	o.TransactionCheckInterval = cmp.Or(o.TransactionCheckInterval, 30000)
	o.TransactionOpMsgMaxSize = cmp.Or(o.TransactionOpMsgMaxSize, 4096)
	o.TransactionOpBatchInterval = cmp.Or(o.TransactionOpBatchInterval, 3000)
	o.ShortPollingTimeMills = cmp.Or(o.ShortPollingTimeMills, 1000)
	o.FlushConsumerOffsetInterval = cmp.Or(o.FlushConsumerOffsetInterval, 5000)
	o.ConsumerOffsetUpdateVersionStep = cmp.Or(o.ConsumerOffsetUpdateVersionStep, 500)
	o.FlushDelayOffsetInterval = cmp.Or(o.FlushDelayOffsetInterval, 10000)
	o.FilterDataCleanTimeSpan = cmp.Or(o.FilterDataCleanTimeSpan, 24*time.Hour.Milliseconds())
	o.DefaultMessageRequestMode = cmp.Or(o.DefaultMessageRequestMode, "PULL")
	o.DefaultPopShareQueueNum = cmp.Or(o.DefaultPopShareQueueNum, -1)
	o.PopFromRetryProbability = cmp.Or(o.PopFromRetryProbability, 20)
	o.PopPollingSize = cmp.Or(o.PopPollingSize, 1024)
	o.MaxPopPollingSize = cmp.Or(o.MaxPopPollingSize, 100000)
	o.MaxPopInFlight = cmp.Or(o.MaxPopInFlight, 1000000)
	o.MaxPullHolds = cmp.Or(o.MaxPullHolds, 100000)
	o.MaxPutWait = cmp.Or(o.MaxPutWait, 2500)
	o.MaxPendingPuts = cmp.Or(o.MaxPendingPuts, 100000)
	o.CgColdReadThreshold = cmp.Or(o.CgColdReadThreshold, 3<<20)
	o.GlobalColdReadThreshold = cmp.Or(o.GlobalColdReadThreshold, 100<<20)
	o.MaxColdPulls = cmp.Or(o.MaxColdPulls, 10000)
	o.DefaultQueryMaxNum = cmp.Or(o.DefaultQueryMaxNum, 32)
	o.StoreOptions.ensureDefaults()
	o.HAOptions.ensureDefaults()
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// Validate says everything that is wrong with the options, each complaint naming the property.
func (o *Options) Validate() error {
	var faults []error
	fault := func(property, format string, args ...any) {
		faults = append(faults, fmt.Errorf("property %s: %s", property, fmt.Sprintf(format, args...)))
	}
	if f := metadata.TopicNameFault(o.BrokerClusterName); f != "" {
		fault("brokerClusterName", "%q cannot name a topic: %s", o.BrokerClusterName, f)
	}
	if f := metadata.TopicNameFault(o.BrokerName); f != "" {
		fault("brokerName", "%q cannot name a topic: %s", o.BrokerName, f)
	}
	switch o.BrokerRole {
	case AsyncMaster, SyncMaster:
		if o.EnableAutoSwitchHA {
			if o.BrokerID <= 0 || o.BrokerID > ha.BrokerIDMax {
				fault("brokerId", "%d: with enableAutoSwitchHA each broker has one above 0, of its own, master or not", o.BrokerID)
			}
		} else if o.BrokerID != 0 {
			fault("brokerId", "%d: a master has 0", o.BrokerID)
		}
	case SlaveRole:
		if o.BrokerID <= 0 || o.BrokerID > ha.BrokerIDMax {
			fault("brokerId", "%d: a slave has one above 0, of its own", o.BrokerID)
		}
	default:
		fault("brokerRole", "%q is none of ASYNC_MASTER, SYNC_MASTER and SLAVE", o.BrokerRole)
	}
	if o.ListenPort != AnyPort && (o.ListenPort < 3 || o.ListenPort > 65535) {
		fault("listenPort", "%d is not between 3 and 65535", o.ListenPort)
	}
	for _, ip := range [][2]string{{"brokerIP1", o.BrokerIP1}, {"brokerIP2", o.BrokerIP2}} {
		if ip[1] == "" || strings.ContainsAny(ip[1], " ;,") {
			fault(ip[0], "%q is no address", ip[1])
		}
	}
	for _, addr := range o.NameServers() {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			fault("namesrvAddr", "%q is not host:port", addr)
		}
	}
	if o.BrokerPermission&^(metadata.PermRead|metadata.PermWrite) != 0 {
		fault("brokerPermission", "%d is not 2, 4 or 6", o.BrokerPermission)
	}
	o.StoreOptions.validate(fault)
	o.HAOptions.validate(fault)
	return errors.Join(faults...)
}

// NameServers are the addresses of NamesrvAddr.
func (o *Options) NameServers() (list []string) {
	for addr := range strings.SplitSeq(o.NamesrvAddr, ";") {
		if addr = strings.TrimSpace(addr); addr != "" && !slices.Contains(list, addr) {
			list = append(list, addr)
		}
	}
	return list
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil || metadata.TopicNameFault(name) != "" {
		return "DEFAULT_BROKER" // as BrokerConfig does when the host has no name, or none that a topic may have
	}
	return name
}

func homeFolder(name string) string {
	home, err := os.UserHomeDir()
	if err != nil {
		return name
	}
	return filepath.Join(home, name)
}
