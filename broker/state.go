package broker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// A stateFile is one of the JSON files under config/, in the shape in which Java's ConfigManager writes it, with the
// generation before it beside it as name.bak.
type stateFile struct {
	*vfs.BackedFile
	written *writtenState // its lock is held over the methods of BackedFile
}

func newStateFile(fsys vfs.FS, name string) stateFile {
	return stateFile{BackedFile: vfs.NewBackedFile(fsys, name), written: new(writtenState)}
}

// loadState decodes the file. When it is absent or cannot be parsed, the generation before it is taken instead and the
// complaint says so: a power loss while Java writes the file leaves exactly that. An absent file, and one that is of no
// use together with its backup, are nil.
func loadState[T any](f stateFile) (v *T, complaint error) {
	f.written.mu.Lock()
	defer f.written.mu.Unlock()
	_, complaint = f.Load(func(data []byte) error {
		read := new(T)
		if err := protocol.UnmarshalJSON(data, read); err != nil {
			return err
		}
		v = read
		return nil
	})
	return v, complaint
}

// write replaces the file. Names of members are quoted, numbers too, which Java reads as well as its own bare ones.
func (f stateFile) write(v any) error {
	data, err := protocol.MarshalStandardJSON(v)
	if err != nil {
		return fmt.Errorf("state file %s: %w", f.Name(), err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, data, "", "\t"); err != nil {
		return fmt.Errorf("state file %s: %w", f.Name(), err)
	}
	return f.written.while(pretty.Bytes(), func() error { return f.Save(pretty.Bytes()) })
}

// A saver writes one state file on behalf of many: callers that come while a write is under way share the next one. After
// a write it rests for as long as the write took, up to restMax, so that of a flood of changes to a large table more share
// one; who comes to a saver at rest since longer waits for nothing but the write.
type saver struct {
	file     stateFile
	snapshot func() any // called without the saver's lock

	mu struct {
		sync.Mutex
		running bool
		asked   uint64    // tickets given out
		done    uint64    // every ticket up to here is on disk, or its write failed with err
		rest    time.Time // until when no write begins
		err     error
	}
	cond sync.Cond
}

// restMax bounds the rest after a write.
const restMax = 100 * time.Millisecond

func newSaver(file stateFile, snapshot func() any) *saver {
	s := &saver{file: file, snapshot: snapshot}
	s.cond.L = &s.mu
	return s
}

// saveDirty saves if *dirty, which mu guards, and leaves it as it was when that fails.
func (s *saver) saveDirty(mu sync.Locker, dirty *bool) error {
	mu.Lock()
	was := *dirty
	*dirty = false
	mu.Unlock()
	if !was {
		return nil
	}
	err := s.save()
	if err != nil {
		mu.Lock()
		*dirty = true
		mu.Unlock()
	}
	return err
}

// save returns once what the state was when save was called is durable, or could not be made so.
func (s *saver) save() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.asked++
	ticket := s.mu.asked
	for s.mu.done < ticket {
		if s.mu.running {
			s.cond.Wait()
			continue
		}
		s.mu.running = true
		if rest := time.Until(s.mu.rest); rest > 0 {
			s.mu.Unlock()
			time.Sleep(rest)
			s.mu.Lock()
		}
		upTo := s.mu.asked
		s.mu.Unlock()
		began := time.Now()
		err := s.file.write(s.snapshot())
		ended := time.Now()
		s.mu.Lock()
		s.mu.running, s.mu.done, s.mu.err = false, upTo, err
		s.mu.rest = ended.Add(min(ended.Sub(began), restMax))
		s.cond.Broadcast()
	}
	return s.mu.err
}
