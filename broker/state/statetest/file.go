// Package statetest gives tests state files that need no disk.
package statetest

import (
	"testing"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/internal/vfs"
)

// File is a state file, not there yet, in a file system of its own that may crash.
func File(tb testing.TB, name string) (state.File, *vfs.CrashFS) {
	tb.Helper()
	fs := vfs.NewCrashFS(1)
	if err := fs.MkdirAll("/store/config", 0o755); err != nil {
		tb.Fatal(err)
	}
	for _, dir := range []string{"/store", "/"} {
		if err := fs.SyncDir(dir); err != nil {
			tb.Fatal(err)
		}
	}
	return state.NewFile(fs, "/store/config/"+name), fs
}
