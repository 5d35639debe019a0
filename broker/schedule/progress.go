package schedule

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// progress is the file delayprogress, which Java ignores: how far the delay levels are delivered just now. Java's
// delayOffset.json says so too, but it may only be written when the log is on disk, and so lags behind; a broker that is
// killed would deliver again all that came in between.
//
//	0 ┌───────────────────┬────────────┬─────────────────────────────┬───────────┐
//	  │ log end       i64 │ levels i32 │ offset of each level    i64 │ CRC   u32 │
//	  └───────────────────┴────────────┴─────────────────────────────┴───────────┘
//
// Log end is where the deliveries end in the commit log: when the log is shorter, a power loss took some of them, and the
// file does not count. It is then written anew and synced, before the log grows to where it would count again. CRC is the CRC-32 of all before it. It is written after each batch, to the page cache alone, and
// lies in one sector, and so is there whole.
type progress struct {
	file vfs.File
	end  func() message.PhyOffset // of the commit log
	buf  []byte
}

// ProgressName is the file's name below the store's root.
const ProgressName = "delayprogress"

const (
	posDelayLevels  = 8
	posDelayOffsets = 12
	// delayLevelsMax is how many levels have room in a sector. Further ones are left to delayOffset.json.
	delayLevelsMax = (512 - posDelayOffsets - 4) / 8
)

var _ = [1]struct{}{}[posDelayOffsets-posDelayLevels-4]

// openProgress opens or makes the file.
func openProgress(fsys vfs.FS, name string, end func() message.PhyOffset) (*progress, error) {
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	return &progress{file: f, end: end}, nil
}

func appendProgress(dst []byte, logEnd message.PhyOffset, offsets []int64) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, uint64(logEnd))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(offsets)))
	for _, offset := range offsets {
		dst = binary.BigEndian.AppendUint64(dst, uint64(offset))
	}
	return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[start:]))
}

// ParseProgress reads what appendProgress wrote; ok is false for other bytes.
func ParseProgress(b []byte) (logEnd message.PhyOffset, offsets []int64, ok bool) {
	if len(b) < posDelayOffsets+4 {
		return 0, nil, false
	}
	n := binary.BigEndian.Uint32(b[posDelayLevels:])
	if n > delayLevelsMax || len(b) < posDelayOffsets+8*int(n)+4 {
		return 0, nil, false
	}
	end := posDelayOffsets + 8*int(n)
	if crc32.ChecksumIEEE(b[:end]) != binary.BigEndian.Uint32(b[end:]) {
		return 0, nil, false
	}
	for at := posDelayOffsets; at < end; at += 8 {
		offset := int64(binary.BigEndian.Uint64(b[at:]))
		if offset < 0 {
			return 0, nil, false
		}
		offsets = append(offsets, offset)
	}
	logEnd = message.PhyOffset(binary.BigEndian.Uint64(b))
	return logEnd, offsets, logEnd >= 0
}

// read returns the offsets of the levels from 1 on, none when the file does not count; stale is true when a power loss took
// what it speaks of.
func (p *progress) read() (offsets []int64, stale bool, err error) {
	b := make([]byte, 512)
	n, err := p.file.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	logEnd, offsets, ok := ParseProgress(b[:n])
	switch {
	case !ok:
		return nil, false, nil
	case logEnd > p.end():
		return nil, true, nil
	}
	return offsets, false, nil
}

// write notes the offsets of the levels from 1 on. All deliveries that they speak of are in the log.
func (p *progress) write(offsets []int64) error {
	p.buf = appendProgress(p.buf[:0], p.end(), offsets[:min(len(offsets), delayLevelsMax)])
	_, err := p.file.WriteAt(p.buf, 0)
	return err
}

// replace is write that no crash takes back: what was there is never read again.
func (p *progress) replace(offsets []int64) error {
	return errors.Join(p.write(offsets), p.file.Sync())
}
