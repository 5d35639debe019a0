package ha

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rocketlog/rocketlog/message"
)

// memLog is a Log in memory.
type memLog struct {
	mu       sync.Mutex
	fileSize int64
	min, off message.PhyOffset // off is of data's first byte; min what is kept
	data     []byte
	hold     message.PhyOffset // what is appended and not confirmed yet
	failing  error             // of the next AppendRaw
	confirm  message.PhyOffset // what readers may see
	grown    func()
	received atomic.Int64 // bytes by Receive
}

func newMemLog(fileSize int64) *memLog { return &memLog{fileSize: fileSize, grown: func() {}} }

func (l *memLog) MinPhyOffset() message.PhyOffset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.min
}

func (l *memLog) MaxPhyOffset() message.PhyOffset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.maxLocked()
}

func (l *memLog) maxLocked() message.PhyOffset { return l.off + message.PhyOffset(len(l.data)) }

func (l *memLog) ConfirmOffset() message.PhyOffset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.maxLocked() - l.hold
}

func (l *memLog) Flush() error {
	l.mu.Lock()
	l.hold = 0
	l.mu.Unlock()
	return nil
}

func (l *memLog) Truncate(end message.PhyOffset) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if end < l.off || end > l.maxLocked() {
		return fmt.Errorf("truncate to %d", end)
	}
	l.data = l.data[:end-l.off]
	return nil
}

func (l *memLog) Confirm(upTo message.PhyOffset) {
	l.mu.Lock()
	l.confirm = upTo
	l.mu.Unlock()
}

// confirmed is how far readers may see the log.
func (l *memLog) confirmed() message.PhyOffset {
	l.mu.Lock()
	defer l.mu.Unlock()
	return min(l.confirm, l.maxLocked())
}

func (l *memLog) ReadRaw(at message.PhyOffset, most int) ([]byte, func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := l.maxLocked() - l.hold
	if at >= end {
		return nil, nil, nil
	}
	if at < l.min {
		return nil, nil, fmt.Errorf("nothing at %d", at)
	}
	fileEnd := at - at%message.PhyOffset(l.fileSize) + message.PhyOffset(l.fileSize)
	n := min(int(min(end, fileEnd)-at), most)
	return bytes.Clone(l.data[at-l.off:][:n]), func() {}, nil
}

func (l *memLog) AppendRaw(at message.PhyOffset, raw []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failing != nil {
		return l.failing
	}
	if len(l.data) == 0 && l.off == 0 {
		l.off, l.min = at, at
	}
	if at != l.maxLocked() {
		return fmt.Errorf("append at %d, the end is %d", at, l.maxLocked())
	}
	l.data = append(l.data, raw...)
	return nil
}

func (l *memLog) Receive(at message.PhyOffset, begun []byte, r io.Reader, n int, take func([]byte) (int, error)) (int, error) {
	if next := int(at) + len(begun); next%sector != 0 || n%sector != 0 {
		return 0, fmt.Errorf("%d bytes to be received at %d", n, next)
	}
	landed := make([]byte, len(begun)+n)
	copy(landed, begun)
	got, err := io.ReadFull(r, landed[len(begun):])
	if got == 0 {
		return 0, err
	}
	whole, refused := take(landed[:len(begun)+got])
	if refused == nil {
		refused = l.AppendRaw(at, landed[:whole])
	}
	if refused != nil {
		return got, refused
	}
	l.received.Add(int64(got))
	return got, err
}

// put appends a message, or a blank and the message.
func (l *memLog) put(t testing.TB, rng *rand.Rand, bodyMax int) message.PhyOffset {
	t.Helper()
	l.mu.Lock()
	m := message.Message{Topic: "T", Body: make([]byte, 1+rng.IntN(bodyMax)), BornHost: testHost, StoreHost: testHost}
	for i := range m.Body {
		m.Body[i] = byte(rng.Uint32())
	}
	size := int64(m.RecordSize())
	if rest := l.fileSize - int64(l.maxLocked())%l.fileSize; rest < size+message.BlankSizeMin {
		blank := make([]byte, rest)
		message.EncodeBlank(blank)
		l.data = append(l.data, blank...)
	}
	m.PhyOffset, m.StoreTimestamp = l.maxLocked(), rng.Int64()
	record := make([]byte, size)
	message.EncodeRecord(record, &m, message.BodyCRC(m.Body))
	l.data = append(l.data, record...)
	end := l.maxLocked()
	l.mu.Unlock()
	l.grown()
	return end
}

var testHost = netip.MustParseAddrPort("127.0.0.1:10911")

// same says where the logs differ; empty is nowhere.
func same(master, slave *memLog) string {
	master.mu.Lock()
	defer master.mu.Unlock()
	slave.mu.Lock()
	defer slave.mu.Unlock()
	if slave.off < master.off || slave.maxLocked() > master.maxLocked() {
		return fmt.Sprintf("the slave has [%d, %d), the master [%d, %d)", slave.off, slave.maxLocked(), master.off, master.maxLocked())
	}
	if !bytes.Equal(slave.data, master.data[slave.off-master.off:][:len(slave.data)]) {
		return "the bytes differ"
	}
	return ""
}
