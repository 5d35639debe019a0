package engine

import (
	"errors"
	"fmt"
	"sync"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/internal/invariants"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// PutStatus is the outcome of a put (Java: PutMessageStatus, in its order).
type PutStatus int32

// The put statuses. With the first four the message is in the log.
const (
	PutOK PutStatus = iota
	FlushDiskTimeout
	FlushSlaveTimeout
	SlaveNotAvailable
	ServiceNotAvailable
	CreateMappedFileFailed
	MessageIllegal
	PropertiesSizeExceeded
	OSPageCacheBusy
	UnknownError
	InSyncReplicasNotEnough
	PutToRemoteBrokerFail // Java's alone
	LMQConsumeQueueNumExceeded
)

var putStatusNames = [...]string{
	"PUT_OK", "FLUSH_DISK_TIMEOUT", "FLUSH_SLAVE_TIMEOUT", "SLAVE_NOT_AVAILABLE", "SERVICE_NOT_AVAILABLE",
	"CREATE_MAPPED_FILE_FAILED", "MESSAGE_ILLEGAL", "PROPERTIES_SIZE_EXCEEDED", "OS_PAGE_CACHE_BUSY", "UNKNOWN_ERROR",
	"IN_SYNC_REPLICAS_NOT_ENOUGH", "PUT_TO_REMOTE_BROKER_FAIL", "LMQ_CONSUME_QUEUE_NUM_EXCEEDED",
}

// String returns Java's name.
func (s PutStatus) String() string {
	if s < 0 || int(s) >= len(putStatusNames) {
		return fmt.Sprintf("PUT_STATUS_%d", int32(s))
	}
	return putStatusNames[s]
}

// Stored tells whether the message is in the log.
func (s PutStatus) Stored() bool { return s <= SlaveNotAvailable }

// PutResult is the outcome of a put. Of a batch the offsets are the first
// message's.
type PutResult struct {
	Status         PutStatus
	Err            error // the cause, unless Status is PutOK
	PhyOffset      message.PhyOffset
	QueueOffset    message.QueueOffset
	StoreTimestamp int64 // ms
	Size           int32 // bytes in the log
}

// Completion is told the result of a PutAsync. It must not block.
type Completion interface{ PutDone(PutResult) }

// Put stores m and returns when it is as durable as asked.
func (s *Store) Put(m *message.Message) PutResult {
	res, end, wait := s.append(m)
	s.await(&res, end, wait)
	return res
}

// PutAsync stores m and tells done when it is as durable as asked: before it
// returns where nothing is to be waited for, later and from another goroutine
// under SyncFlush or with slaves to wait for. m may be used again when it
// returns.
func (s *Store) PutAsync(m *message.Message, done Completion) {
	res, end, wait := s.append(m)
	s.complete(res, end, wait, done)
}

// PutBatch stores the messages of a client's batch body in one piece and sets
// offsets, which is grown as needed, to their places. What m holds besides
// body, properties and flag is common to all.
func (s *Store) PutBatch(m *message.Message, batch []byte, offsets []message.PhyOffset) (PutResult, []message.PhyOffset) {
	res, offsets, end, wait := s.appendBatch(m, batch, offsets)
	s.await(&res, end, wait)
	return res, offsets
}

// PutBatchAsync is to PutBatch as PutAsync is to Put. The places are in
// *offsets, grown as needed, before done is called; nothing is written there
// afterwards.
func (s *Store) PutBatchAsync(m *message.Message, batch []byte, offsets *[]message.PhyOffset, done Completion) {
	res, places, end, wait := s.appendBatch(m, batch, *offsets)
	*offsets = places
	s.complete(res, end, wait, done)
}

// awaited is what a put waits for: for the disk first, as nothing is copied to
// slaves before it is as durable here as promised, then for the slaves.
type awaited struct{ disk, slaves bool }

// waits tells what the sender of m waits for, or why the put is refused.
func (s *Store) waits(m *message.Message) (awaited, error) {
	slaves, err := s.replicas().Admit()
	disk := s.opts.FlushDiskType == SyncFlush && !invariants.Broken(invariants.AckBeforeSync)
	w := awaited{disk, slaves}
	if (w == awaited{} && err == nil) || !message.Properties(m.Properties).WaitStored() {
		return awaited{}, nil
	}
	return w, err
}

// await waits for what a put waits for.
func (s *Store) await(res *PutResult, end message.PhyOffset, wait awaited) {
	if res.Status == PutOK && wait.disk {
		s.synced(res, s.log.Sync(end))
	}
	if res.Status.Stored() && wait.slaves {
		w := make(blockedPut, 1)
		s.replicas().NotifyReplicated(end, w)
		replicated(res, <-w)
	}
}

// blockedPut is a ReplicaWaiter for a goroutine that blocks.
type blockedPut chan error

// Replicated implements ReplicaWaiter.
func (b blockedPut) Replicated(err error) { b <- err }

// replicated applies what became of a put in the slaves, which as in Java says
// more than that its sync was late.
func replicated(res *PutResult, err error) {
	if err == nil {
		return
	}
	var late interface{ Timeout() bool }
	res.Status, res.Err = SlaveNotAvailable, err
	if errors.As(err, &late) && late.Timeout() {
		res.Status = FlushSlaveTimeout
	}
}

// synced applies the outcome of a sync to the result of a put.
func (s *Store) synced(res *PutResult, err error) {
	switch {
	case err == nil:
	case errors.Is(err, commitlog.ErrSyncTimeout):
		res.Status, res.Err = FlushDiskTimeout, err
	default:
		res.Status, res.Err = ServiceNotAvailable, fmt.Errorf("the store cannot make messages durable any more: %w", err)
	}
}

// pendingPut is a put that waits for its sync, or for slaves.
type pendingPut struct {
	store *Store
	res   PutResult
	end   message.PhyOffset
	wait  awaited
	done  Completion
}

var pendingPuts = sync.Pool{New: func() any { return new(pendingPut) }}

// Durable implements commitlog.Waiter.
func (p *pendingPut) Durable(err error) {
	p.store.synced(&p.res, err)
	p.next()
}

// Replicated implements ReplicaWaiter.
func (p *pendingPut) Replicated(err error) {
	replicated(&p.res, err)
	p.wait.slaves = false
	p.next()
}

// next waits for the slaves if there is that to wait for, or ends the put.
func (p *pendingPut) next() {
	if p.wait.slaves && p.res.Status.Stored() {
		p.store.replicas().NotifyReplicated(p.end, p)
		return
	}
	res, done := p.res, p.done
	*p = pendingPut{}
	pendingPuts.Put(p)
	done.PutDone(res)
}

func (s *Store) complete(res PutResult, end message.PhyOffset, wait awaited, done Completion) {
	if res.Status != PutOK || wait == (awaited{}) {
		done.PutDone(res)
		return
	}
	p := pendingPuts.Get().(*pendingPut)
	*p = pendingPut{store: s, res: res, end: end, wait: wait, done: done}
	if wait.disk {
		s.log.NotifyDurable(end, p)
		return
	}
	p.next()
}

func (s *Store) append(m *message.Message) (PutResult, message.PhyOffset, awaited) {
	if err := s.admit(); err != nil {
		return s.refused(PutResult{Status: ServiceNotAvailable, Err: err})
	}
	if err := m.Check(s.opts.MaxMessageSize); err != nil {
		return s.refused(illegal(err))
	}
	wait, err := s.waits(m)
	if err != nil {
		return s.refused(PutResult{Status: InSyncReplicasNotEnough, Err: err})
	}
	res, err := s.appendOne(m)
	if err != nil {
		return s.refused(s.appendFailed(err))
	}
	s.metrics.putMessages.Add(1)
	return putOK(res), res.End, wait
}

func (s *Store) appendBatch(m *message.Message, batch []byte, offsets []message.PhyOffset) (PutResult, []message.PhyOffset, message.PhyOffset, awaited) {
	offsets = offsets[:0]
	fail := func(r PutResult) (PutResult, []message.PhyOffset, message.PhyOffset, awaited) {
		r, end, wait := s.refused(r)
		return r, offsets, end, wait
	}
	if err := s.admit(); err != nil {
		return fail(PutResult{Status: ServiceNotAvailable, Err: err})
	}
	if len(batch) > s.opts.MaxMessageSize {
		return fail(PutResult{Status: MessageIllegal, Err: fmt.Errorf("the batch has %d bytes, at most %d are allowed", len(batch), s.opts.MaxMessageSize)})
	}
	if m.SysFlag.Transaction() != message.TransactionNone {
		return fail(PutResult{Status: MessageIllegal, Err: errors.New("a batch cannot be part of a transaction")})
	}
	items := itemPool.Get().(*[]message.BatchItem)
	defer func() { clear(*items); itemPool.Put(items) }()
	var err error
	if *items, err = s.batchItems(m, batch, (*items)[:0]); err != nil {
		return fail(illegal(err))
	}
	wait, err := s.waits(m)
	if err != nil {
		return fail(PutResult{Status: InSyncReplicasNotEnough, Err: err})
	}
	for range *items {
		offsets = append(offsets, 0)
	}
	res, err := s.log.AppendBatch(m, *items, s.sequenceOf(m), offsets)
	if err != nil {
		offsets = offsets[:0]
		return fail(s.appendFailed(err))
	}
	s.metrics.putMessages.Add(int64(len(*items)))
	return putOK(res), offsets, res.End, wait
}

var itemPool = sync.Pool{New: func() any { return new([]message.BatchItem) }}

// batchItems reads and checks the items of a batch.
func (s *Store) batchItems(m *message.Message, batch []byte, items []message.BatchItem) ([]message.BatchItem, error) {
	one := *m
	err := message.ForEachBatchItem(batch, func(it message.BatchItem) error {
		one.Body, one.Properties = it.Body, it.Properties
		if err := one.Check(s.opts.MaxMessageSize); err != nil {
			return fmt.Errorf("message %d of the batch: %w", len(items), err)
		}
		if s.opts.LightQueues {
			if _, told := message.Properties(it.Properties).Get(message.PropertyMultiQueueOffset); told {
				return fmt.Errorf("message %d of the batch: %s is the broker's to set", len(items), message.PropertyMultiQueueOffset)
			}
		}
		items = append(items, it)
		return nil
	})
	if err == nil && len(items) == 0 {
		err = errors.New("the batch holds no message")
	}
	return items, err
}

func putOK(r commitlog.Result) PutResult {
	return PutResult{
		PhyOffset: r.PhyOffset, QueueOffset: r.QueueOffset, StoreTimestamp: r.StoreTimestamp,
		Size: int32(r.End - r.PhyOffset),
	}
}

func (s *Store) refused(r PutResult) (PutResult, message.PhyOffset, awaited) {
	s.metrics.putRefused.Add(1)
	return r, 0, awaited{}
}

// illegal tells what is wrong with a message.
func illegal(err error) PutResult {
	status := MessageIllegal
	if errors.Is(err, message.ErrPropertiesTooLarge) {
		status = PropertiesSizeExceeded
	}
	return PutResult{Status: status, Err: err}
}

// appendFailed tells why the log did not take a message.
func (s *Store) appendFailed(err error) PutResult {
	switch {
	case errors.Is(err, commitlog.ErrTooLarge), errors.Is(err, errLightName), errors.Is(err, message.ErrPropertiesTooLarge):
		return illegal(err)
	case errors.Is(err, errLightQueues):
		return PutResult{Status: LMQConsumeQueueNumExceeded, Err: err}
	case errors.Is(err, commitlog.ErrClosed):
		return PutResult{Status: ServiceNotAvailable, Err: ErrClosed}
	case s.log.Failure() != nil:
		return PutResult{Status: ServiceNotAvailable, Err: fmt.Errorf("the log failed and takes no more messages: %w", err)}
	case vfs.IsNoSpace(err):
		return PutResult{Status: ServiceNotAvailable, Err: fmt.Errorf("the disk is full: %w", err)}
	default:
		return PutResult{Status: CreateMappedFileFailed, Err: err}
	}
}
