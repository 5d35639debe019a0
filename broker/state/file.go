package state

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// A File is one of the JSON files under config/, in the shape in which Java's ConfigManager writes it, with the
// generation before it beside it as name.bak.
type File struct {
	backed  *vfs.BackedFile
	written *expected // its lock is held over the methods of backed
}

// NewFile returns the file of that name, which need not be there.
func NewFile(fsys vfs.FS, name string) File {
	return File{backed: vfs.NewBackedFile(fsys, name), written: new(expected)}
}

// Name is the file's name.
func (f File) Name() string { return f.backed.Name() }

// Load decodes the file. When it is absent or cannot be parsed, the generation before it is taken instead and the
// complaint says so: a power loss while Java writes the file leaves exactly that. An absent file, and one that is of no
// use together with its backup, are nil.
func Load[T any](f File) (v *T, complaint error) {
	f.written.mu.Lock()
	defer f.written.mu.Unlock()
	_, complaint = f.backed.Load(func(data []byte) error {
		read := new(T)
		if err := protocol.UnmarshalJSON(data, read); err != nil {
			return err
		}
		v = read
		return nil
	})
	return v, complaint
}

// Write replaces the file. Names of members are quoted, numbers too, which Java reads as well as its own bare ones.
func (f File) Write(v any) error {
	data, err := protocol.MarshalStandardJSON(v)
	if err != nil {
		return fmt.Errorf("state file %s: %w", f.Name(), err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, data, "", "\t"); err != nil {
		return fmt.Errorf("state file %s: %w", f.Name(), err)
	}
	return f.written.while(pretty.Bytes(), func() error { return f.backed.Save(pretty.Bytes()) })
}
