package ha

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/rocketlog/rocketlog/message"
)

// The auto-switch protocol of Java's AutoSwitchHAConnection and
// AutoSwitchHAClient. The slave connects; all numbers are big-endian.
//
//	slave to master, first: who it is
//	┌─────────┬─────────────────┬──────────────┬───────────────┐
//	│ 1   i32 │ last file   i16 │ learner  i16 │ broker id i64 │
//	└─────────┴─────────────────┴──────────────┴───────────────┘
//	 0         4                 6              8
//	master to slave, in answer: its epochs
//	┌─────────┬──────────────────┬───────────────────┬────────────────┬─────────────────────────────────┐
//	│ 1   i32 │ body size    i32 │ end of log    i64 │ last epoch i32 │ body: epoch i32, start i64, ... │
//	└─────────┴──────────────────┴───────────────────┴────────────────┴─────────────────────────────────┘
//	 0         4                  8                   16               20
//	slave to master: a report, at once the request (the first) and the acknowledgement (all)
//	┌─────────┬──────────────────────────┐
//	│ 2   i32 │ end of the slave's log i64│
//	└─────────┴──────────────────────────┘
//	 0         4
//	master to slave: a frame; without a body it is a heartbeat
//	┌─────────┬───────────────┬───────────────────┬────────────┬───────────────────────────┬────────────────────┬─────────────┐
//	│ 2   i32 │ body size i32 │ place of body i64 │ epoch  i32 │ where that one begins i64 │ confirm offset i64 │ body: bytes │
//	└─────────┴───────────────┴───────────────────┴────────────┴───────────────────────────┴────────────────────┴─────────────┘
//	 0         4               8                   16           20                          28                   36
//
// A body is cut at any byte, but crosses neither a file of the log nor the end
// of an epoch. The states are Java's HAConnectionState by their numbers.
const (
	stateHandshake = 1
	stateTransfer  = 2

	switchHelloSize    = 4 + 2 + 2 + 8
	switchReportSize   = 4 + 8
	switchGreetingSize = 4 + 4 + 8 + 4
	switchFrameSize    = switchGreetingSize + 8 + 8
	epochEntrySize     = 4 + 8
)

var (
	_ = [1]struct{}{}[switchHelloSize-16]
	_ = [1]struct{}{}[switchFrameSize-36]
)

func appendSwitchHello(dst []byte, h Hello) []byte {
	flag := func(on bool) uint16 {
		if on {
			return 1
		}
		return 0
	}
	dst = binary.BigEndian.AppendUint32(dst, stateHandshake)
	dst = binary.BigEndian.AppendUint16(dst, flag(!h.FromStart))
	dst = binary.BigEndian.AppendUint16(dst, flag(h.Learner))
	return binary.BigEndian.AppendUint64(dst, uint64(h.ID))
}

func appendSwitchReport(dst []byte, end message.PhyOffset) []byte {
	dst = binary.BigEndian.AppendUint32(dst, stateTransfer)
	return binary.BigEndian.AppendUint64(dst, uint64(end))
}

func appendGreeting(dst []byte, epochs Epochs, end message.PhyOffset) []byte {
	dst = binary.BigEndian.AppendUint32(dst, stateHandshake)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(epochs)*epochEntrySize))
	dst = binary.BigEndian.AppendUint64(dst, uint64(end))
	dst = binary.BigEndian.AppendUint32(dst, uint32(epochs.Last()))
	for _, e := range epochs {
		dst = binary.BigEndian.AppendUint32(dst, uint32(e.Epoch))
		dst = binary.BigEndian.AppendUint64(dst, uint64(e.Start))
	}
	return dst
}

// frame is what the header of a frame says.
type frame struct {
	phy     message.PhyOffset
	size    int
	epoch   EpochEntry
	confirm message.PhyOffset
}

func appendSwitchFrame(dst []byte, f frame) []byte {
	dst = binary.BigEndian.AppendUint32(dst, stateTransfer)
	dst = binary.BigEndian.AppendUint32(dst, uint32(f.size))
	dst = binary.BigEndian.AppendUint64(dst, uint64(f.phy))
	dst = binary.BigEndian.AppendUint32(dst, uint32(f.epoch.Epoch))
	dst = binary.BigEndian.AppendUint64(dst, uint64(f.epoch.Start))
	return binary.BigEndian.AppendUint64(dst, uint64(f.confirm))
}

var errNoSwitching = errors.New("ha: the peer does not speak the protocol with epochs: is auto-switch HA off there?")

// switchReports takes the stream of a slave apart.
type switchReports struct {
	begun   []byte // of the next one
	greeted bool
}

// feed takes in what was read and tells, in order, of who the slave is, and of
// the last report, which makes those before it void.
func (r *switchReports) feed(b []byte, greet func(Hello), report func(message.PhyOffset)) error {
	if len(r.begun) > 0 {
		r.begun = append(r.begun, b...)
		b = r.begun
	}
	last := message.PhyOffset(-1)
	for len(b) >= 4 {
		size := switchReportSize
		switch state := binary.BigEndian.Uint32(b); {
		case state == stateHandshake && !r.greeted:
			size = switchHelloSize
		case state != stateTransfer || !r.greeted:
			return errNoSwitching
		}
		if len(b) < size {
			break
		}
		if !r.greeted {
			r.greeted = true
			greet(Hello{
				FromStart: binary.BigEndian.Uint16(b[4:]) != 1, Learner: binary.BigEndian.Uint16(b[6:]) == 1,
				ID: int64(binary.BigEndian.Uint64(b[8:])),
			})
		} else if last = message.PhyOffset(binary.BigEndian.Uint64(b[4:])); last < 0 {
			return fmt.Errorf("ha: the slave reports %d as the end of its log", last)
		}
		b = b[size:]
	}
	if last >= 0 {
		report(last)
	}
	r.begun = append(r.begun[:0:0], b...)
	return nil
}

// switchFrames takes the stream of a master apart. A body is handed on as it
// comes, but for that of the greeting, which is short.
type switchFrames struct {
	sizeMax int64 // of a body
	greeted bool
	head    []byte // what has come of a header, or of the greeting
	body
}

// switchHandler is told what comes of a master: the greeting, each header, of
// heartbeats too, and each piece of a body, with its place.
type switchHandler struct {
	greet func(epochs Epochs, end message.PhyOffset) error
	begin func(frame) error
	body  func(at message.PhyOffset, piece []byte) error
}

func (f *switchFrames) feed(b []byte, h switchHandler) error {
	for len(b) > 0 {
		if f.rest > 0 {
			n := int(min(f.rest, int64(len(b))))
			if err := h.body(f.phy, b[:n]); err != nil {
				return err
			}
			f.pass(n)
			b = b[n:]
			continue
		}
		missing, err := f.missing()
		if err != nil {
			return err
		}
		n := min(missing, len(b))
		f.head, b = append(f.head, b[:n]...), b[n:]
		if missing, err = f.missing(); err != nil || missing > 0 {
			if err != nil {
				return err
			}
			continue
		}
		if err := f.take(h); err != nil {
			return err
		}
		f.head = f.head[:0]
	}
	return nil
}

// missing is how many more bytes make the header whole, or the greeting.
func (f *switchFrames) missing() (int, error) {
	if len(f.head) < 8 {
		return 8 - len(f.head), nil
	}
	state, size := binary.BigEndian.Uint32(f.head), int64(int32(binary.BigEndian.Uint32(f.head[4:])))
	whole := int64(switchFrameSize)
	switch {
	case !f.greeted && state == stateHandshake:
		if size < 0 || size%epochEntrySize != 0 || size > epochsMax*epochEntrySize {
			return 0, fmt.Errorf("ha: the master sends %d bytes of epochs", size)
		}
		whole = switchGreetingSize + size
	case !f.greeted || state != stateTransfer:
		return 0, errNoSwitching
	case size < 0 || size > f.sizeMax:
		return 0, fmt.Errorf("ha: the master sends a frame of %d bytes", size)
	}
	return int(whole) - len(f.head), nil
}

// take tells of what is whole in head.
func (f *switchFrames) take(h switchHandler) error {
	b := f.head
	offset := func(at int) message.PhyOffset { return message.PhyOffset(binary.BigEndian.Uint64(b[at:])) }
	if !f.greeted {
		f.greeted = true
		var s Epochs
		for at := switchGreetingSize; at < len(b); at += epochEntrySize {
			s = append(s, EpochEntry{Epoch: int32(binary.BigEndian.Uint32(b[at:])), Start: offset(at + 4)})
		}
		if err := s.check(); err != nil {
			return err
		}
		if offset(8) < 0 {
			return fmt.Errorf("ha: the master's log ends at %d", offset(8))
		}
		return h.greet(s, offset(8))
	}
	at := frame{
		size: int(binary.BigEndian.Uint32(b[4:])), phy: offset(8),
		epoch: EpochEntry{Epoch: int32(binary.BigEndian.Uint32(b[16:])), Start: offset(20)}, confirm: offset(28),
	}
	if at.phy < 0 && at.size > 0 { // a Java master without a log sends heartbeats for -1
		return fmt.Errorf("ha: the master sends a frame for offset %d", at.phy)
	}
	f.body = body{at.phy, int64(at.size)}
	return h.begin(at)
}
