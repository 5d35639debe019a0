package metamorphic

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/rocketlog/rocketlog/message"
)

// sent is what is remembered of a message.
type sent struct {
	id    uint32 // names its content
	queue int
	key   int
	size  int // of its body
	wait  bool

	// What the answer said.
	phy    message.PhyOffset
	offset message.QueueOffset
	time   int64
	record int32 // its size in the log
}

func (m *sent) end() message.PhyOffset { return m.phy + message.PhyOffset(m.record) }

// topics is over how many topics the queues are spread.
const topics = 3

func topicOf(queue int) string { return fmt.Sprintf("Topic%d", queue%topics) }
func idOf(queue int) int32     { return int32(queue / topics) }
func keyName(key int) string   { return fmt.Sprintf("k%d", key) }
func uniqueName(id uint32) string {
	return fmt.Sprintf("U%08x", id)
}

// body makes the content of a message. Some are zeros, as lost pages are.
func (m *sent) body(scratch []byte) []byte {
	b := scratch[:0]
	x := uint64(m.id)*0x9e3779b97f4a7c15 + 1
	for len(b) < m.size {
		if m.id%5 == 0 {
			x = 0
		} else {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
		for i := 0; i < 8 && len(b) < m.size; i++ {
			b = append(b, byte(x>>(8*i)))
		}
	}
	return b
}

var host = netip.MustParseAddrPort("127.0.0.1:10911")

func (m *sent) properties() message.Properties {
	p := message.AppendProperty(nil, message.PropertyKeys, keyName(m.key))
	p = message.AppendProperty(p, message.PropertyUniqueKey, uniqueName(m.id))
	p = message.AppendProperty(p, message.PropertyTags, "Tag"+keyName(m.key))
	if !m.wait {
		p = message.AppendProperty(p, message.PropertyWait, "false")
	}
	return p
}

func (m *sent) message() *message.Message {
	return &message.Message{Topic: topicOf(m.queue), QueueID: idOf(m.queue), BornHost: host, StoreHost: host, BornTimestamp: 1,
		Body: m.body(make([]byte, 0, m.size)), Properties: m.properties()}
}

// same tells how a record differs from the message that should be there.
func (m *sent) same(r message.Record, scratch []byte) error {
	unique, _ := r.Properties().Get(message.PropertyUniqueKey)
	switch {
	case string(unique) != uniqueName(m.id):
		return fmt.Errorf("it is message %s, not %s", unique, uniqueName(m.id))
	case !bytes.Equal(r.Body(), m.body(scratch)):
		return fmt.Errorf("the body of message %s differs", unique)
	case r.QueueOffset() != m.offset || r.PhyOffset() != m.phy || r.StoreTimestamp() != m.time:
		return fmt.Errorf("message %s says offset %d, place %d, time %d; the answer to its put was %d, %d, %d", unique,
			r.QueueOffset(), r.PhyOffset(), r.StoreTimestamp(), m.offset, m.phy, m.time)
	case !bytes.Equal(r.Properties(), m.properties()):
		return fmt.Errorf("the properties of message %s differ: %q", unique, r.Properties())
	}
	return nil
}

// known is what the users of a store know at one moment.
type known struct {
	log    []sent // acknowledged, by place, those deleted since included
	flying []sent // handed to the store and not answered yet
	// What was promised to survive: a power loss up to power, the end of the
	// process up to kill.
	power, kill message.PhyOffset
	saw         message.PhyOffset // the end of what anybody was given to read
	min         message.PhyOffset // the log was seen to begin here
	minLimit    message.PhyOffset // and may begin here, as it is being cleaned
}

// model is what they know as time goes by.
type model struct {
	mu sync.Mutex // puts may race
	known
}

// copy is a copy of what is known.
func (m *model) copy() known {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.known
	k.log, k.flying = slices.Clone(k.log), slices.Clone(k.flying)
	return k
}

// until is what is known of a moment between k and later: what was promised at
// first may be counted on, whatever was put at last may be there.
func (k known) until(later known) known {
	for _, f := range k.flying {
		same := func(s sent) bool { return s.id == f.id }
		if !slices.ContainsFunc(later.flying, same) && !slices.ContainsFunc(later.log, same) {
			later.flying = append(later.flying, f)
		}
	}
	later.power, later.kill, later.min = k.power, k.kill, k.min
	later.minLimit = max(k.minLimit, later.minLimit)
	return later
}

// fly notes that a message is handed to the store.
func (m *model) fly(all ...sent) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flying = append(m.flying, all...)
}

// land notes an answer: the message is stored, or it is not.
func (m *model) land(s sent, stored bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flying = slices.DeleteFunc(m.flying, func(f sent) bool { return f.id == s.id })
	if stored {
		at, _ := slices.BinarySearchFunc(m.log, s.phy, func(a sent, phy message.PhyOffset) int { return int(a.phy - phy) })
		m.log = slices.Insert(m.log, at, s)
	}
}

// end is the end of the last message acknowledged.
func (m *known) end() message.PhyOffset {
	if len(m.log) == 0 {
		return 0
	}
	return m.log[len(m.log)-1].end()
}

// acknowledged tells whether a message ends in the log behind from, up to to.
func (k *known) acknowledged(from, to message.PhyOffset) bool {
	return slices.ContainsFunc(k.log, func(m sent) bool { return m.end() > from && m.end() <= to })
}

// promise raises what must survive a power loss, and the end of the process.
func (m *model) promise(power, kill message.PhyOffset) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.power = max(m.power, power)
	m.kill = max(m.kill, kill, m.power)
}

// lose forgets the promises beyond what a crash had to leave.
func (m *model) lose(left message.PhyOffset) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kill = left
}

// byQueue sorts the messages that end at or below end by queue.
func byQueue(log []sent, queues int, end message.PhyOffset) [][]sent {
	all := make([][]sent, queues)
	for _, s := range log {
		if s.end() <= end {
			all[s.queue] = append(all[s.queue], s)
		}
	}
	return all
}
