package ha

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/rocketlog/rocketlog/message"
)

// The classic protocol of Java's DefaultHAConnection and DefaultHAClient. The
// slave connects; all numbers are big-endian.
//
//	slave to master: a report, at once the request (the first) and the acknowledgement (all)
//	┌──────────────────────────┐
//	│ end of the slave's log i64│
//	└──────────────────────────┘
//	master to slave: a frame; without a body it is a heartbeat
//	┌──────────────────────┬──────────────┬───────────────────────┐
//	│ place of the body i64│ body size i32│ body: bytes of the log│
//	└──────────────────────┴──────────────┴───────────────────────┘
//	 0                      8              12
//
// A body is cut at any byte but never crosses a file of the log.
//
// A slave of ours says who it is before its first report, in the same write.
// Java's master reads the last whole word of what has arrived and so takes the
// hello for nothing; each of its words is a negative number, and no offset.
//
//	hello: four words, each a tag of one byte and seven bytes
//	┌────┬───────────┐┌────┬────────────────┐┌────┬───────────────────┐┌────┬───────────────────┐
//	│ F0 │ "rocklog" ││ F1 │ flags, id (i48)││ F2 │ hash of the group ││ F3 │ hash of log's tail│
//	└────┴───────────┘└────┴────────────────┘└────┴───────────────────┘└────┴───────────────────┘
const (
	reportSize      = 8
	frameHeaderSize = 12
	helloSize       = 4 * reportSize

	helloMagic = 0xF0<<56 | 'r'<<48 | 'o'<<40 | 'c'<<32 | 'k'<<24 | 'l'<<16 | 'o'<<8 | 'g'
	tagID      = 0xF1
	tagGroup   = 0xF2
	tagTail    = 0xF3

	flagFromStart = 1 << 48 // an empty slave wants the log from its first byte

	// BrokerIDMax is the largest id that a hello can tell.
	BrokerIDMax = 1<<48 - 1

	sevenBytes = 1<<56 - 1

	// tailBytes before a slave's end are hashed, fewer at a file's start.
	tailBytes = 16 << 10
)

var _ = [1]struct{}{}[frameHeaderSize-(8+4)]

var errHello = errors.New("ha: the peer's hello cannot be read")

// Hello is what a slave of ours says of itself.
type Hello struct {
	ID        int64
	FromStart bool   // an empty slave wants the log from its first byte
	Learner   bool   // it never counts as in sync; told with epochs only
	Group     uint64 // GroupHash of cluster and broker name; not told with epochs, as Tail
	Tail      uint64 // TailHash of the log before the first report
}

func (h Hello) append(dst []byte) []byte {
	id := uint64(h.ID) & BrokerIDMax
	if h.FromStart {
		id |= flagFromStart
	}
	for _, w := range [...]uint64{helloMagic, tagID<<56 | id, tagGroup<<56 | h.Group&sevenBytes, tagTail<<56 | h.Tail&sevenBytes} {
		dst = binary.BigEndian.AppendUint64(dst, w)
	}
	return dst
}

// beginsHello tells whether a first word is a hello's.
func beginsHello(word uint64) bool { return word == helloMagic }

// decodeHello reads the helloSize bytes of a hello.
func decodeHello(b []byte) (Hello, error) {
	if len(b) < helloSize {
		return Hello{}, errHello
	}
	var w [4]uint64
	for i := range w {
		w[i] = binary.BigEndian.Uint64(b[i*reportSize:])
	}
	if w[0] != helloMagic || w[1]>>56 != tagID || w[2]>>56 != tagGroup || w[3]>>56 != tagTail {
		return Hello{}, errHello
	}
	return Hello{
		ID: int64(w[1] & BrokerIDMax), FromStart: w[1]&flagFromStart != 0,
		Group: w[2] & sevenBytes, Tail: w[3] & sevenBytes,
	}, nil
}

// GroupHash shortens the name of a master with its slaves.
func GroupHash(group string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(group))
	return h.Sum64() & sevenBytes
}

func appendReport(dst []byte, end message.PhyOffset) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(end))
}

func appendFrameHeader(dst []byte, phy message.PhyOffset, size int) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(phy))
	return binary.BigEndian.AppendUint32(dst, uint32(size))
}

// reports takes the stream of a slave apart.
type reports struct {
	begun   []byte // of the next word, or of the hello
	greeted bool   // the first word has come
}

// feed takes in what was read and tells, in order, of the hello if there is
// one, and of the last report, which makes those before it void.
func (r *reports) feed(b []byte, greet func(Hello), report func(message.PhyOffset)) error {
	if len(r.begun) > 0 {
		r.begun = append(r.begun, b...)
		b = r.begun
	}
	if !r.greeted && len(b) >= reportSize {
		if beginsHello(binary.BigEndian.Uint64(b)) {
			if len(b) < helloSize {
				r.begun = append([]byte(nil), b...)
				return nil
			}
			h, err := decodeHello(b)
			if err != nil {
				return err
			}
			greet(h)
			b = b[helloSize:]
		}
		r.greeted = true
	}
	whole := len(b) - len(b)%reportSize
	if r.greeted && whole > 0 {
		end := int64(binary.BigEndian.Uint64(b[whole-reportSize:]))
		if end < 0 {
			return fmt.Errorf("ha: the slave reports %d as the end of its log", end)
		}
		report(message.PhyOffset(end))
		b = b[whole:]
	}
	r.begun = append(r.begun[:0:0], b...)
	return nil
}

// body is what is still to come of the body of a frame.
type body struct {
	phy  message.PhyOffset // of the next byte
	rest int64
}

// pass goes on behind n bytes of it.
func (b *body) pass(n int) {
	b.phy += message.PhyOffset(n)
	b.rest -= int64(n)
}

// frames takes the stream of a master apart. A body is handed on as it comes,
// so that no frame is ever held as a whole.
type frames struct {
	sizeMax int64 // of a body
	header  [frameHeaderSize]byte
	have    int // bytes of header
	body
}

// feed takes in what was read, tells of each header, of heartbeats too, and of
// each piece of a body, with its place.
func (f *frames) feed(b []byte, begin func(phy message.PhyOffset, size int) error, arrived func(at message.PhyOffset, piece []byte) error) error {
	for len(b) > 0 {
		if f.rest > 0 {
			n := int(min(f.rest, int64(len(b))))
			if err := arrived(f.phy, b[:n]); err != nil {
				return err
			}
			f.pass(n)
			b = b[n:]
			continue
		}
		n := copy(f.header[f.have:], b)
		b = b[n:]
		if f.have += n; f.have < frameHeaderSize {
			return nil
		}
		f.have = 0
		phy, size := int64(binary.BigEndian.Uint64(f.header[:])), int64(int32(binary.BigEndian.Uint32(f.header[8:])))
		if phy < 0 || size < 0 || size > f.sizeMax {
			return fmt.Errorf("ha: the master sends a frame of %d bytes for offset %d", size, phy)
		}
		f.body = body{message.PhyOffset(phy), size}
		if err := begin(f.phy, int(size)); err != nil {
			return err
		}
	}
	return nil
}
