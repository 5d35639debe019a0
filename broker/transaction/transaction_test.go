package transaction

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/internal/histories"
	"github.com/rocketlog/rocketlog/message"
)

func TestParseOp(t *testing.T) {
	for _, c := range []struct {
		body string
		want []message.QueueOffset
		err  error
	}{
		{"", nil, nil},
		{"0,1,22,", []message.QueueOffset{0, 1, 22}, nil},
		{"7", []message.QueueOffset{7}, nil},
		{"9223372036854775807,", []message.QueueOffset{9223372036854775807}, nil},
		{"9223372036854775808,4,", []message.QueueOffset{4}, ErrOp},
		{"5,,6,", []message.QueueOffset{5, 6}, ErrOp},
		{"-1,6,x,", []message.QueueOffset{6}, ErrOp},
	} {
		got, err := ParseOp(nil, []byte(c.body))
		if !slices.Equal(got, c.want) || err != c.err {
			t.Errorf("%q: %v, %v; want %v, %v", c.body, got, err, c.want, c.err)
		}
	}
}

func FuzzParseOp(f *testing.F) {
	f.Add([]byte("0,1,22,"))
	f.Add([]byte(",9223372036854775808"))
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := ParseOp(nil, body)
		if len(list) > len(body) {
			t.Fatalf("%d offsets from %d bytes", len(list), len(body))
		}
		var again []byte
		for _, offset := range list {
			again = AppendOp(again, offset)
		}
		same, err2 := ParseOp(nil, again)
		if err2 != nil || !slices.Equal(same, list) {
			t.Fatalf("%q: %v (%v), written %q, read %v (%v)", body, list, err, again, same, err2)
		}
	})
}

func record(t testing.TB, properties ...string) message.Record {
	m := message.Message{Topic: message.HalfTopic, Body: []byte("b"), BornTimestamp: 1000, StoreTimestamp: 1100, QueueOffset: 40}
	for i := 0; i+1 < len(properties); i += 2 {
		m.Properties = message.AppendProperty(m.Properties, properties[i], properties[i+1])
	}
	b := make([]byte, m.RecordSize())
	message.EncodeRecord(b, &m, 0)
	r, err := message.ParseRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestParseHalf(t *testing.T) {
	h, err := ParseHalf(record(t, "PGROUP", "g", "REAL_TOPIC", "T", "REAL_QID", "3", "TRANSACTION_CHECK_TIMES", "2",
		"CHECK_IMMUNITY_TIME_IN_SECONDS", "90", "TRAN_PREPARED_QUEUE_OFFSET", "12", "UNIQ_KEY", "U"))
	got := fmt.Sprintf("%d %d %d %d %d %v %d %s %s %s %d %v", h.Offset, h.First, h.Born, h.Stored, h.Checks, h.Immune, h.ImmunityMs, h.Group, h.UniqueKey, h.RealTopic, h.RealQueueID, err)
	if want := "40 12 1000 1100 2 true 90000 g U T 3 <nil>"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, faulty := range [][]string{{}, {"REAL_TOPIC", "T"}, {"REAL_QID", "1"}, {"REAL_TOPIC", "T", "REAL_QID", "-1"}, {"REAL_TOPIC", "T", "REAL_QID", "x"}} {
		if _, err := ParseHalf(record(t, faulty...)); err != ErrHalf {
			t.Errorf("%q: %v", faulty, err)
		}
	}
	h, _ = ParseHalf(record(t, "REAL_TOPIC", "T", "REAL_QID", "3", "TRANSACTION_CHECK_TIMES", "many", "TRAN_PREPARED_QUEUE_OFFSET", "41", "CHECK_IMMUNITY_TIME_IN_SECONDS", "soon"))
	if h.Checks != 0 || h.First != 40 || !h.Immune || h.ImmunityMs != -1 {
		t.Errorf("numbers that are none: %+v", h)
	}
}

// The half messages of a store of Java's broker are read, and its op messages settle those that were ended.
func TestGoldenStore(t *testing.T) {
	ended, pending := map[message.QueueOffset]bool{}, map[string]int32{}
	halfs := 0
	for _, r := range goldenRecords(t) {
		switch string(r.Topic()) {
		case message.OpHalfTopic:
			list, err := ParseOp(nil, r.Body())
			if err != nil {
				t.Errorf("op message %q: %v", r.Body(), err)
			}
			for _, half := range list {
				ended[half] = true
			}
		case message.HalfTopic:
			h, err := ParseHalf(r)
			if err != nil || string(h.Group) != "GP_tran" || string(h.RealTopic) != "GT_tran" {
				t.Errorf("half message: %+v, %v", h, err)
			}
			halfs++
			if tags, _ := r.Properties().Get("TAGS"); string(tags) == "Pending" {
				pending[string(h.UniqueKey)] = max(pending[string(h.UniqueKey)], h.Checks)
			}
		}
	}
	if halfs != 27 || len(ended) != 8 || len(pending) != 2 {
		t.Errorf("%d half messages, %d ended, %d pending", halfs, len(ended), len(pending))
	}
	for key, checks := range pending {
		if checks != 8 {
			t.Errorf("pending %s was checked %d times", key, checks)
		}
	}
}

// goldenRecords are the records of the topics of transactions, in order.
func goldenRecords(t *testing.T) (list []message.Record) {
	files := map[string][]byte{}
	golden.Files(t, golden.Clean, func(name string, content []byte) { files[name] = bytes.Clone(content) })
	for _, m := range golden.Manifest(t, golden.Clean).Messages {
		if m.Topic != message.HalfTopic && m.Topic != message.OpHalfTopic {
			continue
		}
		const size = 1 << 20
		r, err := message.ParseRecord(files[fmt.Sprintf("commitlog/%020d", m.Offset/size*size)][m.Offset%size:])
		if err != nil {
			t.Fatalf("record at %d: %v", m.Offset, err)
		}
		list = append(list, r)
	}
	return list
}

func TestDecide(t *testing.T) {
	p := Policy{Timeout: 6000, CheckMax: 15, Keep: 3_600_000}
	for _, c := range []struct {
		half Half
		now  int64
		want Action
	}{
		{Half{Born: 1000, Stored: 1010}, 7000, Wait},
		{Half{Born: 1000, Stored: 1010}, 7001, Check},
		{Half{Born: 1000, Stored: 1010, Checks: 14}, 7001, Check},
		{Half{Born: 1000, Stored: 1010, Checks: 15}, 7001, Discard},
		{Half{Born: 1000, Stored: 1010, Checks: 15}, 1001, Discard},
		{Half{Born: 1000, Stored: 1010}, 3_601_001, Discard},
		{Half{Born: 1000, Stored: 1010, Immune: true, ImmunityMs: 90_000}, 91_000, Wait},
		{Half{Born: 1000, Stored: 1010, Immune: true, ImmunityMs: 90_000}, 91_001, Check},
		{Half{Born: 1000, Stored: 1010, Immune: true, ImmunityMs: 1000}, 2001, Check},
		{Half{Born: 1000, Stored: 1010, Immune: true, ImmunityMs: -1}, 7000, Wait},
		{Half{Born: 900_000, Stored: 1010}, 2000, Wait}, // the producer's clock is ahead
		{Half{Born: 900_000, Stored: 1010}, 7011, Check},
	} {
		if got := p.Decide(&c.half, c.now); got != c.want {
			t.Errorf("%+v at %d: %d, want %d", c.half, c.now, got, c.want)
		}
	}
}

func TestLate(t *testing.T) {
	p := Policy{Timeout: 6000}
	for _, c := range []struct {
		half Half
		now  int64
		want bool
	}{
		{Half{Born: 0}, 1 << 40, false},
		{Half{Born: 0, Immune: true, ImmunityMs: 10_000}, 10_000, false},
		{Half{Born: 0, Immune: true, ImmunityMs: 10_000}, 10_001, true},
		{Half{Born: 0, Immune: true, ImmunityMs: 1000}, 6000, false},
		{Half{Born: 0, Immune: true, ImmunityMs: -1}, 6001, true},
	} {
		if got := p.Late(&c.half, c.now); got != c.want {
			t.Errorf("%+v at %d: %v", c.half, c.now, got)
		}
	}
}

// A ledger over random histories says of each half message what a list of all transactions says. It is made anew, from what
// it said of its progress and the op messages from there on, again and again.
func TestLedgerAgreesWithAList(t *testing.T) {
	histories.Each(t, 300, func(t *testing.T, seed uint64) { ledgerHistory(t, rand.New(rand.NewPCG(seed, 0))) })
}

// ledgerModel is the half queue, the op queue, and what is true of the transactions.
type ledgerModel struct {
	*testing.T
	l      *Ledger
	halfs  []Half // the half queue
	ops    [][]message.QueueOffset
	batch  []message.QueueOffset        // settled, not in an op message
	ended  map[message.QueueOffset]bool // by first half message
	live   map[message.QueueOffset]message.QueueOffset
	given  map[message.QueueOffset]bool // half messages given up
	claims []Half
	start  message.QueueOffset // of the ledger
}

func ledgerHistory(t *testing.T, rng *rand.Rand) {
	m := &ledgerModel{T: t, l: NewLedger(0, 0), ended: map[message.QueueOffset]bool{}, live: map[message.QueueOffset]message.QueueOffset{}, given: map[message.QueueOffset]bool{}}
	m.l.Surveyed()
	for range 200 {
		switch rng.IntN(10) {
		case 0, 1, 2:
			at := message.QueueOffset(len(m.halfs))
			m.halfs = append(m.halfs, Half{Offset: at, First: at})
			m.live[at] = at
		case 3, 4, 5:
			if len(m.halfs) > 0 {
				m.end(m.halfs[max(0, len(m.halfs)-1-rng.IntN(20))], rng)
			}
		case 6:
			m.finish(rng)
		case 7:
			m.round(rng)
		case 8:
			m.flush()
		case 9:
			m.l.Advance()
			m.checkProgress()
			if rng.IntN(3) == 0 {
				m.restart()
			}
		}
	}
}

func (m *ledgerModel) end(h Half, rng *rand.Rand) {
	under := slices.ContainsFunc(m.claims, func(c Half) bool { return c.First == h.First })
	got := m.l.Claim(&h)
	switch {
	case under && got != Busy:
		m.Fatalf("end of %+v while another is under way: %d", h, got)
	case !under && m.ended[h.First] && got != Ended && h.Offset >= m.start:
		m.Fatalf("end of %+v, which is ended: %d", h, got)
	case !under && !m.ended[h.First] && got != Granted:
		m.Fatalf("end of %+v, which is pending: %d", h, got)
	case got == Granted && rng.IntN(2) == 0:
		m.claims = append(m.claims, h)
	case got == Granted:
		m.confirm(h)
	}
}

func (m *ledgerModel) confirm(h Half) {
	m.batch = m.l.Confirm(m.batch, &h)
	m.ended[h.First] = true
}

func (m *ledgerModel) finish(rng *rand.Rand) {
	if len(m.claims) == 0 {
		return
	}
	h := m.claims[0]
	m.claims = m.claims[1:]
	if rng.IntN(3) == 0 {
		m.l.Withdraw(&h)
		return
	}
	m.confirm(h)
}

// round meets all pending half messages, and copies or drops some.
func (m *ledgerModel) round(rng *rand.Rand) {
	end := message.QueueOffset(len(m.halfs))
	for at := m.l.Next(0); at < end; at = m.l.Next(at + 1) {
		h := m.halfs[at]
		pending := m.l.Pending(&h)
		if pending && (m.ended[h.First] || m.live[h.First] != at && !m.given[at]) {
			m.Fatalf("%+v is to be decided on; ended %v, live %d", h, m.ended[h.First], m.live[h.First])
		}
		if !pending {
			continue
		}
		switch rng.IntN(4) {
		case 0:
			m.l.GiveUp(&h)
			m.given[at] = true
		case 1, 2:
			if rng.IntN(5) == 0 {
				m.end(h, rng) // in the meantime
			}
			copied := message.QueueOffset(len(m.halfs))
			m.halfs = append(m.halfs, Half{Offset: copied, First: h.First})
			m.live[h.First] = copied
			ended, _ := m.l.Copied(&h, copied)
			if ended != m.ended[h.First] {
				m.Fatalf("copy of %+v: ended %v, want %v", h, ended, m.ended[h.First])
			}
			if ended {
				m.batch = append(m.batch, copied)
			}
		}
	}
}

func (m *ledgerModel) flush() {
	if len(m.batch) == 0 {
		return
	}
	m.l.WroteOp(message.QueueOffset(len(m.ops)), slices.Max(m.batch))
	m.ops, m.batch = append(m.ops, m.batch), nil
}

// checkProgress makes sure that no pending transaction is behind.
func (m *ledgerModel) checkProgress() {
	base, op := m.l.Progress()
	for first, live := range m.live {
		if !m.ended[first] && live < base && !m.given[live] {
			m.Fatalf("half message %d is pending, and the progress is %d", live, base)
		}
	}
	for i, list := range m.ops[:op] {
		for _, half := range list {
			if half >= base {
				m.Fatalf("op message %d names %d, the progress is %d and %d", i, half, base, op)
			}
		}
	}
}

// restart loses what is in memory: ends under way, and those that no op message has.
func (m *ledgerModel) restart() {
	m.flush()
	base, op := m.l.Progress()
	m.l, m.claims, m.start = NewLedger(base, op), nil, base
	for i := op; int(i) < len(m.ops); i++ {
		m.l.ReadOp(i, m.ops[i], message.QueueOffset(len(m.halfs)))
	}
	end := message.QueueOffset(len(m.halfs))
	for at := m.l.Next(0); at < end; at = m.l.Next(at + 1) {
		if h := m.halfs[at]; m.l.Survey(&h) {
			m.batch = append(m.batch, at)
		}
	}
	m.l.Surveyed()
}

func TestBitmap(t *testing.T) {
	var b bitmap
	model := map[int]bool{}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		switch i := rng.IntN(500); rng.IntN(10) {
		case 0:
			n := rng.IntN(100)
			b.shift(n)
			next := map[int]bool{}
			for k := range model {
				if k >= n {
					next[k-n] = true
				}
			}
			model = next
		default:
			b.set(i)
			model[i] = true
		}
		for range 10 {
			if i := rng.IntN(700); b.has(i) != model[i] {
				t.Fatalf("has(%d) is %v", i, b.has(i))
			}
		}
	}
}

func TestOpBodyIsJavas(t *testing.T) {
	var body []byte
	for i := range 7 {
		body = AppendOp(body, message.QueueOffset(i))
	}
	if want := []byte("0,1,2,3,4,5,6,"); !bytes.Equal(body, want) {
		t.Errorf("%q, want %q", body, want)
	}
}
