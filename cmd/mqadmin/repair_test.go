package main

import (
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
