package engine

import (
	"errors"
	"fmt"
	"sync"

	"github.com/rocketlog/rocketlog/commitlog"
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
)

var putStatusNames = [...]string{
	"PUT_OK", "FLUSH_DISK_TIMEOUT", "FLUSH_SLAVE_TIMEOUT", "SLAVE_NOT_AVAILABLE", "SERVICE_NOT_AVAILABLE",
	"CREATE_MAPPED_FILE_FAILED", "MESSAGE_ILLEGAL", "PROPERTIES_SIZE_EXCEEDED", "OS_PAGE_CACHE_BUSY", "UNKNOWN_ERROR",
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
	res, end := s.append(m)
	if res.Status == PutOK && s.waits(m) {
		s.awaitSync(&res, end)
	}
	return res
}

// PutAsync stores m and tells done when it is as durable as asked: before it
// returns under AsyncFlush, later and from another goroutine under SyncFlush.
// m may be used again when it returns.
func (s *Store) PutAsync(m *message.Message, done Completion) {
	res, end := s.append(m)
	s.complete(m, res, end, done)
}

// PutBatch stores the messages of a client's batch body in one piece and sets
// offsets, which is grown as needed, to their places. What m holds besides
// body, properties and flag is common to all.
func (s *Store) PutBatch(m *message.Message, batch []byte, offsets []message.PhyOffset) (PutResult, []message.PhyOffset) {
	res, offsets, end := s.appendBatch(m, batch, offsets)
	if res.Status == PutOK && s.waits(m) {
		s.awaitSync(&res, end)
	}
	return res, offsets
}

// PutBatchAsync is to PutBatch as PutAsync is to Put.
func (s *Store) PutBatchAsync(m *message.Message, batch []byte, offsets []message.PhyOffset, done Completion) []message.PhyOffset {
	res, offsets, end := s.appendBatch(m, batch, offsets)
	s.complete(m, res, end, done)
	return offsets
}

// waits tells whether the sender of m waits for the disk.
func (s *Store) waits(m *message.Message) bool {
	return s.opts.FlushDiskType == SyncFlush && message.Properties(m.Properties).WaitStored()
}

func (s *Store) awaitSync(res *PutResult, end message.PhyOffset) {
	s.synced(res, s.log.Sync(end))
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

// pendingPut is a put that waits for its sync.
type pendingPut struct {
	store *Store
	res   PutResult
	done  Completion
}

var pendingPuts = sync.Pool{New: func() any { return new(pendingPut) }}

// Durable implements commitlog.Waiter.
func (p *pendingPut) Durable(err error) {
	p.store.synced(&p.res, err)
	res, done := p.res, p.done
	*p = pendingPut{}
	pendingPuts.Put(p)
	done.PutDone(res)
}

func (s *Store) complete(m *message.Message, res PutResult, end message.PhyOffset, done Completion) {
	if res.Status != PutOK || !s.waits(m) {
		done.PutDone(res)
		return
	}
	p := pendingPuts.Get().(*pendingPut)
	p.store, p.res, p.done = s, res, done
	s.log.NotifyDurable(end, p)
}

func (s *Store) append(m *message.Message) (PutResult, message.PhyOffset) {
	if err := s.refusal(); err != nil {
		return s.refused(PutResult{Status: ServiceNotAvailable, Err: err})
	}
	if err := m.Check(s.opts.MaxMessageSize); err != nil {
		return s.refused(illegal(err))
	}
	res, err := s.log.Append(m, s.sequenceOf(m))
	if err != nil {
		return s.refused(s.appendFailed(err))
	}
	s.metrics.putMessages.Add(1)
	return putOK(res), res.End
}

func (s *Store) appendBatch(m *message.Message, batch []byte, offsets []message.PhyOffset) (PutResult, []message.PhyOffset, message.PhyOffset) {
	offsets = offsets[:0]
	fail := func(r PutResult) (PutResult, []message.PhyOffset, message.PhyOffset) {
		r, end := s.refused(r)
		return r, offsets, end
	}
	if err := s.refusal(); err != nil {
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
	for range *items {
		offsets = append(offsets, 0)
	}
	res, err := s.log.AppendBatch(m, *items, s.sequenceOf(m), offsets)
	if err != nil {
		offsets = offsets[:0]
		return fail(s.appendFailed(err))
	}
	s.metrics.putMessages.Add(int64(len(*items)))
	return putOK(res), offsets, res.End
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

func (s *Store) refused(r PutResult) (PutResult, message.PhyOffset) {
	s.metrics.putRefused.Add(1)
	return r, 0
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
	case errors.Is(err, commitlog.ErrTooLarge):
		return PutResult{Status: MessageIllegal, Err: err}
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
