package config

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/engine/timer"
)

// StoreOptions are RocketMQ's settings of the message store, by its keys and with its units.
type StoreOptions struct {
	FlushDiskType                     string `property:"flushDiskType"`                     // ASYNC_FLUSH or SYNC_FLUSH; default ASYNC_FLUSH
	SyncFlushTimeout                  int64  `property:"syncFlushTimeout"`                  // ms; default 5000
	MappedFileSizeCommitLog           int64  `property:"mappedFileSizeCommitLog"`           // bytes; default 1 GiB
	MappedFileSizeConsumeQueue        int64  `property:"mappedFileSizeConsumeQueue"`        // bytes; default 6000000
	MessageIndexEnable                bool   `property:"messageIndexEnable"`                // default true
	MaxHashSlotNum                    int    `property:"maxHashSlotNum"`                    // default 5000000
	MaxIndexNum                       int    `property:"maxIndexNum"`                       // default 20000000
	TransientStorePoolEnable          bool   `property:"transientStorePoolEnable"`          // default false
	FlushIntervalCommitLog            int64  `property:"flushIntervalCommitLog"`            // ms; default 500
	FlushCommitLogLeastPages          int    `property:"flushCommitLogLeastPages"`          // default 4
	FlushCommitLogThoroughInterval    int64  `property:"flushCommitLogThoroughInterval"`    // ms; default 10000
	CommitIntervalCommitLog           int64  `property:"commitIntervalCommitLog"`           // ms; default 200
	FlushIntervalConsumeQueue         int64  `property:"flushIntervalConsumeQueue"`         // ms; default 1000
	FlushConsumeQueueLeastPages       int    `property:"flushConsumeQueueLeastPages"`       // default 2
	FlushConsumeQueueThoroughInterval int64  `property:"flushConsumeQueueThoroughInterval"` // ms; default 60000
	FileReservedTime                  int64  `property:"fileReservedTime"`                  // hours; default 72
	DeleteWhen                        string `property:"deleteWhen"`                        // hours of the day, with ";" between; default 04
	CleanResourceInterval             int64  `property:"cleanResourceInterval"`             // ms; default 10000
	DiskMaxUsedSpaceRatio             int    `property:"diskMaxUsedSpaceRatio"`             // percent; default 75
	DiskSpaceCleanForciblyRatio       int    `property:"diskSpaceCleanForciblyRatio"`       // percent; default 85
	DiskSpaceWarningLevelRatio        int    `property:"diskSpaceWarningLevelRatio"`        // percent; default 90
	CleanFileForciblyEnable           bool   `property:"cleanFileForciblyEnable"`           // default true
	MaxLogBytes                       int64  `property:"maxLogBytes"`                       // bytes of log kept at most (not RocketMQ's); default unbounded
	ScrubBytesPerSecond               int64  `property:"scrubBytesPerSecond"`               // bytes of the store verified in a second, in the background (not RocketMQ's); default 4 MiB, negative off
	ScrubInterval                     int64  `property:"scrubInterval"`                     // hours between two rounds of that; default 24
	ColdBytesPerSecond                int64  `property:"coldBytesPerSecond"`                // bytes/s of messages on disk only that consumers are given while others are sent (not RocketMQ's); default 96 MiB for each processor, negative no bound
	AccessMessageInMemoryMaxRatio     int    `property:"accessMessageInMemoryMaxRatio"`     // percent of memory; default 40
	MaxTransferBytesOnMessageInMemory int    `property:"maxTransferBytesOnMessageInMemory"` // bytes of one pull; default 262144
	MaxTransferCountOnMessageInMemory int    `property:"maxTransferCountOnMessageInMemory"` // messages of one pull; default 32
	MaxTransferBytesOnMessageInDisk   int    `property:"maxTransferBytesOnMessageInDisk"`   // the same of old messages; default 65536
	MaxTransferCountOnMessageInDisk   int    `property:"maxTransferCountOnMessageInDisk"`   // default 8
	MaxFilterMessageSize              int    `property:"maxFilterMessageSize"`              // bytes of queue that one filtered pull looks at; default 16000
	MaxMsgsNumBatch                   int    `property:"maxMsgsNumBatch"`                   // messages of a query by key; default 64
	MaxMessageSize                    int    `property:"maxMessageSize"`                    // bytes of a body, or of a batch; default 4 MiB
	EnableLmq                         bool   `property:"enableLmq"`                         // light queues can be read, and their groups are made when asked for; default false
	EnableMultiDispatch               bool   `property:"enableMultiDispatch"`               // with it, messages count in the light queues that they name; default false
	MaxLmqConsumeQueueNum             int    `property:"maxLmqConsumeQueueNum"`             // light queues there may be; default 20000
	MessageDelayLevel                 string `property:"messageDelayLevel"`                 // default "1s 5s 10s 30s 1m ... 2h"
	TimerWheelEnable                  bool   `property:"timerWheelEnable"`                  // messages at arbitrary times; default true
	TimerPrecisionMs                  int64  `property:"timerPrecisionMs"`                  // ms: 100, 200, 500 or 1000; default 1000. A store keeps the one it was begun with
	TimerRollWindowSlot               int64  `property:"timerRollWindowSlot"`               // slots ahead in which a message waits at most before it goes round; default 172800
	TimerMaxDelaySec                  int64  `property:"timerMaxDelaySec"`                  // s of the longest delay; default 259200
	TimerCongestNumEachSlot           int64  `property:"timerCongestNumEachSlot"`           // messages of one slot above which some are refused, above twice as many all; default 2147483647
	TimerFlushIntervalMs              int64  `property:"timerFlushIntervalMs"`              // ms; default 1000
	MappedFileSizeTimerLog            int64  `property:"mappedFileSizeTimerLog"`            // bytes; default 100 MiB
	AppendTopicForTimerDeleteKey      bool   `property:"appendTopicForTimerDeleteKey"`      // a recall names the topic too; default false
	StorePathRootDir                  string `property:"storePathRootDir"`                  // folder of the data; default $HOME/store
	StorePathCommitLog                string `property:"storePathCommitLog"`                // folder of the log; default commitlog below the root
}

// defaultStoreOptions has the switches that are on by default.
func defaultStoreOptions() StoreOptions {
	return StoreOptions{MessageIndexEnable: true, TimerWheelEnable: true, CleanFileForciblyEnable: true}
}

// defaultDelayLevels are the delay levels of RocketMQ.
const defaultDelayLevels = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h"

// ensureDefaults gives what the broker itself reads, and what it shows, RocketMQ's defaults.
func (o *StoreOptions) ensureDefaults() {
	o.FlushDiskType = strings.ToUpper(cmp.Or(o.FlushDiskType, "ASYNC_FLUSH"))
	o.SyncFlushTimeout = cmp.Or(o.SyncFlushTimeout, 5000)
	o.MappedFileSizeCommitLog = cmp.Or(o.MappedFileSizeCommitLog, 1<<30)
	o.MappedFileSizeConsumeQueue = cmp.Or(o.MappedFileSizeConsumeQueue, 6000000)
	o.MaxHashSlotNum = cmp.Or(o.MaxHashSlotNum, 5000000)
	o.MaxIndexNum = cmp.Or(o.MaxIndexNum, 20000000)
	o.FlushIntervalCommitLog = cmp.Or(o.FlushIntervalCommitLog, 500)
	o.FlushCommitLogLeastPages = cmp.Or(o.FlushCommitLogLeastPages, 4)
	o.FlushCommitLogThoroughInterval = cmp.Or(o.FlushCommitLogThoroughInterval, 10000)
	o.CommitIntervalCommitLog = cmp.Or(o.CommitIntervalCommitLog, 200)
	o.FlushIntervalConsumeQueue = cmp.Or(o.FlushIntervalConsumeQueue, 1000)
	o.FlushConsumeQueueLeastPages = cmp.Or(o.FlushConsumeQueueLeastPages, 2)
	o.FlushConsumeQueueThoroughInterval = cmp.Or(o.FlushConsumeQueueThoroughInterval, 60000)
	o.FileReservedTime = cmp.Or(o.FileReservedTime, 72)
	o.DeleteWhen = cmp.Or(o.DeleteWhen, "04")
	o.CleanResourceInterval = cmp.Or(o.CleanResourceInterval, 10000)
	o.DiskMaxUsedSpaceRatio = cmp.Or(o.DiskMaxUsedSpaceRatio, 75)
	o.DiskSpaceCleanForciblyRatio = cmp.Or(o.DiskSpaceCleanForciblyRatio, 85)
	o.DiskSpaceWarningLevelRatio = cmp.Or(o.DiskSpaceWarningLevelRatio, 90)
	o.ScrubBytesPerSecond = cmp.Or(o.ScrubBytesPerSecond, 4<<20)
	o.ScrubInterval = cmp.Or(o.ScrubInterval, 24)
	o.AccessMessageInMemoryMaxRatio = cmp.Or(o.AccessMessageInMemoryMaxRatio, 40)
	o.MaxTransferBytesOnMessageInMemory = cmp.Or(o.MaxTransferBytesOnMessageInMemory, 256<<10)
	o.MaxTransferCountOnMessageInMemory = cmp.Or(o.MaxTransferCountOnMessageInMemory, 32)
	o.MaxTransferBytesOnMessageInDisk = cmp.Or(o.MaxTransferBytesOnMessageInDisk, 64<<10)
	o.MaxTransferCountOnMessageInDisk = cmp.Or(o.MaxTransferCountOnMessageInDisk, 8)
	o.MaxFilterMessageSize = cmp.Or(o.MaxFilterMessageSize, 16000)
	o.MaxMsgsNumBatch = cmp.Or(o.MaxMsgsNumBatch, 64)
	o.MaxMessageSize = cmp.Or(o.MaxMessageSize, 4<<20)
	o.MaxLmqConsumeQueueNum = cmp.Or(o.MaxLmqConsumeQueueNum, 20000)
	o.TimerPrecisionMs = javaPrecision(cmp.Or(o.TimerPrecisionMs, 1000))
	o.TimerRollWindowSlot = cmp.Or(o.TimerRollWindowSlot, 2*24*3600)
	o.TimerMaxDelaySec = cmp.Or(o.TimerMaxDelaySec, 3*24*3600)
	o.TimerCongestNumEachSlot = cmp.Or(o.TimerCongestNumEachSlot, math.MaxInt32)
	o.TimerFlushIntervalMs = cmp.Or(o.TimerFlushIntervalMs, 1000)
	o.MappedFileSizeTimerLog = cmp.Or(o.MappedFileSizeTimerLog, 100<<20)
	o.MessageDelayLevel = cmp.Or(o.MessageDelayLevel, defaultDelayLevels)
	o.StorePathRootDir = cmp.Or(o.StorePathRootDir, homeFolder("store"))
}

// javaPrecision is the precision that Java takes for a number of ms (MessageStoreConfig.setTimerPrecisionMs).
func javaPrecision(ms int64) int64 {
	switch {
	case ms < 200:
		return 100
	case ms < 500:
		return 200
	case ms < 1000:
		return 500
	}
	return 1000
}

// Timer gives the settings as the timer takes them: the one table from RocketMQ's keys to its fields.
func (o StoreOptions) Timer() *timer.Options {
	o.ensureDefaults()
	return &timer.Options{
		Precision: o.TimerPrecisionMs, RollWindow: o.TimerRollWindowSlot, LogFileSize: o.MappedFileSizeTimerLog,
		FlushInterval: time.Duration(o.TimerFlushIntervalMs) * time.Millisecond,
	}
}

// validate says what of it is wrong.
func (o *StoreOptions) validate(fault func(property, format string, args ...any)) {
	if o.FlushDiskType != "ASYNC_FLUSH" && o.FlushDiskType != "SYNC_FLUSH" {
		fault("flushDiskType", "%q is neither ASYNC_FLUSH nor SYNC_FLUSH", o.FlushDiskType)
	}
	if o.MaxMessageSize < 0 || o.MaxMessageSize > 128<<20 {
		fault("maxMessageSize", "%d is not between 1 and %d", o.MaxMessageSize, 128<<20)
	}
	if levels, err := ParseDelayLevels(o.MessageDelayLevel); err != nil {
		fault("messageDelayLevel", "%v", err)
	} else if len(levels) == 0 {
		fault("messageDelayLevel", "it has no level")
	}
}

// Engine gives the settings as the message store takes them, for tools that open a store without a broker as well: the one table
// from RocketMQ's keys to its fields.
func (o StoreOptions) Engine() (*engine.Options, error) {
	o.ensureDefaults()
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	levels, err := ParseDelayLevels(o.MessageDelayLevel)
	if err != nil {
		return nil, fmt.Errorf("property messageDelayLevel: %w", err)
	}
	e := &engine.Options{
		SyncFlushTimeout:           ms(o.SyncFlushTimeout),
		CommitLogDir:               o.StorePathCommitLog,
		CommitLogFileSize:          o.MappedFileSizeCommitLog,
		ConsumeQueueFileSize:       o.MappedFileSizeConsumeQueue,
		IndexDisabled:              !o.MessageIndexEnable,
		IndexSlots:                 o.MaxHashSlotNum,
		IndexEntries:               o.MaxIndexNum,
		TransientPool:              o.TransientStorePoolEnable,
		FlushInterval:              ms(o.FlushIntervalCommitLog),
		FlushLeastPages:            o.FlushCommitLogLeastPages,
		FlushThoroughInterval:      ms(o.FlushCommitLogThoroughInterval),
		CommitInterval:             ms(o.CommitIntervalCommitLog),
		FlushQueueInterval:         ms(o.FlushIntervalConsumeQueue),
		FlushQueueLeastPages:       o.FlushConsumeQueueLeastPages,
		FlushQueueThoroughInterval: ms(o.FlushConsumeQueueThoroughInterval),
		MaxMessageSize:             o.MaxMessageSize,
		FileReservedTime:           time.Duration(o.FileReservedTime) * time.Hour,
		DeleteWhen:                 o.DeleteWhen,
		CleanInterval:              ms(o.CleanResourceInterval),
		DiskMaxUsedRatio:           o.DiskMaxUsedSpaceRatio,
		DiskCleanForciblyRatio:     o.DiskSpaceCleanForciblyRatio,
		DiskWarningRatio:           o.DiskSpaceWarningLevelRatio,
		KeepExpiredOnFullDisk:      !o.CleanFileForciblyEnable,
		MaxLogBytes:                o.MaxLogBytes,
		ScrubBytesPerSecond:        o.ScrubBytesPerSecond,
		ScrubInterval:              time.Duration(o.ScrubInterval) * time.Hour,
		ColdBytesPerSecond:         o.ColdBytesPerSecond,
		AccessMemoryRatio:          o.AccessMessageInMemoryMaxRatio,
		MaxTransferBytesInMemory:   o.MaxTransferBytesOnMessageInMemory,
		MaxTransferCountInMemory:   o.MaxTransferCountOnMessageInMemory,
		MaxTransferBytesInDisk:     o.MaxTransferBytesOnMessageInDisk,
		MaxTransferCountInDisk:     o.MaxTransferCountOnMessageInDisk,
		MaxFilterMessageSize:       o.MaxFilterMessageSize,
		MaxMessagesPerQuery:        o.MaxMsgsNumBatch,
		LightQueues:                o.EnableLmq && o.EnableMultiDispatch,
		MaxLightQueues:             o.MaxLmqConsumeQueueNum,
		DelayLevels:                levels,
	}
	if o.FlushDiskType == "SYNC_FLUSH" {
		e.FlushDiskType = engine.SyncFlush
	}
	return e, nil
}

// ParseDelayLevels reads the levels of messageDelayLevel; level n is the n-th from one.
func ParseDelayLevels(text string) ([]time.Duration, error) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}
	var levels []time.Duration
	for field := range strings.FieldsSeq(text) {
		unit, ok := units[field[len(field)-1]]
		n, err := strconv.ParseInt(field[:len(field)-1], 10, 32)
		if !ok || err != nil || n < 0 {
			return nil, fmt.Errorf("level %d: %q is not a number with s, m, h or d behind it", len(levels)+1, field)
		}
		levels = append(levels, time.Duration(n)*unit)
	}
	return levels, nil
}
