package ha

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Java's file "epochFileCheckpoint" (CheckpointFile with EpochEntrySerializer)
// is text:
//
//	┌───────────────────────────────┐
//	│ number of entries             │
//	├───────────────────────────────┤
//	│ CRC-32 of the lines below,    │ 31 bits of it in decimal; 0 is not checked
//	├───────────────────────────────┤
//	│ epoch "-" start offset        │ one line for each entry, oldest first
//	│ …                             │
//	└───────────────────────────────┘
//
// Each line ends with a newline. The content before the last change is kept
// with the suffix ".bak".

// epochFileName is Java's.
const epochFileName = "epochFileCheckpoint"

func (s Epochs) encode() []byte {
	var lines []byte
	for _, e := range s {
		lines = strconv.AppendInt(lines, int64(e.Epoch), 10)
		lines = append(lines, '-')
		lines = strconv.AppendInt(lines, int64(e.Start), 10)
		lines = append(lines, '\n')
	}
	return append(fmt.Appendf(nil, "%d\n%d\n", len(s), epochCRC(lines)), lines...)
}

func epochCRC(lines []byte) uint32 { return crc32.ChecksumIEEE(lines) & 0x7FFFFFFF }

// decodeEpochs reads the file's content.
func decodeEpochs(b []byte) (Epochs, error) {
	count, b, err := epochNumber(b, '\n', 32)
	if err != nil {
		return nil, err
	}
	crc, b, err := epochNumber(b, '\n', 32)
	if err != nil {
		return nil, err
	}
	if crc != 0 && crc != int64(epochCRC(b)) {
		return nil, errors.New("the checksum of its entries differs")
	}
	var s Epochs
	for len(b) > 0 {
		var epoch, start int64
		if epoch, b, err = epochNumber(b, '-', 32); err != nil {
			return nil, err
		}
		if start, b, err = epochNumber(b, '\n', 64); err != nil {
			return nil, err
		}
		s = append(s, EpochEntry{Epoch: int32(epoch), Start: message.PhyOffset(start)})
	}
	if int64(len(s)) != count {
		return nil, fmt.Errorf("it has %d entries and says that they are %d", len(s), count)
	}
	return s, s.check()
}

// epochNumber takes a number off that ends with a byte.
func epochNumber(b []byte, end byte, bits int) (int64, []byte, error) {
	text, rest, ok := bytes.Cut(b, []byte{end})
	n, err := strconv.ParseInt(string(text), 10, bits)
	if !ok || err != nil || n < 0 {
		return 0, nil, fmt.Errorf("%.40q is no number that ends with %q", text, end)
	}
	return n, rest, nil
}

// EpochFile keeps the epochs of the log in a store's directory. An entry is
// saved before the first byte of it is appended, and taken out after the log was
// cut: what a crash leaves is entries of which the log has nothing, which
// Epochs.Fit takes out.
type EpochFile struct {
	fs   vfs.FS
	name string
}

// NewEpochFile is that of the store in dir.
func NewEpochFile(fsys vfs.FS, dir string) *EpochFile {
	return &EpochFile{fs: fsys, name: filepath.Join(dir, epochFileName)}
}

// Load reads the epochs, of which there are none without the file. The backup
// stands in for a file that is gone, as Java leaves it when it is killed within a
// change, but not for one that is damaged: without the last entry bytes
// would be taken for those of an older epoch.
func (f *EpochFile) Load() (Epochs, error) {
	for _, name := range []string{f.name, f.name + vfs.BackupSuffix} {
		b, err := vfs.ReadFile(f.fs, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var s Epochs
		if err == nil {
			s, err = decodeEpochs(b)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w; without it nobody can tell whose bytes the log has: empty the store of a slave, or put the file right", name, err)
		}
		return s, nil
	}
	return nil, nil
}

// Name is the path of the file.
func (f *EpochFile) Name() string { return f.name }

// Save makes s durable. Of no entries there is no file, as in Java's stores.
func (f *EpochFile) Save(s Epochs) error {
	if err := s.check(); err != nil {
		return err
	}
	if len(s) > 0 {
		return vfs.WriteFileAtomic(f.fs, f.name, s.encode())
	}
	for _, name := range []string{f.name + vfs.BackupSuffix, f.name} {
		if err := vfs.RemoveIfThere(f.fs, name); err != nil {
			return err
		}
	}
	return f.fs.SyncDir(filepath.Dir(f.name))
}
