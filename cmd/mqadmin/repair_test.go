package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/internal/daemon"
	"github.com/rocketlog/rocketlog/internal/golden"
)

func TestRepair(t *testing.T) {
	dir, config := golden.Store(t, golden.Clean), goldenConfig(t)
	flip(t, filepath.Join(dir, "consumequeue/GT_one/0/00000000000000000000"), 7)
	flip(t, filepath.Join(dir, "index", golden.Manifest(t, golden.Clean).Index[0].File), 40+4*100+20+4+7)
	says := func(text string, wanted ...string) {
		t.Helper()
		for _, want := range wanted {
			if !strings.Contains(text, want) {
				t.Errorf("%q is missing in\n%s", want, text)
			}
		}
	}
	stdout, _ := mqadmin(t, daemon.ExitFailed, "store", "repair", dir, "-c", config)
	says(stdout, "step     build the queue GT_one/0 again", "step     build the index again", "nothing was done; --apply does it")
	stdout, _ = mqadmin(t, daemon.ExitFailed, "store", "check", dir, "-c", config)
	says(stdout, "problems found")
	stdout, _ = mqadmin(t, daemon.ExitOK, "store", "repair", dir, "-c", config, "--apply")
	says(stdout, "kept in", "after the repair", "no problem found")
	stdout, _ = mqadmin(t, daemon.ExitOK, "store", "repair", dir, "-c", config, "--apply")
	says(stdout, "nothing is to be done")
	stdout, _ = mqadmin(t, daemon.ExitOK, "store", "check", dir, "-c", config)
	says(stdout, "GT_gone/0", "no problem found")
}

// The first file of all is cut: the others say how long it should be.
func TestRepairOfCutFile(t *testing.T) {
	dir, config := golden.Store(t, golden.Clean), goldenConfig(t)
	queues, err := filepath.Glob(filepath.Join(dir, "consumequeue", "*", "*", "*"))
	if err != nil || len(queues) == 0 {
		t.Fatal(queues, err)
	}
	if err := os.Truncate(queues[0], 40); err != nil {
		t.Fatal(err)
	}
	stdout, _ := mqadmin(t, daemon.ExitFailed, "store", "check", dir, "-c", config)
	if !strings.Contains(stdout, "40 bytes") || !strings.Contains(stdout, "problems found: 1\n") {
		t.Error(stdout)
	}
	mqadmin(t, daemon.ExitOK, "store", "repair", dir, "-c", config, "--apply")
}

// A store whose log alone is damaged has nothing that a repair could do.
func TestRepairOfLog(t *testing.T) {
	dir, config := golden.Store(t, golden.Clean), goldenConfig(t)
	flip(t, filepath.Join(dir, "commitlog", "00000000000000000000"), 100)
	for _, args := range [][]string{nil, {"--apply"}} {
		stdout, _ := mqadmin(t, daemon.ExitFailed, append([]string{"store", "repair", dir, "-c", config}, args...)...)
		if !strings.Contains(stdout, "leave the log alone") || !strings.Contains(stdout, "nothing is to be done") {
			t.Error(stdout)
		}
	}
}
