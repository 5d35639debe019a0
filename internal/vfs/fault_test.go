package vfs

import (
	"errors"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
)

// A file that is cut while mapped costs the call that meets it.
func TestCatchFaults(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file cannot be cut")
	}
	f := create(t, OS, filepath.Join(t.TempDir(), "f"))
	noErr(t, f.Allocate(0, 1<<20))
	m, err := f.Map(0, 1<<20, true)
	noErr(t, err)
	defer m.Unmap()
	noErr(t, f.Truncate(64<<10))
	reach := func(use func(b []byte)) (err error) {
		defer CatchFaults(debug.SetPanicOnFault(true), &err)
		use(m.Bytes())
		return nil
	}
	for name, use := range map[string]func(b []byte){
		"touch": func(b []byte) { Touch(b[:100<<10]) },
		"copy":  func(b []byte) { copy(make([]byte, len(b)), b) },
		"write": func(b []byte) { b[99<<10] = 1 },
	} {
		var fault *FaultError
		if err := reach(use); !errors.As(err, &fault) || fault.Path != f.Name() || fault.Offset < 64<<10 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := reach(func(b []byte) { Touch(b[:64<<10]) }); err != nil {
		t.Errorf("what is left of the file: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("another panic was swallowed")
		}
	}()
	_ = reach(func(b []byte) { var p *int; *p = 1 })
}
