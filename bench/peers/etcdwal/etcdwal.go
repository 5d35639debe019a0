// Package etcdwal measures etcd's write-ahead log as many writers use it: one goroutine saves all entries
// that wait with one sync, as etcd's own raft loop does.
package etcdwal

import (
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"

	"github.com/rocketlog/rocketlog/bench/peers/measure"
	"github.com/rocketlog/rocketlog/bench/peers/writers"
)

// Run measures a log in a directory, which it makes.
func Run(dir string, c writers.Config) (measure.Result, error) {
	w, err := wal.Create(zap.NewNop(), dir, nil)
	if err != nil {
		return measure.Result{}, err
	}
	defer w.Close()
	var batch []raftpb.Entry
	index := uint64(0)
	group := writers.NewGroup(c, func(entries [][]byte) error {
		batch = batch[:0]
		for _, data := range entries {
			index++
			batch = append(batch, raftpb.Entry{Term: 1, Index: index, Data: data})
		}
		return w.Save(raftpb.HardState{}, batch)
	})
	defer group.Close()
	return writers.Run(c, func(int) func() error { return group.Writer(c.EntrySize) })
}
