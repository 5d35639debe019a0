package broker

import (
	"fmt"
	"maps"
	"runtime"
	"strconv"
	"strings"

	"github.com/rocketlog/rocketlog/broker/stats"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/internal/properties"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// configVersion is the data version of the settings, guarded by Broker.config.
type configVersion = protocol.DataVersion

// lockedProperties are not changed while the broker runs (configBlackList).
var lockedProperties = map[string]bool{
	"configBlackList": true, "brokerConfigPath": true, "storePathRootDir": true, "storePathCommitLog": true, "brokerName": true,
	"brokerClusterName": true, "brokerId": true, "listenPort": true, "bindAddress": true,
}

// brokerConfig answers with all settings.
func (b *Broker) brokerConfig(c *call) error {
	b.config.Lock()
	version := b.version
	b.config.Unlock()
	text, err := protocol.MarshalJSON(&version)
	if err != nil {
		return err
	}
	c.resp.Fields.AddBytes("version", text)
	c.resp.Body = properties.Format(properties.Entries(b.options()))
	return nil
}

// updateConfig changes settings for an administrator. Those that only count at the start count from the next one.
func (b *Broker) updateConfig(c *call) error {
	entries, err := properties.Parse("request", c.req.Body)
	if err != nil {
		return refuse(protocol.InvalidParameter, "%v", err)
	}
	b.config.Lock()
	defer b.config.Unlock()
	o := *b.options()
	for _, e := range entries {
		if lockedProperties[e.Key] {
			return refuse(protocol.NoPermission, "Can not update config in black list: %s", e.Key)
		}
		known, err := properties.Set(&o, e.Key, e.Value)
		if err != nil {
			return refuse(protocol.InvalidParameter, "%v", err)
		}
		if !known {
			b.log.Warn("unknown property is not set", "property", e.Key, "by", c.conn.RemoteAddr())
		}
	}
	if err := o.Validate(); err != nil {
		return refuse(protocol.InvalidParameter, "%v", err)
	}
	if o.OnConfigChange != nil {
		if err := o.OnConfigChange(entries); err != nil {
			return fmt.Errorf("the settings cannot be kept: %w", err)
		}
	}
	b.opts.Store(&o)
	b.version.Next(0, b.now().UnixMilli())
	b.registrar.kick()
	b.log.Info("settings are changed", "settings", entries, "by", c.conn.RemoteAddr())
	return nil
}

// runtimeInfo answers with the figures that clusterList, brokerStatus and the dashboard show.
func (b *Broker) runtimeInfo(c *call) error {
	now := b.now().UnixMilli()
	s, m := b.stats.Snapshot(now), b.store.Metrics()
	table := map[string]string{
		"brokerVersionDesc":               "V5_5_0",
		"brokerVersion":                   strconv.Itoa(protocol.CurrentVersion),
		"brokerActive":                    "true",
		bootTimestamp:                     number(b.stats.BootTime),
		"runtime":                         runtimeText(now - b.stats.BootTime),
		"startAcceptSendRequestTimeStamp": number(b.options().StartAcceptSendRequestTimeStamp),

		"putTps":                      s.Put.String(),
		"getTotalTps":                 s.Get.String(),
		"getTransferredTps":           s.Get.String(),
		"getTransferedTps":            s.Get.String(), // as brokers before 4.9 spell it, and their tools ask for it
		"getFoundTps":                 s.Found.String(),
		"getMissTps":                  s.Missed.String(),
		"putMessageTimesTotal":        number(s.PutTimes),
		"putMessageFailedTimes":       number(s.Refused),
		"putMessageSizeTotal":         number(s.PutBytes),
		"putMessageAverageSize":       fmt.Sprint(stats.Rate{Sum: s.PutBytes, Times: s.Puts}.PerTime()),
		"msgPutTotalYesterdayMorning": number(s.PutYesterday),
		"msgPutTotalTodayMorning":     number(s.PutMorning),
		"msgPutTotalTodayNow":         number(s.Puts),
		"msgGetTotalYesterdayMorning": number(s.GetYesterday),
		"msgGetTotalTodayMorning":     number(s.GetMorning),
		"msgGetTotalTodayNow":         number(s.Gets),

		"commitLogMinOffset":              number(int64(m.MinPhyOffset)),
		commitLogMaxOffset:                number(int64(m.MaxPhyOffset)),
		"commitLogDiskRatio":              ratio(m.DiskUsedPercent),
		"consumeQueueDiskRatio":           ratio(m.DiskUsedPercent),
		"dispatchBehindBytes":             number(m.DispatchBehindBytes),
		"putsWaitedForDispatch":           number(m.PutHeldBack),
		"remainHowManyDataToFlush":        sizeText(int64(m.MaxPhyOffset - m.FlushedOffset)),
		"earliestMessageTimeStamp":        number(b.earliestLogTime()),
		"pageCacheLockTimeMills":          "0",
		"pullHolds":                       strconv.Itoa(b.holds.Len()),
		"pendingPuts":                     number(b.sender.gate.Waiting()),
		"coldPulls":                       number(b.cold.pulls.Load()),
		"coldPullsWaiting":                strconv.Itoa(b.cold.waiting()),
		"coldPullsDelayed":                number(b.cold.delayed.Load()),
		"coldPullsRefused":                number(b.cold.refused.Load()),
		"coldReadBytes":                   number(m.ColdBytes),
		"coldReadBytesPerSecondMax":       number(b.cold.pace.State().Rate),
		"storeRefusing":                   m.Refusing,
		"goroutines":                      strconv.Itoa(runtime.NumGoroutine()), // ours: what leaks shows here
		"timerReadBehind":                 "0",
		"timerOffsetBehind":               "0",
		"timerCongestNum":                 "0",
		"timerEnqueueTps":                 fmt.Sprint(s.Taken[0]),
		"timerDequeueTps":                 fmt.Sprint(s.Delivered[0]),
		"putMessageEntireTimeMax":         "0",
		"getMessageEntireTimeMax":         "0",
		"dispatchMaxBuffer":               "0",
		"putMessageDistributeTime":        "[<=0ms]:0",
		"putLatency99":                    "0.0",
		"putLatency999":                   "0.0",
		"remainTransientStoreBufferNumbs": "0",
	}
	b.timerInfo(table)
	// The queues before Java's thread pools: messages and pulls are handled where they are read, and wait for nothing.
	for _, pool := range []string{"send", "pull", "litePull", "query", "ack"} {
		table[pool+"ThreadPoolQueueSize"] = "0"
		table[pool+"ThreadPoolQueueCapacity"] = strconv.Itoa(adminQueue)
		table[pool+"ThreadPoolQueueHeadWaitTimeMills"] = "0"
	}
	table["EndTransactionQueueSize"], table["EndTransactionThreadPoolQueueCapacity"] = "0", strconv.Itoa(adminQueue)
	maps.Copy(table, b.diskInfo())
	for level, offset := range b.schedule.Snapshot().OffsetTable {
		table[fmt.Sprintf("scheduleMessageOffset_%d", level)] =
			fmt.Sprintf("%d,%d", offset, b.store.MaxOffset(message.ScheduleTopic, level-1))
	}
	return c.json(&protocol.KVTable{Table: table})
}

func (b *Broker) diskInfo() map[string]string {
	o := b.options()
	u, err := o.FS.Usage(o.StorePathRootDir)
	if err != nil {
		return nil
	}
	return map[string]string{"commitLogDirCapacity": fmt.Sprintf("Total : %s, Free : %s.", sizeText(int64(u.Total)), sizeText(int64(u.Free)))}
}

func (b *Broker) earliestLogTime() int64 {
	if at, ok := b.store.EarliestLogTime(); ok {
		return at
	}
	return -1
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func ratio(percent int) string { return fmt.Sprint(float64(percent) / 100) }

func runtimeText(ms int64) string {
	s := ms / 1000
	return fmt.Sprintf("[ %d days, %d hours, %d minutes, %d seconds ]", s/86400, s/3600%24, s/60%60, s%60)
}

// sizeText is a number of bytes for people.
func sizeText(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	units, size := "KMGTPE", float64(n)/1024
	for size >= 1024 && len(units) > 1 {
		units, size = units[1:], size/1024
	}
	return fmt.Sprintf("%.1f %ciB", size, units[0])
}

// statsData answers with one of the statistics by name.
func (b *Broker) statsData(c *call) error {
	var h protocol.ViewBrokerStatsDataRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	minute, hour, day, ok := b.stats.Windows(h.StatsName, h.StatsKey, b.topics.PutsTo, b.now().UnixMilli())
	if !ok {
		return refuse(protocol.SystemError, "The stats <%s> <%s> not exist", h.StatsName, h.StatsKey)
	}
	item := func(r stats.Rate) protocol.BrokerStatsItem {
		return protocol.BrokerStatsItem{AvgPt: r.PerTime(), Sum: r.Sum, Tps: r.PerSecond()}
	}
	return c.json(&protocol.BrokerStatsData{StatsMinute: item(minute), StatsHour: item(hour), StatsDay: item(day)})
}

// queueEntries answers with the entries of a consume queue.
func (b *Broker) queueEntries(c *call) error {
	var h protocol.QueryConsumeQueueRequestHeader
	if err := c.header(&h); err != nil {
		return err
	}
	body := protocol.QueryConsumeQueueResponseBody{
		MinQueueIndex: int64(b.store.MinOffset(h.Topic, h.QueueID)), MaxQueueIndex: int64(b.store.MaxOffset(h.Topic, h.QueueID)),
	}
	if body.MaxQueueIndex == 0 && b.topics.Get(h.Topic) == nil {
		return refuse(protocol.SystemError, "%d@%s is not exist!", h.QueueID, h.Topic)
	}
	wanted := func(int64) bool { return false } // as Java says of an entry without a filter
	if _, asked := c.req.Fields.Get("consumerGroup"); asked {
		if s := b.consumers.SubscriptionOf(h.ConsumerGroup, h.Topic); s != nil {
			body.SubscriptionData = &s.Data
			if s.Filter != nil {
				wanted = s.Filter.MatchTags
			}
		} else {
			body.FilterData = h.ConsumerGroup + "@" + h.Topic + " is not online!"
		}
	}
	const most = 1000
	collect := entryCollector{}
	var res engine.GetResult
	b.store.Get(&engine.GetRequest{
		Topic: h.Topic, QueueID: h.QueueID, Offset: message.QueueOffset(h.Index), MaxMsgs: int(min(max(h.Count, 0), most)), Filter: &collect,
	}, &res)
	defer res.Release()
	err := message.EachRecord(res.Segments, func(r message.Record) {
		at := int(r.OffsetIn(h.Topic)) - int(h.Index)
		if at < 0 || at >= len(collect.codes) {
			return
		}
		body.QueueData = append(body.QueueData, protocol.ConsumeQueueData{
			PhysicOffset: int64(r.PhyOffset()), PhysicSize: int32(r.Size()), TagsCode: collect.codes[at], Eval: wanted(collect.codes[at]),
		})
	})
	if err != nil {
		return err
	}
	return c.json(&body)
}

// entryCollector is a filter that takes everything and remembers the codes of the entries.
type entryCollector struct{ codes []int64 }

// MatchTags notes the code.
func (e *entryCollector) MatchTags(code int64) bool {
	e.codes = append(e.codes, code)
	return true
}

// MatchRecord takes every record.
func (e *entryCollector) MatchRecord(message.Record) bool { return true }

// readMode answers to SET_COMMITLOG_READ_MODE, whose advice to the operating system the store does not need.
func (b *Broker) readMode(c *call) error {
	mode := c.req.Fields.Text("READ_AHEAD_MODE")
	if mode != "0" && mode != "1" {
		return refuse(protocol.InvalidParameter, "set commitlog readahead mode param error")
	}
	c.resp.Remark = "set commitlog readahead mode success, mode: " + strings.TrimSpace(mode)
	return nil
}
