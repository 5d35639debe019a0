package broker

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/broker/transaction"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/message"
)

// transactionGroup is the group under which progress in the half and the op queue is kept (Java's MixAll.CID_SYS_RMQ_TRANS).
const transactionGroup = "CID_RMQ_SYS_TRANS"

// The queue of the half topic and of the op topic; RocketMQ uses one.
const transactionQueue = 0

// opBacklogMax bounds the half messages that are settled and wait for an op message, while the store takes none. What is
// more is settled too, but comes up again after a crash.
const opBacklogMax = 20000

// A transactor ends the transactions of producers and asks after those that are not ended (Java's
// TransactionalMessageServiceImpl, with its op batch and check services). See docs/design/0011-transactions.md.
type transactor struct {
	b       *Broker
	stats   transactionStats
	next    atomic.Uint32 // turns of producers of a group
	wake    chan struct{}
	stop    chan struct{}
	stopped atomic.Bool
	done    sync.WaitGroup
	res     engine.GetResult // of the run goroutine

	surveyed chan struct{} // closed when half messages may be decided on

	mu struct {
		sync.Mutex
		ledger  *transaction.Ledger
		batch   []byte                // body of the next op message
		last    message.QueueOffset   // highest half message in batch
		count   int                   // half messages in batch
		since   time.Time             // when the first one came
		spare   []byte                // memory of an op message that is stored
		list    []message.QueueOffset // used again by each confirmation
		writing int                   // op messages that are being stored
		saved   [2]int64              // half and op offset as in the table of offsets
	}
}

// transactionStats count since the broker was opened.
type transactionStats struct {
	committed, rolledBack, checked, unasked, givenUp atomic.Int64
}

func newTransactor(b *Broker) *transactor {
	return &transactor{b: b, wake: make(chan struct{}, 1), stop: make(chan struct{}), surveyed: make(chan struct{})}
}

// policy are the times and limits of the moment.
func (t *transactor) policy() transaction.Policy {
	o := t.b.options()
	return transaction.Policy{
		Timeout: o.TransactionTimeOut, CheckMax: o.TransactionCheckMax, Keep: o.FileReservedTime * time.Hour.Milliseconds(),
	}
}

// load finds out what is settled: it reads the op messages that are not behind.
func (t *transactor) load() error {
	half, op := t.saved(message.HalfTopic), t.saved(message.OpHalfTopic)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.saved = [2]int64{half, op}
	t.mu.ledger = transaction.NewLedger(message.QueueOffset(half), message.QueueOffset(op))
	end := t.b.store.MaxOffset(message.HalfTopic, transactionQueue)
	var halfs []message.QueueOffset
	return t.scan(message.OpHalfTopic, message.QueueOffset(op), t.b.store.MaxOffset(message.OpHalfTopic, transactionQueue), func(r message.Record) bool {
		var err error
		if halfs, err = transaction.ParseOp(halfs[:0], r.Body()); err != nil {
			t.b.log.Warn("op message of transactions is damaged; its transactions are checked again", "queueOffset", int64(r.QueueOffset()), "error", err)
		}
		if tag, _ := r.Properties().Get(message.PropertyTags); string(tag) != transaction.OpTag {
			halfs = halfs[:0]
		}
		t.mu.ledger.ReadOp(r.QueueOffset(), halfs, end)
		return true
	}, func(_, _ message.QueueOffset, cause string) {
		t.b.log.Warn("op messages of transactions are gone; their transactions are checked again", "cause", cause)
	})
}

// saved is how far a queue is worked off, by the table of offsets and what the queue has.
func (t *transactor) saved(topic string) int64 {
	first, last := int64(t.b.store.MinOffset(topic, transactionQueue)), int64(t.b.store.MaxOffset(topic, transactionQueue))
	offset, _ := t.b.offsets.Committed(topic, transactionGroup, transactionQueue)
	return min(max(offset, first), last)
}

// scanBatch is how many records scan reads at a time.
const scanBatch = 32

// scan reads a queue's records from one offset to another, until visit has enough. What cannot be read is told to gone, and
// passed over: one message never keeps the others from being read.
func (t *transactor) scan(topic string, from, to message.QueueOffset, visit func(message.Record) bool, gone func(from, to message.QueueOffset, cause string)) error {
	for from < to {
		t.b.cold.Get(&engine.GetRequest{Topic: topic, QueueID: transactionQueue, Offset: from, MaxMsgs: scanBatch}, &t.res)
		start, more := from, true
		var err error
		if t.res.Status == engine.Found {
			err = message.EachRecord(t.res.Segments, func(r message.Record) {
				if at := r.QueueOffset(); more && at >= from && at < to {
					if at > from {
						gone(from, at, "their records are deleted")
					}
					from, more = at+1, visit(r)
				}
			})
		}
		next, status := t.res.NextOffset, t.res.Status
		t.res.Release()
		switch {
		case !more:
			return nil
		case from > start:
		case status == engine.Found && err == nil:
			err = errWrongQueueOffset
			fallthrough
		case err != nil:
			gone(from, from+1, err.Error())
			from++
		case next > from:
			gone(from, min(next, to), status.String())
			from = next
		default:
			return errNotReadable // being built again, or not there yet
		}
	}
	return nil
}

// kick has the run goroutine look at what there is to do.
func (t *transactor) kick() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *transactor) start() {
	t.done.Add(1)
	go t.run()
}

// halt ends what runs.
func (t *transactor) halt() {
	t.stopped.Store(true)
	close(t.stop)
	t.done.Wait()
}

// close writes what is settled to the op queue and notes the progress.
func (t *transactor) close() {
	t.halt()
	t.flushOps()
	t.saveProgress()
}

// run writes op messages and checks transactions when it is time.
func (t *transactor) run() {
	defer t.done.Done()
	t.survey()
	timer := time.NewTimer(0)
	defer timer.Stop()
	lastRound := time.Now()
	for {
		select {
		case <-t.stop:
			return
		case <-t.wake:
		case <-timer.C:
		}
		o := t.b.options()
		wait := t.opsDue(millis(o.TransactionOpBatchInterval))
		if wait == 0 {
			t.flushOps()
		}
		every := millis(o.TransactionCheckInterval)
		if time.Since(lastRound) >= every {
			t.round()
			lastRound = time.Now()
		}
		rest := max(every-time.Since(lastRound), 0)
		if wait > 0 {
			rest = min(rest, wait)
		}
		timer.Reset(rest)
	}
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// opsDue is the time until settled half messages are written to the op queue; negative when there are none.
func (t *transactor) opsDue(interval time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.count == 0 {
		return -1
	}
	return max(interval-time.Since(t.mu.since), 0)
}

// noteSettledLocked adds half messages to the next op message. It returns the op message if that is full.
func (t *transactor) noteSettledLocked(list ...message.QueueOffset) *opWrite {
	if t.mu.count == 0 {
		t.mu.since = time.Now()
		t.kick()
	}
	for _, half := range list {
		t.mu.batch = transaction.AppendOp(t.mu.batch, half)
		t.mu.last = max(t.mu.last, half)
	}
	t.mu.count += len(list)
	if len(t.mu.batch) < t.b.options().TransactionOpMsgMaxSize {
		return nil
	}
	return t.takeOpLocked()
}

// takeOpLocked takes what is settled for an op message; nil when nothing is.
func (t *transactor) takeOpLocked() *opWrite {
	if t.mu.count == 0 {
		return nil
	}
	w := &opWrite{t: t, body: t.mu.batch, last: t.mu.last}
	t.mu.batch, t.mu.spare = t.mu.spare[:0], nil
	t.mu.last, t.mu.count = 0, 0
	t.mu.writing++
	return w
}

// flushOps writes what is settled to the op queue.
func (t *transactor) flushOps() {
	t.mu.Lock()
	w := t.takeOpLocked()
	t.mu.Unlock()
	w.put()
}

// opWrite is an op message on its way into the store.
type opWrite struct {
	t    *transactor
	body []byte
	last message.QueueOffset
}

// opProperties are those of every op message: as Java's.
var opProperties = message.AppendProperty(message.AppendProperty(nil, message.PropertyTags, transaction.OpTag), message.PropertyWait, "true")

func (w *opWrite) put() {
	if w == nil {
		return
	}
	b := w.t.b
	b.store.PutAsync(&message.Message{
		Topic: message.OpHalfTopic, QueueID: transactionQueue, Body: w.body, Properties: opProperties,
		BornTimestamp: b.now().UnixMilli(), BornHost: b.storeHost, StoreHost: b.storeHost,
	}, w)
}

// PutDone notes the op message, or keeps what it says for the next.
func (w *opWrite) PutDone(r engine.PutResult) {
	t := w.t
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.writing--
	if r.Status.Stored() {
		t.mu.ledger.WroteOp(r.QueueOffset, w.last)
	} else if t.mu.count < opBacklogMax {
		halfs, _ := transaction.ParseOp(nil, w.body)
		if t.mu.count == 0 {
			t.mu.since = time.Now()
			t.kick()
		}
		t.mu.batch = append(t.mu.batch, w.body...)
		t.mu.count += len(halfs)
		t.mu.last = max(t.mu.last, w.last)
	}
	t.mu.spare = w.body[:0]
}

// saveProgress notes how far the queues are worked off, once that is on disk: what is behind is not read again.
func (t *transactor) saveProgress() {
	t.mu.Lock()
	t.mu.ledger.Advance()
	half, op := t.mu.ledger.Progress()
	now := [2]int64{int64(half), int64(op)}
	if t.mu.writing > 0 {
		now[1] = t.mu.saved[1] // one that is not noted yet may lie before
	}
	changed := now != t.mu.saved
	t.mu.Unlock()
	if !changed {
		return
	}
	if err := t.b.store.Flush(); err != nil {
		t.b.log.Warn("progress of transactions is not noted", "error", err)
		return
	}
	t.b.offsets.Commit(message.HalfTopic, transactionGroup, transactionQueue, now[0])
	t.b.offsets.Commit(message.OpHalfTopic, transactionGroup, transactionQueue, now[1])
	t.mu.Lock()
	t.mu.saved = now
	t.mu.Unlock()
}

// prepareHalf makes the message one that waits for the end of its transaction (Java: TransactionalMessageBridge).
func (d *sending) prepareHalf(o *Options) error {
	if o.RejectTransactionMessage {
		return refuseTransaction(o)
	}
	m := &d.msg
	// A client must not pass its message off for another's.
	p := message.Properties(d.props).Delete(message.PropertyPreparedQueueOffset).Delete(message.PropertyTransactionCheckTimes)
	var number [12]byte
	p = message.AppendProperty(p, message.PropertyTransactionID, d.uniqueKey)
	p = message.AppendProperty(p, message.PropertyRealTopic, m.Topic)
	p = message.AppendProperty(p, message.PropertyRealQueueID, strconv.AppendInt(number[:0], int64(m.QueueID), 10))
	m.Topic, m.QueueID, m.SysFlag = message.HalfTopic, transactionQueue, m.SysFlag.WithTransaction(message.TransactionNone)
	d.props, m.Properties = p, p
	if t := d.s.b.topics.Get(message.HalfTopic); t != nil {
		d.topic = t // which the statistics count it for
	}
	return nil
}
