package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// RepairStep is one thing that Repair does, or would do.
type RepairStep struct {
	Text  string
	Path  string // what it changes, empty for nothing
	Keeps string // where what was there is kept
}

// String returns the step in one line.
func (s RepairStep) String() string {
	if s.Keeps == "" {
		return s.Text
	}
	return fmt.Sprintf("%s; what is there is kept in %s", s.Text, s.Keeps)
}

// repairPrefix begins the name of the folder, below the store's, that keeps what
// a repair replaced. Neither we nor Java look at it.
const repairPrefix = "repair-"

// Repair checks a stopped store and has queues and index with problems built
// again from the log, and checkpoints written again, and parts
// mended. It tells of each step before it takes the first one, and takes
// them only if told to go on. What it replaces is kept; the log is never touched.
// The second report is of the store as it is then, nil if nothing was done.
func Repair(dir string, opts *Options, goOn func(*Report, []RepairStep) bool, progress func(at, end message.PhyOffset), parts ...Part) (before, after *Report, err error) {
	s, err := newStore(dir, opts)
	if err != nil {
		return nil, nil, err
	}
	if before, err = Check(dir, opts, progress, parts...); err != nil {
		return nil, nil, err
	}
	keep := filepath.Join(dir, repairPrefix+s.opts.Now().Format("20060102-150405"))
	keys := slices.SortedFunc(maps.Keys(before.badQueues), compareKeys)
	steps := repairSteps(dir, keep, before, keys)
	if !goOn(before, steps) || !slices.ContainsFunc(steps, func(s RepairStep) bool { return s.Path != "" }) {
		return before, nil, nil
	}
	for _, step := range steps {
		if step.Keeps != "" {
			err := keepCopy(s.fs, step.Path, step.Keeps)
			if err = errors.Join(err, s.fs.SyncDir(keep)); err != nil {
				return before, nil, fmt.Errorf("nothing was changed: keeping %s: %w", step.Path, err)
			}
		}
	}
	for _, name := range before.badState {
		if name != checkpointName { // what is damaged would be kept as the one before
			if err := s.fs.Remove(filepath.Join(dir, name)); err != nil {
				return before, nil, err
			}
		}
	}
	if err := s.rebuild(keys, before.badIndex, before.parts); err != nil {
		return before, nil, err
	}
	after, err = Check(dir, opts, progress, parts...)
	return before, after, err
}

func repairSteps(dir, keep string, r *Report, keys []consumequeue.Key) (steps []RepairStep) {
	for _, key := range keys {
		rel := filepath.Join("consumequeue", key.Topic, strconv.Itoa(int(key.QueueID)))
		steps = append(steps, RepairStep{
			Text: fmt.Sprintf("build the queue %v again from the log", key), Path: filepath.Join(dir, rel), Keeps: filepath.Join(keep, rel),
		})
	}
	if r.badIndex {
		steps = append(steps, RepairStep{
			Text: "build the index again from the log", Path: filepath.Join(dir, "index"), Keeps: filepath.Join(keep, "index"),
		})
	}
	for _, name := range r.badState {
		steps = append(steps, RepairStep{
			Text: fmt.Sprintf("write the %s again", name), Path: filepath.Join(dir, name), Keeps: filepath.Join(keep, name),
		})
	}
	for _, part := range r.parts {
		for _, f := range part.found {
			step := RepairStep{Text: f.Step, Path: f.Path}
			if rel, err := filepath.Rel(dir, f.Path); err == nil && f.Path != "" {
				step.Keeps = filepath.Join(keep, rel)
			}
			if !slices.Contains(steps, step) {
				steps = append(steps, step)
			}
		}
	}
	for _, p := range r.Problems {
		if p.log {
			steps = append(steps, RepairStep{Text: fmt.Sprintf("leave the log alone, whose messages there are lost: %v", p)})
		}
	}
	return steps
}

// keepCopy copies a file or a folder, and makes the copy durable, but for the
// name of a file. What is not there needs no keeping.
func keepCopy(fsys vfs.FS, from, to string) error {
	info, err := fsys.Stat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := vfs.MakeDirs(fsys, filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if !info.IsDir() {
		return copyFile(fsys, from, to)
	}
	entries, err := fsys.ReadDir(from)
	if err != nil {
		return err
	}
	if err := vfs.MakeDirs(fsys, to, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		if err := keepCopy(fsys, filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return fsys.SyncDir(to)
}

func copyFile(fsys vfs.FS, from, to string) (err error) {
	in, err := fsys.OpenFile(from, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	size, err := in.Size()
	if err != nil {
		return err
	}
	out, err := fsys.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	buf := make([]byte, min(size, 1<<20))
	for at := int64(0); at < size; at += int64(len(buf)) {
		n := min(int64(len(buf)), size-at)
		if _, err := in.ReadCold(buf[:n], at); err != nil {
			return err
		}
		if _, err := out.WriteAt(buf[:n], at); err != nil {
			return err
		}
	}
	return out.Sync()
}

// rebuild opens a store, builds queues and perhaps the index again, has parts mended, and closes it.
func (s *Store) rebuild(keys []consumequeue.Key, reindex bool, parts []partReport) (err error) {
	s.opts.ScrubBytesPerSecond = -1
	if s.reindex = reindex; reindex {
		if err := s.fs.RemoveAll(filepath.Join(s.dir, "index")); err != nil {
			return err
		}
	}
	if _, err := s.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for _, key := range keys {
		rebuild := func() error {
			s.recount.Store(true)
			_, err := s.rebuildQueue(key, s.ReputOffset(), errors.New("repair"))
			return err
		}
		if err := s.onDispatcher(rebuild); err != nil {
			return fmt.Errorf("queue %v: %w", key, err)
		}
	}
	for _, p := range parts {
		if p.mends() {
			err = errors.Join(err, p.part.Mend(s, p.found))
		}
	}
	return err
}
