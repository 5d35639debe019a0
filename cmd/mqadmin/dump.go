package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/index"
	"github.com/rocketlog/rocketlog/internal/daemon"
	"github.com/rocketlog/rocketlog/message"
)

// dumper prints the parts of a store.
type dumper struct {
	*arguments
	options *engine.Options
	out     *printer
}

func runDump(a *arguments, stdout, stderr io.Writer) (code int, err error) {
	options, _, err := a.options(stderr)
	if err != nil {
		return 0, err
	}
	lock, err := options.FS.Lock(filepath.Join(a.dir, "lock"))
	if err != nil {
		return 0, fmt.Errorf("the store in %s is in use: %w", a.dir, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	d := dumper{arguments: a, options: options, out: newPrinter(stdout, a.json)}
	for _, part := range []struct {
		kind string
		dump func() error
	}{{"checkpoint", d.checkpoint}, {"records", d.records}, {"queues", d.queues}, {"index", d.index}} {
		if a.wants(part.kind) {
			if err := part.dump(); err != nil {
				return 0, errors.Join(fmt.Errorf("%s: %w", part.kind, err), d.out.flush())
			}
		}
	}
	return daemon.ExitOK, d.out.flush()
}

func (d *dumper) checkpoint() error {
	c, err := engine.ReadCheckpoint(d.options.FS, d.dir)
	if err != nil {
		return err
	}
	return d.out.line("checkpoint",
		field{"physicMsgTimestamp", c.PhysicMsgTimestamp}, field{"logicsMsgTimestamp", c.LogicsMsgTimestamp},
		field{"indexMsgTimestamp", c.IndexMsgTimestamp}, field{"masterFlushedOffset", int64(c.MasterFlushedOffset)},
		field{"confirmPhyOffset", int64(c.ConfirmPhyOffset)}, field{"logicsPhysicalOffset", int64(c.LogicsPhysicalOffset)})
}

// openLog opens the log for reading as it is.
func (d *dumper) openLog() (*commitlog.CommitLog, error) {
	dir := d.options.CommitLogDir
	if dir == "" {
		dir = filepath.Join(d.dir, "commitlog")
	}
	return commitlog.Open(d.options.FS, dir, &commitlog.Options{FileSize: d.options.CommitLogFileSize, ReadOnly: true})
}

// errEnough ends a walk that has printed all that was asked for.
var errEnough = errors.New("enough")

func (d *dumper) records() (err error) {
	log, err := d.openLog()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	for _, f := range log.Files() {
		if err := d.out.line("file", field{"path", f.Path}, field{"start", int64(f.Start)}, field{"end", int64(f.End)}); err != nil {
			return err
		}
	}
	printed := int64(0)
	begin := log.MinOffset()
	for _, f := range log.Files() { // a walk has to start at a record, as each file does
		if f.Start <= message.PhyOffset(d.from) {
			begin = f.Start
		}
	}
	found, err := log.Scan(begin, log.MaxOffset(), commitlog.Java, func(off message.PhyOffset, r message.Record) error {
		if int64(off) < d.from || d.topic != "" && string(r.Topic()) != d.topic {
			return nil
		}
		if d.max >= 0 && printed >= d.max {
			return errEnough
		}
		printed++
		return d.out.line("record", d.recordFields(off, r)...)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	if err != nil {
		return err
	}
	end := []field{{"offset", int64(found.End)}}
	if found.Stopped != nil {
		end = append(end, field{"behind", found.Stopped.Error()})
	}
	return d.out.line("end", end...)
}

func (d *dumper) recordFields(off message.PhyOffset, r message.Record) []field {
	var properties object
	for name, value := range r.Properties().All() {
		properties = append(properties, field{string(name), string(value)})
	}
	fields := []field{
		{"offset", int64(off)}, {"size", r.Size()}, {"topic", string(r.Topic())}, {"queueId", r.QueueID()},
		{"queueOffset", int64(r.QueueOffset())}, {"storeTime", clock(r.StoreTimestamp())}, {"bornTime", clock(r.BornTimestamp())},
		{"storeHost", r.StoreHost().String()}, {"bornHost", r.BornHost().String()}, {"flag", r.Flag()},
		{"sysFlag", int32(r.SysFlag())}, {"reconsumeTimes", r.ReconsumeTimes()},
		{"preparedTransactionOffset", int64(r.PreparedTransactionOffset())}, {"bodyCRC", r.BodyCRC()},
		{"bodySize", len(r.Body())}, {"properties", properties},
	}
	if d.body {
		fields = append(fields, field{"body", r.Body()})
	}
	return fields
}

// clock gives a time in Unix milliseconds for people and machines.
func clock(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

func (d *dumper) queues() (err error) {
	log, err := d.openLog()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	set, err := consumequeue.Open(d.options.FS, filepath.Join(d.dir, "consumequeue"), &consumequeue.Options{
		FileSize: int(d.options.ConsumeQueueFileSize), ReadOnly: true,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, set.Close()) }()
	if err := set.Recover(log.MaxOffset(), log.MinOffset(), log.MaxOffset(), true); err != nil {
		return err
	}
	for _, q := range set.Queues() {
		if d.topic == "" || q.Key().Topic == d.topic {
			if err := d.queue(q); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *dumper) queue(q *consumequeue.ConsumeQueue) error {
	key, at, end := q.Key(), q.MinOffset(), q.MaxOffset()
	err := d.out.line("queue", field{"topic", key.Topic}, field{"queueId", key.QueueID}, field{"min", int64(at)}, field{"max", int64(end)})
	units := make([]consumequeue.Unit, 1024)
	for err == nil && at < end {
		var n int
		if n, err = q.Read(at, units); err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%v ends at %d, not at %d", key, at, end)
		}
		for _, u := range units[:n] {
			err = d.out.line("unit", field{"topic", key.Topic}, field{"queueId", key.QueueID}, field{"queueOffset", int64(at)},
				field{"offset", int64(u.Offset)}, field{"size", u.Size}, field{"tagsCode", u.TagsCode})
			at++
		}
	}
	return err
}

func (d *dumper) index() (err error) {
	x, err := index.OpenReadOnly(d.options.FS, filepath.Join(d.dir, "index"), &index.Options{Slots: d.options.IndexSlots, Entries: d.options.IndexEntries})
	if err != nil {
		return fmt.Errorf("%w (are maxHashSlotNum and maxIndexNum in the file given with -c?)", err)
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	for i, f := range x.Files() {
		err := d.out.line("index", field{"path", f.Path}, field{"begin", clock(f.BeginTime)}, field{"end", clock(f.EndTime)},
			field{"beginOffset", int64(f.BeginPhy)}, field{"endOffset", int64(f.EndPhy)}, field{"slots", f.SlotsUsed}, field{"entries", f.Entries})
		if err != nil {
			return err
		}
		if err := x.Entries(i, func(e index.Entry) error {
			return d.out.line("entry", field{"number", e.Number}, field{"keyHash", e.Hash}, field{"offset", int64(e.Phy)},
				field{"seconds", e.Seconds}, field{"older", e.Older})
		}); err != nil {
			return err
		}
	}
	return nil
}
