// Package pebblekv measures Pebble, CockroachDB's key-value store, as a store of messages: the key is a
// queue and an offset, the value a record, and there is nothing else, no second key and no queue. Writers call
// it at once: its own commit pipeline makes one sync of many.
//
// Its settings are those that CockroachDB gives it where the defaults are for small machines, and values
// are not compressed: so it writes as many bytes as we do and spends no time on it.
package pebblekv

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/rocketlog/rocketlog/bench/peers/measure"
	"github.com/rocketlog/rocketlog/bench/peers/writers"
)

// Run measures a store in a directory, which it makes; with sync each put is durable when answered.
func Run(dir string, sync bool, c writers.Config) (measure.Result, error) {
	options := &pebble.Options{
		MemTableSize:                64 << 20,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       2,
		L0StopWritesThreshold:       1000,
		Logger:                      quiet{},
	}
	options.ApplyCompressionSettings(func() pebble.DBCompressionSettings {
		return pebble.UniformDBCompressionSettings(sstable.NoCompression)
	})
	db, err := pebble.Open(dir, options)
	if err != nil {
		return measure.Result{}, err
	}
	defer db.Close()
	durable := pebble.NoSync
	if sync {
		durable = pebble.Sync
	}
	return writers.Run(c, func(id int) func() error {
		var key [12]byte
		binary.BigEndian.PutUint32(key[:], uint32(id))
		record, offset := writers.Entry(c.EntrySize), uint64(0)
		return func() error {
			offset++
			binary.BigEndian.PutUint64(key[4:], offset)
			return db.Set(key[:], record, durable)
		}
	})
}

// quiet keeps what Pebble has to say to itself.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	pebble.DefaultLogger.Fatalf(format, args...)
}
