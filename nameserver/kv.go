package nameserver

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// kvBytesMax bounds the names and values of all namespaces together, so that each still fits a frame.
const kvBytesMax = 8 << 20

// KVConfig is the table of namespaces, keys and values that administrators keep at the name server, and the file that
// holds it. Every change is on disk before it is seen or confirmed.
type KVConfig struct {
	fs   vfs.FS
	path string
	// table is never changed but replaced, so that readers need no lock.
	table atomic.Pointer[map[string]map[string]string]
	write sync.Mutex // held over the replacing of table and file
}

// OpenKVConfig reads the file, if there is one. If it is damaged, which no crash of ours explains, the backup beside it is
// read; if that is none either, the error names the file.
func OpenKVConfig(fsys vfs.FS, path string) (*KVConfig, error) {
	k := &KVConfig{fs: fsys, path: path}
	table, err := readKV(fsys, path)
	if err != nil {
		backup, errBackup := readKV(fsys, path+vfs.BackupSuffix)
		if errBackup != nil || backup == nil {
			return nil, err
		}
		table = backup
	}
	if table == nil {
		table = make(map[string]map[string]string)
	}
	k.table.Store(&table)
	return k, nil
}

// readKV gives the table in a file; nil when there is no file.
func readKV(fsys vfs.FS, path string) (map[string]map[string]string, error) {
	data, err := vfs.ReadFile(fsys, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("kv config: %w", err)
	}
	var wrapper protocol.KVConfigTable
	if err := protocol.UnmarshalJSON(data, &wrapper); err != nil {
		return nil, fmt.Errorf("kv config %s: %w", path, err)
	}
	if wrapper.ConfigTable == nil {
		wrapper.ConfigTable = make(map[string]map[string]string)
	}
	return wrapper.ConfigTable, nil
}

// Get gives one value.
func (k *KVConfig) Get(namespace, key string) (string, bool) {
	value, ok := (*k.table.Load())[namespace][key]
	return value, ok
}

// List gives a namespace, or false when there is none of that name. The map must not be changed.
func (k *KVConfig) List(namespace string) (map[string]string, bool) {
	values, ok := (*k.table.Load())[namespace]
	return values, ok
}

// Put sets one value.
func (k *KVConfig) Put(namespace, key, value string) error {
	return k.change(namespace, func(values map[string]string) bool {
		before, ok := values[key]
		values[key] = value
		return !ok || before != value
	})
}

// Delete removes one value; the namespace stays, even when that was its last.
func (k *KVConfig) Delete(namespace, key string) error {
	if _, ok := k.List(namespace); !ok {
		return nil
	}
	return k.change(namespace, func(values map[string]string) bool {
		_, ok := values[key]
		delete(values, key)
		return ok
	})
}

// change edits a copy of one namespace, writes the file and then shows the new table. edit says whether it did anything.
func (k *KVConfig) change(namespace string, edit func(map[string]string) bool) error {
	k.write.Lock()
	defer k.write.Unlock()
	table := maps.Clone(*k.table.Load())
	values := maps.Clone(table[namespace])
	if values == nil {
		values = make(map[string]string)
	}
	if !edit(values) {
		return nil
	}
	table[namespace] = values
	if size := kvBytes(table); size > kvBytesMax {
		return fmt.Errorf("kv config of %d bytes is more than %d", size, kvBytesMax)
	}
	data, err := protocol.MarshalJSON(protocol.KVConfigTable{ConfigTable: table})
	if err != nil {
		return fmt.Errorf("kv config: %w", err)
	}
	if err := writeFile(k.fs, k.path, data); err != nil {
		return fmt.Errorf("kv config: %w", err)
	}
	k.table.Store(&table)
	return nil
}

// writeFile makes the folder too, which after an installation is not there.
func writeFile(fsys vfs.FS, path string, data []byte) error {
	if err := vfs.MakeDirs(fsys, filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return vfs.WriteFileAtomic(fsys, path, data)
}

func kvBytes(table map[string]map[string]string) int {
	size := 0
	for namespace, values := range table {
		size += len(namespace)
		for key, value := range values {
			size += len(key) + len(value)
		}
	}
	return size
}
