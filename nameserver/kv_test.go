package nameserver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

func openKV(t *testing.T, path string) *KVConfig {
	t.Helper()
	k, err := OpenKVConfig(vfs.OS, path, func(err error) { t.Errorf("damaged: %v", err) })
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func put(t *testing.T, k *KVConfig, namespace, key, value string) {
	t.Helper()
	if err := k.Put(namespace, key, value); err != nil {
		t.Fatal(err)
	}
}

func TestKVConfigReadsWhatJavaWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kvConfig.json")
	const java = "{\n\t\"configTable\":{\n\t\t\"ORDER_TOPIC_CONFIG\":{\"T\":\"a:4\"\n\t\t},\"NS\":{}\n\t}\n}"
	if err := os.WriteFile(path, []byte(java), 0o644); err != nil {
		t.Fatal(err)
	}
	k := openKV(t, path)
	if got, ok := k.Get("ORDER_TOPIC_CONFIG", "T"); got != "a:4" || !ok {
		t.Errorf("got %q %v", got, ok)
	}
	if _, ok := k.List("NS"); !ok {
		t.Error("the empty namespace is missing")
	}
	put(t, k, "NS", "k", "1")
	data, err := os.ReadFile(path)
	if want := `{"configTable":{"NS":{"k":"1"},"ORDER_TOPIC_CONFIG":{"T":"a:4"}}}`; err != nil || string(data) != want {
		t.Errorf("wrote %s %v, want %s", data, err, want)
	}
}

func TestKVConfigWritesOnlyChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kvConfig.json")
	k := openKV(t, path)
	if err := k.Delete("NS", "k"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("deleting nothing wrote the file: %v", err)
	}
	put(t, k, "NS", "k", "1")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	put(t, k, "NS", "k", "1")
	if err := k.Delete("NS", "other"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("changing nothing wrote the file: %v", err)
	}
}

func TestKVConfigListIsASnapshot(t *testing.T) {
	k := openKV(t, filepath.Join(t.TempDir(), "kvConfig.json"))
	put(t, k, "NS", "k", "1")
	before, _ := k.List("NS")
	put(t, k, "NS", "k", "2")
	if before["k"] != "1" {
		t.Errorf("the list changed to %v", before)
	}
}

// A damaged file is told and its backup taken. A change afterwards, cut at any moment, leaves the one or the other.
func TestKVConfigDamage(t *testing.T) {
	const path = "/conf/kvConfig.json"
	mem := vfs.NewCrashFS(1)
	var told []error
	open := func(fsys vfs.FS) (*KVConfig, error) {
		told = nil
		return OpenKVConfig(fsys, path, func(err error) { told = append(told, err) })
	}
	value := func(fsys vfs.FS) string {
		t.Helper()
		k, err := open(fsys)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := k.Get("NS", "k")
		return got
	}
	damage := func(fsys vfs.FS) {
		t.Helper()
		f, err := fsys.OpenFile(path, os.O_RDWR|os.O_TRUNC, 0)
		if err == nil {
			_, err = f.WriteAt([]byte(`{"configTable":{"NS"`), 0)
			err = errors.Join(err, f.Sync(), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	k, err := open(mem)
	if err != nil {
		t.Fatal(err)
	}
	put(t, k, "NS", "k", "1")
	put(t, k, "NS", "k", "2")
	damage(mem)
	if got := value(mem); got != "1" || len(told) != 1 || !strings.Contains(told[0].Error(), path) {
		t.Errorf("from the backup: %q, told %v", got, told)
	}
	faults := vfs.NewFaultFS(mem, nil)
	if k, err = open(faults); err != nil {
		t.Fatal(err)
	}
	cuts := 0
	faults.SetRules(vfs.Rule{Do: func(vfs.Call) {
		for seed := range uint64(20) {
			if got := value(mem.Crash(seed)); got != "1" && got != "3" {
				t.Fatalf("cut within the change: %q", got)
			}
			cuts++
		}
	}})
	put(t, k, "NS", "k", "3")
	if got := value(mem); got != "3" || told != nil || cuts == 0 {
		t.Errorf("changed: %q, told %v, cut %d times", got, told, cuts)
	}
	damage(mem)
	if got := value(mem); got != "1" {
		t.Errorf("damaged again: %q", got)
	}
	if err := mem.Remove(path + vfs.BackupSuffix); err != nil {
		t.Fatal(err)
	}
	if _, err := open(mem); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("without backup: %v does not name the file", err)
	}
}

func TestKVConfigFailedWriteChangesNothing(t *testing.T) {
	dir := t.TempDir()
	k := openKV(t, filepath.Join(dir, "sub", "kvConfig.json"))
	put(t, k, "NS", "k", "1")
	if err := os.RemoveAll(filepath.Join(dir, "sub")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sub"), nil, 0o644); err != nil { // a file where the folder was
		t.Fatal(err)
	}
	if err := k.Put("NS", "k", "2"); err == nil {
		t.Error("no error")
	}
	if err := k.Put("NS", "large", strings.Repeat("x", kvBytesMax)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("too large: %v", err)
	}
	if got, _ := k.Get("NS", "k"); got != "1" {
		t.Errorf("got %q", got)
	}
}
