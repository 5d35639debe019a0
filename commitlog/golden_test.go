package commitlog

import (
	"path/filepath"
	"testing"

	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Every log that Java wrote is read record by record to the end that Java says.
func TestGoldenLogs(t *testing.T) {
	for _, name := range golden.Stores() {
		t.Run(name, func(t *testing.T) {
			man := golden.Manifest(t, name)
			l, err := Open(vfs.OS, filepath.Join(golden.Store(t, name), "commitlog"), &Options{FileSize: man.CommitLog.FileSize})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			i := 0
			rec, err := l.Scan(0, l.MaxOffset(), Java, func(off message.PhyOffset, r message.Record) error {
				if i < len(man.Messages) && int64(off) != man.Messages[i].Offset {
					t.Fatalf("record %d at %d, want %d", i, off, man.Messages[i].Offset)
				}
				i++
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if i != len(man.Messages) || int64(rec.End) != man.CommitLog.End {
				t.Errorf("%d records to %d, want %d to %d (%v)", i, rec.End, len(man.Messages), man.CommitLog.End, rec.Stopped)
			}
		})
	}
}
