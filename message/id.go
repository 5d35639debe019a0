package message

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// The offset message id: where a message is stored, in upper-case hex.
//
//	┌────────────────────────┬──────────────────┬────────────────────────────────┐
//	│ store address  4 or 16 │ store port   i32 │ physical offset            i64 │
//	└────────────────────────┴──────────────────┴────────────────────────────────┘
//
// The unique key, which a client gives its message, in upper-case hex:
//
//	┌────────────────────────┬─────────┬──────────┬───────────────────┬──────────┐
//	│ client address 4 or 16 │ pid u16 │ salt i32 │ ms of the month 32│ count u16│
//	└────────────────────────┴─────────┴──────────┴───────────────────┴──────────┘
const (
	offsetIDLenV4 = 2 * (hostSizeV4 + 8)
	offsetIDLenV6 = 2 * (hostSizeV6 + 8)

	uniqueIDTailSize = 2 + 4 + 4 + 2
)

var (
	_ = [1]struct{}{}[offsetIDLenV4-32]
	_ = [1]struct{}{}[offsetIDLenV6-56]
)

// ErrOffsetID says that a text is no offset message id.
var ErrOffsetID = errors.New("message: no offset message id")

const hexUpper = "0123456789ABCDEF"

func appendHex(dst, src []byte) []byte {
	for _, c := range src {
		dst = append(dst, hexUpper[c>>4], hexUpper[c&15])
	}
	return dst
}

// AppendOffsetID appends the offset message id of the message that the broker at host stores at off.
func AppendOffsetID(dst []byte, host netip.AddrPort, off PhyOffset) []byte {
	var raw [offsetIDLenV6 / 2]byte
	n := putHost(raw[:], host)
	binary.BigEndian.PutUint64(raw[n:], uint64(off))
	return appendHex(dst, raw[:n+8])
}

// ParseOffsetID takes an offset message id apart. Digits may be of either case, as in Java's
// MessageDecoder.decodeMessageId; what is not of its length, not hex, or has a port that cannot be, is
// an error that wraps [ErrOffsetID].
func ParseOffsetID(id string) (netip.AddrPort, PhyOffset, error) {
	if len(id) != offsetIDLenV4 && len(id) != offsetIDLenV6 {
		return netip.AddrPort{}, 0, fmt.Errorf("%w: %d characters", ErrOffsetID, len(id))
	}
	var raw [offsetIDLenV6 / 2]byte
	n, err := hex.Decode(raw[:], []byte(id))
	if err != nil {
		return netip.AddrPort{}, 0, fmt.Errorf("%w: %q", ErrOffsetID, id)
	}
	if port := binary.BigEndian.Uint32(raw[n-8-4:]); port > 0xFFFF {
		return netip.AddrPort{}, 0, fmt.Errorf("%w: port %d in %q", ErrOffsetID, port, id)
	}
	host := readHost(raw[:], n != offsetIDLenV4/2)
	return host, PhyOffset(binary.BigEndian.Uint64(raw[n-8:])), nil
}

// IDSource makes unique keys for messages whose sender gave none (Java: MessageClientIDSetter).
type IDSource struct {
	prefix []byte // address, pid and salt, in hex
	now    func() time.Time
	count  atomic.Uint32

	mu struct {
		sync.Mutex
		// The local month that the last id fell into, in Unix milliseconds.
		begin, end int64
	}
}

// NewIDSource returns a source whose ids carry the given address, and a salt that tells sources of
// one process apart. now is time.Now when nil.
func NewIDSource(addr netip.Addr, salt uint32, now func() time.Time) *IDSource {
	if now == nil {
		now = time.Now
	}
	raw := make([]byte, 0, 16+2+4)
	if addr = addr.Unmap(); addr.Is6() {
		a := addr.As16()
		raw = append(raw, a[:]...)
	} else {
		var a [4]byte
		if addr.IsValid() {
			a = addr.As4()
		}
		raw = append(raw, a[:]...)
	}
	raw = binary.BigEndian.AppendUint16(raw, uint16(os.Getpid()))
	raw = binary.BigEndian.AppendUint32(raw, salt)
	return &IDSource{prefix: appendHex(nil, raw), now: now}
}

// Append appends the next id.
func (s *IDSource) Append(dst []byte) []byte {
	var raw [4 + 2]byte
	binary.BigEndian.PutUint32(raw[:], uint32(s.sinceMonth()))
	binary.BigEndian.PutUint16(raw[4:], uint16(s.count.Add(1)-1))
	dst = append(dst, s.prefix...)
	return appendHex(dst, raw[:])
}

// Next returns the next id.
func (s *IDSource) Next() string {
	return string(s.Append(make([]byte, 0, len(s.prefix)+2*uniqueIDTailSize)))
}

// sinceMonth returns the milliseconds since the local month began. A clock set back a little across
// the month's begin counts as its begin, as in Java.
func (s *IDSource) sinceMonth() int64 {
	now := s.now()
	ms := now.UnixMilli()
	s.mu.Lock()
	defer s.mu.Unlock()
	if ms >= s.mu.end {
		local := now.Local()
		begin := time.Date(local.Year(), local.Month(), 1, 0, 0, 0, 0, time.Local)
		s.mu.begin = begin.UnixMilli()
		s.mu.end = begin.AddDate(0, 1, 0).UnixMilli()
	}
	since := ms - s.mu.begin
	if since < 0 && since > -1_000_000 {
		return 0
	}
	return since
}

// defaultIDs serves NewUniqueID. Its address is made up of the time, as Java does where a process
// knows no address of its own.
var defaultIDs = sync.OnceValue(func() *IDSource {
	var addr [4]byte
	binary.BigEndian.PutUint32(addr[:], uint32(time.Now().UnixMilli()))
	return NewIDSource(netip.AddrFrom4(addr), rand.Uint32(), nil)
})

// NewUniqueID returns a unique key in Java's form from a source shared by the process, for those who
// know no address to put into it.
func NewUniqueID() string { return defaultIDs().Next() }
