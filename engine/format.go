package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/index"
	"github.com/rocketlog/rocketlog/message"
)

// Java's file "checkpoint" (StoreCheckpoint): 4096 bytes, numbers big-endian.
//
//	 0 ┌─────────────────────────────────────────────┐
//	   │ physicMsgTimestamp, ms                  i64 │ store time up to which the log is on disk
//	 8 ├─────────────────────────────────────────────┤
//	   │ logicsMsgTimestamp, ms                  i64 │ the same of the consume queues
//	16 ├─────────────────────────────────────────────┤
//	   │ indexMsgTimestamp, ms                   i64 │ the same of the index
//	24 ├─────────────────────────────────────────────┤
//	   │ masterFlushedOffset                     i64 │
//	32 ├─────────────────────────────────────────────┤
//	   │ confirmPhyOffset                        i64 │
//	40 ├─────────────────────────────────────────────┤
//	   │ logicsPhysicalOffset                    i64 │ the log's end known to the queues on disk (5.5)
//	48 ├─────────────────────────────────────────────┤
//	   │ zeros                                       │
//	   └─────────────────────────────────────────────┘
const (
	checkpointSize   = 4096
	checkpointFields = 48
)

// Checkpoint holds the fields of Java's checkpoint file.
type Checkpoint struct {
	PhysicMsgTimestamp   int64
	LogicsMsgTimestamp   int64
	IndexMsgTimestamp    int64
	MasterFlushedOffset  message.PhyOffset
	ConfirmPhyOffset     message.PhyOffset
	LogicsPhysicalOffset message.PhyOffset
}

func (c *Checkpoint) encode() []byte {
	b := make([]byte, checkpointSize)
	for i, v := range []int64{
		c.PhysicMsgTimestamp, c.LogicsMsgTimestamp, c.IndexMsgTimestamp,
		int64(c.MasterFlushedOffset), int64(c.ConfirmPhyOffset), int64(c.LogicsPhysicalOffset),
	} {
		binary.BigEndian.PutUint64(b[8*i:], uint64(v))
	}
	return b
}

// decodeCheckpoint accepts files of any length, as Java does: fields that are
// missing are 0.
func decodeCheckpoint(b []byte) Checkpoint {
	var padded [checkpointFields]byte
	copy(padded[:], b)
	field := func(i int) int64 { return int64(binary.BigEndian.Uint64(padded[8*i:])) }
	return Checkpoint{
		PhysicMsgTimestamp: field(0), LogicsMsgTimestamp: field(1), IndexMsgTimestamp: field(2),
		MasterFlushedOffset: message.PhyOffset(field(3)), ConfirmPhyOffset: message.PhyOffset(field(4)),
		LogicsPhysicalOffset: message.PhyOffset(field(5)),
	}
}

// Our own file "waymark", which Java ignores and nothing needs: it tells how
// far the log, the queues and the index are on disk for certain, so that an
// open costs what came after and not the history. Numbers are big-endian.
//
//	 0 ┌─────────────────────────────────────────────┐
//	   │ "RLWM0001"                           8 bytes│
//	 8 ├─────────────────────────────────────────────┤
//	   │ log: end of the sealed prefix           i64 │
//	16 ├─────────────────────────────────────────────┤
//	   │ log: hash of its last bytes             u64 │
//	24 ├─────────────────────────────────────────────┤
//	   │ queues: dispatched and on disk up to    i64 │
//	32 ├─────────────────────────────────────────────┤
//	   │ queues: sum of their ends at that offset i64│
//	40 ├─────────────────────────────────────────────┤
//	   │ hash of the page cache's name, or 0     u64 │
//	48 ├──────────────────────┬──────────────────────┘
//	   │ flags: 1 clean   u32 │ zeros 4 bytes
//	56 ├──────────────────────┴──────────────────────┐
//	   │ index.State                         56 bytes│
//	112├──────────────────────┬──────────────────────┘
//	   │ CRC-32 of the above  │
//	116└──────────────────────┘
const (
	waymarkMagic = "RLWM0001"
	waymarkIndex = 56
	waymarkCRC   = waymarkIndex + index.StateSize
	waymarkSize  = waymarkCRC + 4
)

var _ = [1]struct{}{}[waymarkSize-116]

// The file "mark" has the same form. It claims no more than that its positions
// were written, synced or not, and holds as long as the page cache is the same:
// after a kill of the process, not after one of the machine.

// waymark is the content of the file of that name.
type waymark struct {
	seal       commitlog.Seal
	queues     message.PhyOffset
	queueUnits int64
	cache      uint64 // of a mark: the page cache in which it holds
	index      index.State
	clean      bool
}

var errWaymark = errors.New("no waymark")

func (w *waymark) encode() []byte {
	b := make([]byte, waymarkIndex, waymarkSize)
	copy(b, waymarkMagic)
	put := func(at int, v int64) { binary.BigEndian.PutUint64(b[at:], uint64(v)) }
	put(8, int64(w.seal.End))
	put(16, int64(w.seal.Hash))
	put(24, int64(w.queues))
	put(32, w.queueUnits)
	put(40, int64(w.cache))
	if w.clean {
		binary.BigEndian.PutUint32(b[48:], 1)
	}
	b = w.index.Append(b)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func decodeWaymark(b []byte) (waymark, error) {
	if len(b) != waymarkSize || string(b[:8]) != waymarkMagic {
		return waymark{}, fmt.Errorf("%w: %d bytes of another form", errWaymark, len(b))
	}
	if binary.BigEndian.Uint32(b[waymarkCRC:]) != crc32.ChecksumIEEE(b[:waymarkCRC]) {
		return waymark{}, fmt.Errorf("%w: its checksum differs", errWaymark)
	}
	state, err := index.ParseState(b[waymarkIndex:waymarkCRC])
	if err != nil {
		return waymark{}, fmt.Errorf("%w: %w", errWaymark, err)
	}
	get := func(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }
	return waymark{
		seal:   commitlog.Seal{End: message.PhyOffset(get(8)), Hash: uint64(get(16))},
		queues: message.PhyOffset(get(24)), queueUnits: get(32), cache: uint64(get(40)),
		index: state,
		clean: binary.BigEndian.Uint32(b[48:])&1 != 0,
	}, nil
}
