package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/rocketlog/rocketlog/internal/properties"
)

// A setting that was changed while the broker ran is there at the next start, with a config file and without one.
func TestChangedSettingOutlivesRestart(t *testing.T) {
	t.Setenv(envNameServers, "127.0.0.1:9876")
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	for name, line := range map[string]*commandLine{
		"config file":    {configFile: small(t, "traceOn=true")},
		"no config file": {storeDir: t.TempDir()},
	} {
		if line.storeDir != "" {
			if err := os.Mkdir(filepath.Join(line.storeDir, "config"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		s, err := loadSettings(log, line)
		if err != nil {
			t.Fatal(err)
		}
		if !s.broker.TraceOn {
			t.Fatalf("%s: traceOn is false before it was changed", name)
		}
		change := []properties.Entry{{Key: "traceOn", Value: "false"}, {Key: "defaultTopicQueueNums", Value: "3"}}
		if err := s.broker.OnConfigChange(change); err != nil {
			t.Fatal(err)
		}
		s, err = loadSettings(log, line)
		if err != nil {
			t.Fatal(err)
		}
		if s.broker.TraceOn || s.broker.DefaultTopicQueueNums != 3 {
			t.Errorf("%s: after a restart traceOn is %v, defaultTopicQueueNums %d", name, s.broker.TraceOn, s.broker.DefaultTopicQueueNums)
		}
		if line.storeDir != "" && s.broker.StorePathRootDir != line.storeDir {
			t.Errorf("%s: the store is %s", name, s.broker.StorePathRootDir)
		}
	}
}
