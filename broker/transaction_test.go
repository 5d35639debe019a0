package broker

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/broker/config"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/internal/histories"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// A shiftedClock is the time of day and what a test adds to it.
type shiftedClock struct{ shift atomic.Int64 }

func (c *shiftedClock) now() time.Time          { return time.Now().Add(time.Duration(c.shift.Load())) }
func (c *shiftedClock) advance(d time.Duration) { c.shift.Add(int64(d)) }

// startTransactions starts a broker that checks transactions when the test says so.
func startTransactions(tb testing.TB, o *Options) (*bench, *shiftedClock) {
	tb.Helper()
	clock := new(shiftedClock)
	o.Now = clock.now
	o.TransactionCheckInterval = time.Hour.Milliseconds()
	s := startWith(tb, o)
	<-s.transactions.surveyed
	return s, clock
}

// A halfSent is the answer to the send of a message of a transaction.
type halfSent struct {
	key   string
	phy   int64
	queue int64
}

// half sends a message of a transaction.
func (s *bench) half(topic, group, key string, properties ...string) halfSent {
	s.Helper()
	p := append([]string{"TRAN_MSG", "true", "PGROUP", group, "UNIQ_KEY", key}, properties...)
	h := s.put(topic, 0, "body of "+key, p...)
	_, phy, err := message.ParseOffsetID(string(h.MsgID))
	if err != nil {
		s.Fatal(err)
	}
	return halfSent{key, int64(phy), h.QueueOffset}
}

func endHeader(group string, h halfSent, how message.TransactionType, fromCheck bool) *protocol.EndTransactionRequestHeader {
	e := &protocol.EndTransactionRequestHeader{
		ProducerGroup: group, TranStateTableOffset: h.queue, CommitLogOffset: h.phy, CommitOrRollback: int32(how), MsgID: h.key, TransactionID: h.key,
	}
	e.FromTransactionCheck = protocol.Some(fromCheck)
	return e
}

// end ends a transaction and returns the answer.
func (s *bench) end(group string, h halfSent, how message.TransactionType, fromCheck bool) *remoting.Command {
	s.Helper()
	return s.call(protocol.EndTransaction, endHeader(group, h, how, fromCheck), nil)
}

// messagesIn reads a queue as it is stored.
func (s *bench) messagesIn(topic string, queue int32) (list []message.Record) {
	s.Helper()
	s.await("the dispatch", func() bool { return s.store.ReputOffset() >= s.store.ConfirmOffset() })
	for at, end := s.store.MinOffset(topic, queue), s.store.MaxOffset(topic, queue); at < end; {
		var res engine.GetResult
		s.store.Get(&engine.GetRequest{Topic: topic, QueueID: queue, Offset: at, MaxMsgs: 32}, &res)
		if res.Status != engine.Found {
			s.Fatalf("%s/%d at %d: %v", topic, queue, at, res.Status)
		}
		if err := message.EachRecord(res.Segments, func(r message.Record) { list = append(list, slices.Clone(r)) }); err != nil {
			s.Fatal(err)
		}
		at = res.NextOffset
		res.Release()
	}
	return list
}

func bodiesOf(list []message.Record) (bodies []string) {
	for _, r := range list {
		bodies = append(bodies, string(r.Body()))
	}
	return bodies
}

// property is one of a record's, or what is said of it when it is not there.
func property(r message.Record, name string) string {
	if v, ok := r.Properties().Get(name); ok {
		return string(v)
	}
	return "none"
}

// An asked producer is one that is online and is asked about its transactions.
type asked struct {
	client *remoting.Client
	mu     sync.Mutex
	checks []check
}

type check struct {
	halfSent
	header protocol.CheckTransactionStateRequestHeader
	body   message.Record
}

// producer connects one of the group.
func (s *bench) producer(group string) *asked {
	s.Helper()
	a := &asked{client: remoting.NewClient(nil)}
	s.Cleanup(func() { a.client.Close() })
	a.client.Handle(protocol.CheckTransactionState, func(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
		var c check
		if err := c.header.Decode(&req.Fields); err != nil {
			s.Errorf("check: %v", err)
		}
		r, err := message.ParseRecord(slices.Clone(req.Body))
		if err != nil {
			s.Errorf("body of a check: %v", err)
		}
		c.header.MsgID = strings.Clone(c.header.MsgID)
		c.halfSent, c.body = halfSent{c.header.MsgID, c.header.CommitLogOffset, c.header.TranStateTableOffset}, r
		a.mu.Lock()
		a.checks = append(a.checks, c)
		a.mu.Unlock()
		return nil
	}, remoting.Inline())
	body, err := protocol.MarshalJSON(&protocol.HeartbeatData{ClientID: "producer@" + group, ProducerDataSet: []protocol.ProducerData{{GroupName: group}}})
	if err != nil {
		s.Fatal(err)
	}
	req := remoting.NewRequest(protocol.HeartBeat)
	req.Body = body
	s.wantCode(s.send(a.client, req), protocol.Success)
	return a
}

// take returns the checks so far.
func (a *asked) take() []check {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.checks
	a.checks = nil
	return list
}

// awaitChecks waits for n checks.
func (s *bench) awaitChecks(a *asked, n int) []check {
	s.Helper()
	var list []check
	s.await(fmt.Sprintf("%d checks", n), func() bool { list = append(list, a.take()...); return len(list) >= n })
	slices.SortFunc(list, func(a, b check) int { return cmp.Compare(a.queue, b.queue) })
	return list
}

const (
	committed  = message.TransactionCommit
	rolledBack = message.TransactionRollback
	unknown    = message.TransactionNone
)

// A message of a transaction is seen when it is committed, as it was sent, and never when it is rolled back.
func TestTransactionEnds(t *testing.T) {
	s, _ := startTransactions(t, testOptions(t.TempDir()))
	a, b := s.half("T", "g", "A", "TAGS", "tag", "TRAN_PREPARED_QUEUE_OFFSET", "7"), s.half("T", "g", "B")
	if list := s.messagesIn("T", 0); len(list) != 0 {
		t.Fatalf("%d messages before any commit", len(list))
	}
	s.wantCode(s.end("g", a, committed, false), protocol.Success)
	s.wantCode(s.end("g", b, rolledBack, false), protocol.Success)
	s.wantCode(s.end("g", a, committed, false), protocol.Success) // again
	s.wantCode(s.end("g", b, committed, false), protocol.Success) // too late
	list := s.messagesIn("T", 0)
	if got := bodiesOf(list); !slices.Equal(got, []string{"body of A"}) {
		t.Fatalf("messages %q", got)
	}
	r := list[0]
	got := fmt.Sprint(r.SysFlag().Transaction() == committed, int64(r.PreparedTransactionOffset()) == a.phy)
	for _, name := range []string{"TAGS", "UNIQ_KEY", "TRAN_MSG", "PGROUP", "__transactionId__", "REAL_TOPIC", "REAL_QID", "TRAN_PREPARED_QUEUE_OFFSET"} {
		got += " " + property(r, name)
	}
	if want := "true true tag A true g A none none none"; got != want {
		t.Errorf("committed message: %s, want %s", got, want)
	}
	s.transactions.flushOps()
	ops := s.messagesIn(message.OpHalfTopic, 0)
	if got := bodiesOf(ops); !slices.Equal(got, []string{"0,1,"}) || property(ops[0], "TAGS") != "d" {
		t.Errorf("op messages %q", got)
	}
	s.transactions.saveProgress()
	if half, _ := s.offsets.Committed(message.HalfTopic, transactionGroup, 0); half != 2 {
		t.Errorf("progress in the half queue is %d", half)
	}
}

// A delayed message of a transaction is delayed from its commit on.
func TestTransactionOfADelayedMessage(t *testing.T) {
	s, _ := startTransactions(t, testOptions(t.TempDir()))
	h := s.half("T", "g", "A", "DELAY", "3")
	s.wantCode(s.end("g", h, committed, false), protocol.Success)
	list := s.messagesIn(message.ScheduleTopic, 2)
	if len(list) != 1 || property(list[0], "REAL_TOPIC") != "T" || property(list[0], "REAL_QID") != "0" {
		t.Errorf("delayed messages: %q", bodiesOf(list))
	}
}

func TestEndTransactionRefusals(t *testing.T) {
	s, clock := startTransactions(t, testOptions(t.TempDir()))
	h := s.half("T", "g", "A")
	immune := s.half("T", "g", "I", "CHECK_IMMUNITY_TIME_IN_SECONDS", "10")
	plain := s.put("T", 0, "plain")
	_, phy, _ := message.ParseOffsetID(string(plain.MsgID))
	clock.advance(11 * time.Second)
	for _, c := range []struct {
		name      string
		group     string
		half      halfSent
		fromCheck bool
		code      protocol.ResponseCode
		remark    string
	}{
		{"group", "other", h, false, protocol.SystemError, "The producer group wrong"},
		{"queue offset", "g", halfSent{"A", h.phy, h.queue + 1}, false, protocol.SystemError, "The transaction state table offset wrong"},
		{"log offset", "g", halfSent{"A", h.phy + 1, h.queue}, false, protocol.SystemError, "Find prepared transaction message failed"},
		{"beyond the log", "g", halfSent{"A", 1 << 40, h.queue}, false, protocol.SystemError, "Find prepared transaction message failed"},
		{"negative", "g", halfSent{"A", -5, h.queue}, false, protocol.SystemError, "Find prepared transaction message failed"},
		{"ordinary message", "g", halfSent{"X", int64(phy), plain.QueueOffset}, false, protocol.SystemError, "Find prepared transaction message failed"},
		{"late", "g", immune, false, protocol.IllegalOperation, ""},
		{"late after a check", "g", immune, true, protocol.Success, ""},
	} {
		resp := s.end(c.group, c.half, committed, c.fromCheck)
		if resp.ResponseCode() != c.code || resp.Remark != c.remark {
			t.Errorf("%s: answer %d %q, want %d %q", c.name, resp.Code, resp.Remark, c.code, c.remark)
		}
	}
	if got := bodiesOf(s.messagesIn("T", 0)); !slices.Equal(got, []string{"plain", "body of I"}) {
		t.Errorf("messages %q", got)
	}
}

func TestEndTransactionAtASlave(t *testing.T) {
	s := startWith(t, pairOptions(t.TempDir(), config.SlaveRole, 1))
	s.wantCode(s.end("g", halfSent{"A", 0, 0}, committed, false), protocol.SlaveNotAvailable)
}

func TestRejectTransactionMessage(t *testing.T) {
	o := testOptions(t.TempDir())
	o.RejectTransactionMessage = true
	s, _ := startTransactions(t, o)
	s.put("T", 0, "creates the topic")
	resp := s.call(protocol.SendMessageV2, v2{sendHeader("T", 0, "TRAN_MSG", "true")}, []byte("body"))
	s.wantCode(resp, protocol.NoPermission)
	if !strings.Contains(resp.Remark, "sending transaction message is forbidden") {
		t.Errorf("remark %q", resp.Remark)
	}
}

// A producer is asked about a transaction that it does not end, with all that Java tells it, and its answer counts; one that
// it then ends by the first half message is not delivered twice.
func TestCheckTransaction(t *testing.T) {
	s, clock := startTransactions(t, testOptions(t.TempDir()))
	a := s.producer("g")
	s.half("T", "g", "A", "TAGS", "tag")
	first := s.half("T", "g", "B")
	s.half("T", "offline", "C")
	s.messagesIn(message.HalfTopic, 0)
	clock.advance(5 * time.Second)
	s.transactions.round()
	if m := s.Metrics(); m.Checked != 0 {
		t.Fatalf("%d checks before transactionTimeOut", m.Checked)
	}
	clock.advance(2 * time.Second)
	s.transactions.round()
	checks := s.awaitChecks(a, 2)
	c := checks[0]
	if got, want := fmt.Sprint(c.header.Topic, c.header.MsgID, c.header.TransactionID, c.header.TargetBroker, c.queue), "RMQ_SYS_TRANS_HALF_TOPICAAbroker-a3"; got != want {
		t.Errorf("header of the check: %s, want %s", got, want)
	}
	if _, phy, err := message.ParseOffsetID(c.header.OffsetMsgID); err != nil || int64(phy) != c.phy {
		t.Errorf("offset message id %s of %d", c.header.OffsetMsgID, c.phy)
	}
	if got := fmt.Sprint(string(c.body.Topic()), c.body.QueueID(), string(c.body.Body()), property(c.body, "TRANSACTION_CHECK_TIMES"), property(c.body, "TAGS")); got != "T0body of A1tag" && got != "T 0 body of A 1 tag" {
		t.Errorf("body of the check: %s", got)
	}
	s.wantCode(s.end("g", c.halfSent, committed, true), protocol.Success)
	s.wantCode(s.end("g", first, committed, false), protocol.Success)             // late, by the half message that was sent
	s.wantCode(s.end("g", checks[1].halfSent, committed, true), protocol.Success) // and as the answer to the check
	if got := bodiesOf(s.messagesIn("T", 0)); !slices.Equal(got, []string{"body of A", "body of B"}) {
		t.Errorf("messages %q", got)
	}
	clock.advance(31 * time.Second)
	s.transactions.round()
	if m := s.Metrics(); m.Checked != 4 || m.Unasked != 2 || m.Committed != 2 {
		t.Errorf("checked %d, unasked %d, committed %d", m.Checked, m.Unasked, m.Committed)
	}
}

// A transaction that is asked about in vain is given up after transactionCheckMax times, and can be taken up again.
func TestTransactionGivenUp(t *testing.T) {
	o := testOptions(t.TempDir())
	o.TransactionCheckMax = 3
	s, clock := startTransactions(t, o)
	a := s.producer("g")
	s.half("T", "g", "A")
	s.messagesIn(message.HalfTopic, 0)
	for range 5 {
		clock.advance(30 * time.Second)
		s.transactions.round()
		s.messagesIn(message.HalfTopic, 0)
	}
	if checks := s.awaitChecks(a, 3); len(checks) != 3 {
		t.Errorf("%d checks", len(checks))
	}
	given := s.messagesIn(message.TransCheckMaxTopic, 0)
	if len(given) != 1 || property(given[0], "TRANSACTION_CHECK_TIMES") != "3" || property(given[0], "REAL_TOPIC") != "T" {
		t.Fatalf("given up: %d", len(given))
	}
	if m := s.Metrics(); m.GivenUp != 1 {
		t.Errorf("given up %d", m.GivenUp)
	}
	s.must(protocol.ResumeCheckHalfMessage, &protocol.ResumeCheckHalfMessageRequestHeader{
		MsgID: string(message.AppendOffsetID(nil, s.storeHost, given[0].PhyOffset())),
	}, nil, nil)
	s.messagesIn(message.HalfTopic, 0)
	clock.advance(30 * time.Second)
	s.transactions.round()
	c := s.awaitChecks(a, 1)[0]
	s.wantCode(s.end("g", c.halfSent, committed, true), protocol.Success)
	if got := bodiesOf(s.messagesIn("T", 0)); !slices.Equal(got, []string{"body of A"}) {
		t.Errorf("messages %q", got)
	}
}

// A half message that can never be committed, or that no copy can be made of, does not keep the others from being checked.
func TestPoisonedHalfMessage(t *testing.T) {
	s, clock := startTransactions(t, testOptions(t.TempDir()))
	a := s.producer("g")
	s.half("T", "g", "before")
	poison := message.Message{Topic: message.HalfTopic, Body: []byte("poison"), BornTimestamp: s.now().UnixMilli(), StoreHost: s.storeHost}
	for _, p := range []message.Properties{
		nil,
		message.AppendProperty(nil, "REAL_TOPIC", "T"),
		message.AppendProperty(message.AppendProperty(nil, "REAL_TOPIC", "T"), "REAL_QID", "-3"),
		message.AppendProperty(message.AppendProperty(message.AppendProperty(message.AppendProperty(nil, "PGROUP", "g"), "REAL_TOPIC", "T"), "REAL_QID", "0"),
			"pad", strings.Repeat("x", message.PropertiesLenMax-50)),
		message.AppendProperty(message.AppendProperty(message.AppendProperty(nil, "PGROUP", "g"), "REAL_TOPIC", "T"), "REAL_QID", "many"),
	} {
		m := poison
		m.Properties = p
		if r := s.store.Put(&m); r.Status != engine.PutOK {
			t.Fatal(r.Err)
		}
	}
	s.half("T", "g", "behind")
	s.messagesIn(message.HalfTopic, 0)
	clock.advance(7 * time.Second)
	s.transactions.round()
	var keys []string
	for _, c := range s.awaitChecks(a, 2) {
		keys = append(keys, c.key)
	}
	if !slices.Equal(keys, []string{"before", "behind"}) {
		t.Errorf("checked %q", keys)
	}
	if given := s.messagesIn(message.TransCheckMaxTopic, 0); len(given) != 5 {
		t.Errorf("%d are given up", len(given))
	}
	if half, _ := s.offsets.Committed(message.HalfTopic, transactionGroup, 0); half != 7 {
		t.Errorf("progress in the half queue is %d", half)
	}
}

// A half message with an immunity of its own waits for as long as it says, and does not hold up the others.
func TestImmuneHalfMessage(t *testing.T) {
	s, clock := startTransactions(t, testOptions(t.TempDir()))
	a := s.producer("g")
	s.half("T", "g", "immune", "CHECK_IMMUNITY_TIME_IN_SECONDS", "100")
	s.half("T", "g", "other")
	s.messagesIn(message.HalfTopic, 0)
	clock.advance(90 * time.Second)
	s.transactions.round()
	if c := s.awaitChecks(a, 1); c[0].key != "other" || len(c) != 1 {
		t.Errorf("checked %v", c)
	}
	clock.advance(11 * time.Second)
	s.messagesIn(message.HalfTopic, 0)
	s.transactions.round()
	c := s.awaitChecks(a, 2)
	if i := slices.IndexFunc(c, func(c check) bool { return c.key == "immune" }); i < 0 || property(c[i].body, "TRANSACTION_CHECK_TIMES") != "1" {
		t.Errorf("checked %v", c)
	}
}

// The pending transactions of a store of Java's broker are asked about; those that were ended are not, and none is delivered.
func TestGoldenTransactions(t *testing.T) {
	o := testOptions(golden.Store(t, golden.Clean))
	o.MappedFileSizeCommitLog, o.MappedFileSizeConsumeQueue, o.MappedFileSizeTimerLog = 1<<20, 4000, 1040
	s, _ := startTransactions(t, o)
	before := len(s.messagesIn("GT_tran", 0)) + len(s.messagesIn("GT_tran", 1))
	a := s.producer("GP_tran")
	s.transactions.round()
	checks := s.awaitChecks(a, 2)
	for i, c := range checks {
		if got := fmt.Sprint(property(c.body, "KEYS"), " ", property(c.body, "TRANSACTION_CHECK_TIMES"), " ", c.queue); got != fmt.Sprintf("tran-pending-%d 9 %d", i, 27+i) {
			t.Errorf("check %d: %s", i, got)
		}
		s.wantCode(s.end("GP_tran", c.halfSent, committed, true), protocol.Success)
	}
	if after := len(s.messagesIn("GT_tran", 0)) + len(s.messagesIn("GT_tran", 1)); before != 5 || after != 7 {
		t.Errorf("%d messages, then %d", before, after)
	}
}

// txWorld is a producer with its transactions, and a broker that crashes.
type txWorld struct {
	*testing.T
	rng     *rand.Rand
	fs      *vfs.CrashFS
	clock   shiftedClock
	flush   string
	s       *bench
	a       *asked
	txs     map[string]*txState
	crashes int
}

// txState is a transaction as its producer sees it.
type txState struct {
	halfSent
	outcome message.TransactionType // what the producer will say, always the same
	silent  int                     // checks that it answers with unknown
}

// Random histories of transactions, with refused and repeated ends, and crashes of the process and of the machine: what is
// committed is delivered, once if there was no crash; what is rolled back never is; and nothing stays pending.
func TestTransactionsSurviveCrashes(t *testing.T) {
	histories.Each(t, 12, transactionHistory)
}

func transactionHistory(t *testing.T, seed uint64) {
	w := &txWorld{T: t, rng: rand.New(rand.NewPCG(seed, 1)), fs: vfs.NewCrashFS(seed), txs: map[string]*txState{}}
	w.flush = []string{"ASYNC_FLUSH", "SYNC_FLUSH"}[w.rng.IntN(2)]
	lives := 1 + w.rng.IntN(3)
	for n := range lives {
		w.open()
		for range 10 + w.rng.IntN(30) {
			w.step()
		}
		if n < lives-1 {
			w.crash()
		}
	}
	w.drain()
	w.verify()
	w.s.Broker.Close()
	w.fs.Discard()
}

func (w *txWorld) open() {
	o := testOptions("/store")
	o.FS, o.Now, o.FlushDiskType = w.fs, w.clock.now, w.flush
	o.MappedFileSizeCommitLog, o.TransactionCheckInterval = 1<<20, time.Hour.Milliseconds()
	o.TransactionOpMsgMaxSize, o.TransactionOpBatchInterval = 1+w.rng.IntN(40), time.Hour.Milliseconds()
	b, err := Open(o)
	if err != nil {
		w.Fatal(err)
	}
	w.s = &bench{TB: w.T, Broker: b, client: remoting.NewClient(nil)}
	<-b.transactions.surveyed
	w.a = w.s.producer("g")
	end := int64(b.store.MaxPhyOffset())
	for key, tx := range w.txs {
		if tx.phy >= end {
			delete(w.txs, key) // lost with the machine: ASYNC_FLUSH
		}
	}
}

func (w *txWorld) step() {
	s := w.s
	switch w.rng.IntN(12) {
	case 0, 1, 2, 3:
		key := "K" + strconv.FormatUint(w.rng.Uint64(), 36)
		tx := &txState{halfSent: s.half("T", "g", key), outcome: []message.TransactionType{committed, rolledBack}[w.rng.IntN(2)], silent: w.rng.IntN(3)}
		w.txs[key] = tx
		if w.rng.IntN(3) > 0 {
			s.wantCode(s.end("g", tx.halfSent, tx.outcome, false), protocol.Success)
		}
	case 4, 5:
		for _, tx := range w.txs { // late, or again
			if w.rng.IntN(2) == 0 {
				s.wantCode(s.end("g", tx.halfSent, tx.outcome, false), protocol.Success)
			}
			break
		}
	case 6, 7:
		w.round()
	case 8:
		w.answer(2)
	case 9:
		s.transactions.flushOps()
	case 10:
		if err := s.store.Flush(); err != nil {
			w.Fatal(err)
		}
	case 11:
		if err := s.offsets.Persist(); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *txWorld) round() {
	w.clock.advance(time.Duration(1+w.rng.IntN(30)) * time.Second)
	w.s.messagesIn(message.HalfTopic, 0)
	w.s.transactions.round()
}

// answer answers the checks that came, of late ones some.
func (w *txWorld) answer(oneIn int) {
	for _, c := range w.a.take() {
		tx := w.txs[c.key]
		if tx == nil {
			continue // half sent, and lost with the answer
		}
		if tx.silent--; tx.silent >= 0 || w.rng.IntN(oneIn) > 0 {
			continue
		}
		w.s.wantCode(w.s.end("g", c.halfSent, tx.outcome, true), protocol.Success)
	}
}

func (w *txWorld) crash() {
	w.crashes++
	next := w.fs.Kill()
	if w.rng.IntN(2) == 0 {
		next.Discard()
		next = w.fs.Crash(w.rng.Uint64())
	}
	w.s.client.Close()
	w.a.client.Close()
	w.s.Broker.Close() //nolint:errcheck // writes into the void
	w.fs.Discard()
	w.fs = next
}

// drain lets the producer answer until nothing is pending.
func (w *txWorld) drain() {
	t := w.s.transactions
	for range 14 {
		w.clock.advance(31 * time.Second)
		w.s.messagesIn(message.HalfTopic, 0)
		asked := t.stats.checked.Load()
		t.round()
		asked = t.stats.checked.Load() - asked
		w.s.await("the checks", func() bool {
			w.a.mu.Lock()
			defer w.a.mu.Unlock()
			return int64(len(w.a.checks)) >= asked
		})
		w.answer(1)
	}
	w.s.messagesIn(message.HalfTopic, 0)
	t.round()
	if half, end := int64(t.mu.ledger.Next(0)), int64(w.s.store.MaxOffset(message.HalfTopic, 0)); half != end {
		w.Errorf("half message %d of %d is still pending", half, end)
	}
}

func (w *txWorld) verify() {
	count := map[string]int{}
	for _, r := range w.s.messagesIn("T", 0) {
		count[property(r, "UNIQ_KEY")]++
	}
	for key, tx := range w.txs {
		n := count[key]
		switch {
		case tx.outcome == committed && n == 0:
			w.Errorf("transaction %s at %d was committed and never delivered", key, tx.queue)
		case tx.outcome == rolledBack && n > 0:
			w.Errorf("transaction %s at %d was rolled back and delivered", key, tx.queue)
		case w.crashes == 0 && n > 1:
			w.Errorf("transaction %s at %d was delivered %d times", key, tx.queue, n)
		}
	}
	if w.Failed() {
		w.Logf("%d transactions, %d crashes, %s", len(w.txs), w.crashes, w.flush)
	}
}
