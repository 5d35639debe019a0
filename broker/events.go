package broker

import (
	"github.com/rocketlog/rocketlog/broker/config"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
)

// openStore opens the store; its events are logged and wake those who wait.
func (b *Broker) openStore(o *Options) error {
	e, err := o.StoreOptions.Engine()
	if err != nil {
		return err
	}
	e.FS, e.Now, e.Listener = o.FS, o.Now, b.listener()
	e.Following = o.BrokerRole == config.SlaveRole
	e.ConfirmedOnly = o.EnableAutoSwitchHA
	if o.EnableLmq && !o.EnableMultiDispatch {
		b.log.Warn("messages count in no light queue: enableLmq is set, enableMultiDispatch is not")
	}
	b.store, err = engine.Open(o.StorePathRootDir, e)
	return err
}

func (b *Broker) listener() *engine.EventListener {
	return &engine.EventListener{
		Arrived: b.arrived,
		Recovered: func(r engine.RecoveryInfo) {
			b.unclean = !r.Clean
			b.log.Info("store is open", "clean", r.Clean, "from", int64(r.From), "end", int64(r.End), "records", r.Records,
				"dispatched", r.Dispatched, "rebuilt", r.Rebuilt, "stopped", r.Stopped, "took", r.Took)
		},
		DiskFull: func(full bool, cause string) {
			if full {
				b.log.Error("messages are refused: the disk is full", "cause", cause)
			} else {
				b.log.Info("messages are taken again: there is space", "cause", cause)
			}
		},
		SyncFailed: func(err error) {
			b.log.Error("messages are refused: a sync failed, and the broker must be started anew", "error", err)
		},
		DispatchStalled: func(err error) {
			if err != nil {
				b.log.Error("consume queues or index cannot be written; tried again", "error", err)
			} else {
				b.log.Info("consume queues and index are written again")
			}
		},
		Background: func(task string, err error) { b.log.Warn("store task failed; tried again", "task", task, "error", err) },
		Deleted: func(files int, minOffset message.PhyOffset, cause string) {
			b.log.Info("log files are deleted", "files", files, "minOffset", int64(minOffset), "cause", cause)
		},
		QueueRebuilt: func(topic string, queue int32, cause error) {
			b.log.Warn("consume queue was damaged and is built anew", "topic", topic, "queue", queue, "cause", cause)
		},
		ScrubFound: func(f engine.ScrubFault) {
			b.log.Error("store is damaged", "file", f.File, "byte", f.Offset, "what", f.Text, "mended", f.Mended, "error", f.Err)
		},
		Scrubbed: func(i engine.ScrubInfo) {
			b.verifyState()
			b.timers.verify()
			b.log.Info("store was verified", "records", i.Records, "bytes", i.Bytes, "damaged", i.Found, "mended", i.Mended, "took", i.Took)
		},
	}
}

// arrived is told of each message as soon as it can be read. It is on the path of the dispatch.
func (b *Broker) arrived(a engine.Arrival) {
	b.holds.Arrived(a.Topic, a.QueueID, int64(a.QueueOffset), a.TagsCode, a.Record)
	b.popper.waits.Arrived(a.Topic, a.QueueID, a.TagsCode, a.Record)
	if a.Topic == b.popper.log.topic {
		b.popper.log.arrived(a.QueueID, a.Record)
	}
	if a.Topic == message.ScheduleTopic {
		b.schedule.Arrived()
	}
	if a.Topic == message.TimerTopic {
		b.timers.arrived()
	}
}
