// Package raftwal measures HashiCorp's raft-wal, the log of Consul and Vault, as raft uses it: one
// goroutine stores all entries that wait in one call, which syncs once.
package raftwal

import (
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"github.com/rocketlog/rocketlog/bench/peers/measure"
	"github.com/rocketlog/rocketlog/bench/peers/writers"
)

// Run measures a log in a directory, which it makes.
func Run(dir string, c writers.Config) (measure.Result, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return measure.Result{}, err
	}
	w, err := wal.Open(dir, wal.WithLogger(hclog.NewNullLogger()))
	if err != nil {
		return measure.Result{}, err
	}
	defer w.Close()
	var batch []*raft.Log
	index := uint64(0)
	group := writers.NewGroup(c, func(entries [][]byte) error {
		for len(batch) < len(entries) {
			batch = append(batch, &raft.Log{Term: 1, Type: raft.LogCommand})
		}
		for i, data := range entries {
			index++
			batch[i].Index, batch[i].Data = index, data
		}
		return w.StoreLogs(batch[:len(entries)])
	})
	defer group.Close()
	return writers.Run(c, func(int) func() error { return group.Writer(c.EntrySize) })
}
