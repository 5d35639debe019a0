package nameserver

import (
	"fmt"
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
	fs vfs.FS
	// table is never changed but replaced, so that readers need no lock.
	table atomic.Pointer[map[string]map[string]string]
	write sync.Mutex // held over the replacing of table and file
	file  *vfs.BackedFile
}

// OpenKVConfig reads the file, if there is one. If it is damaged, which no crash of ours explains, the backup beside it is
// read, and damaged is told; if that is none either, the error names the file.
func OpenKVConfig(fsys vfs.FS, path string, damaged func(error)) (*KVConfig, error) {
	k := &KVConfig{fs: fsys, file: vfs.NewBackedFile(fsys, path)}
	table := make(map[string]map[string]string)
	found, complaint := k.file.Load(func(data []byte) error {
		var wrapper protocol.KVConfigTable
		err := protocol.UnmarshalJSON(data, &wrapper)
		if err == nil && wrapper.ConfigTable != nil {
			table = wrapper.ConfigTable
		}
		return err
	})
	if complaint != nil {
		complaint = fmt.Errorf("kv config %w", complaint)
		if !found {
			return nil, complaint
		}
		damaged(complaint)
	}
	k.table.Store(&table)
	return k, nil
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
	err = vfs.MakeDirs(k.fs, filepath.Dir(k.file.Name()), 0o755)
	if err == nil {
		err = k.file.Save(data)
	}
	if err != nil {
		return fmt.Errorf("kv config: %w", err)
	}
	k.table.Store(&table)
	return nil
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
