package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rocketlog/rocketlog/broker/clients"
	"github.com/rocketlog/rocketlog/broker/config"
	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/schedule"
	"github.com/rocketlog/rocketlog/broker/subscription"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/engine/timer"
	"github.com/rocketlog/rocketlog/ha"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// StoreParts are what a broker keeps in the folder of its store besides the store, for tools that check and repair it without
// a broker: the timer's files, its state, and how far delay levels and reigns are. root is the folder.
func StoreParts(o *config.StoreOptions, fsys vfs.FS, root string) []engine.Part {
	return []engine.Part{
		&timerPart{fs: fsys, root: root, opts: o.Timer()}, &statePart{fs: fsys, dir: filepath.Join(root, "config")},
		&delayProgressPart{fs: fsys, root: root}, &epochPart{fs: fsys, root: root},
	}
}

// timerPart are the timer's files. What is wrong with them a timer finds that is opened over them and verifies them; where it
// must change nothing it does so on a file system that forgets.
type timerPart struct {
	fs   vfs.FS
	root string
	opts *timer.Options
}

// verify has a timer verify its files, and returns what it told of.
func (p *timerPart) verify(fsys vfs.FS, s *engine.Store, stopped bool) (faults []timer.Fault, err error) {
	if _, err := timer.ReadCheckpoint(p.fs, p.root); errors.Is(err, fs.ErrNotExist) {
		return nil, nil // there never was a timer
	}
	o := *p.opts
	o.FS, o.Stopped = fsys, stopped
	o.Damaged = func(f timer.Fault) { faults = append(faults, f) }
	o.Failed = func(error) {} // of what is damaged, which is told
	q := &offlineTimerQueue{timerTopic{store: s, get: s.Get, recordAt: s.RecordAt, damaged: func(message.QueueOffset, error) {}}}
	_, err = timer.Verify(p.root, q, &o)
	return faults, err
}

// Check implements engine.Part.
func (p *timerPart) Check(s *engine.Store, stopped bool) (found []engine.PartProblem, err error) {
	scratch := vfs.NewScratchFS(p.fs)
	faults, err := p.verify(scratch, s, stopped)
	for _, f := range faults {
		name, err := filepath.Rel(p.root, f.File)
		if err != nil {
			return nil, err
		}
		found = append(found, engine.PartProblem{
			Problem: engine.Problem{File: f.File, Offset: f.Offset, Text: f.Text}, Path: f.File,
			Step: fmt.Sprintf("put %s right by the messages that wait", name),
		})
	}
	return found, errors.Join(err, scratch.Close())
}

// Mend implements engine.Part.
func (p *timerPart) Mend(s *engine.Store, _ []engine.PartProblem) error {
	faults, err := p.verify(p.fs, s, true)
	for _, f := range faults {
		err = errors.Join(err, f.Err)
	}
	return err
}

// offlineTimerQueue is a store without a broker as the timer sees it, which puts nothing.
type offlineTimerQueue struct{ timerTopic }

func (*offlineTimerQueue) Flush() error { return nil }

func (*offlineTimerQueue) Put(_ *message.Message, done timer.Completion) {
	done.PutDone(timer.Outcome{Err: timer.ErrRefused})
}

// stateKinds are the state files and how each is read. One that has no backup is not read from one, and what is wrong with it
// somebody has to decide.
var stateKinds = map[string]struct {
	read    func(fsys vfs.FS, name string) error
	decides bool
}{
	"topics.json": {read: legible[metadata.TopicsFile]}, "topicQueueMapping.json": {read: legible[metadata.StaticTopicsFile]},
	"subscriptionGroup.json": {read: legible[metadata.GroupsFile]}, "consumerOffset.json": {read: legible[metadata.OffsetsFile]},
	"lmqConsumerOffset.json": {read: legible[metadata.OffsetsFile]}, "consumerFilter.json": {read: legible[subscription.FiltersFile]},
	"queueLocks.json": {read: legible[clients.LocksFile]}, "timermetrics": {read: legible[timerMetrics]},
	"delayOffset.json": {read: legible[schedule.OffsetsFile]}, "consumerOrderInfo.json": {read: legible[ordersFile]},
	"messageRequestMode.json": {read: legible[protocol.MessageRequestModeSerializeWrapper]},
	"autoSwitchRole.json":     {read: func(fsys vfs.FS, name string) error { _, err := readRole(fsys, name); return err }, decides: true},
}

// legible tells why a state file cannot be read.
func legible[T any](fsys vfs.FS, name string) error {
	_, err := vfs.LoadFile(fsys, name, func(data []byte) error { return protocol.UnmarshalJSON(data, new(T)) })
	return err
}

// statePart are the files below config. Each is only known to be what it should be as far as it can be read.
type statePart struct {
	fs  vfs.FS
	dir string
}

// Check implements engine.Part.
func (p *statePart) Check(*engine.Store, bool) (found []engine.PartProblem, err error) {
	for _, base := range slices.Sorted(maps.Keys(stateKinds)) {
		kind, name := stateKinds[base], filepath.Join(p.dir, base)
		bad, badBackup := kind.read(p.fs, name), kind.read(p.fs, name+vfs.BackupSuffix)
		add := func(name string, err error, step string) {
			f := engine.PartProblem{Problem: engine.Problem{File: name, Text: err.Error()}, Step: step, Path: name}
			if at := (*protocol.JSONError)(nil); errors.As(err, &at) {
				f.Offset, f.Text = int64(at.Offset), at.Reason
			}
			if kind.decides {
				f.Step, f.Path = fmt.Sprintf("leave %s alone, of which nobody else knows what it has to say", filepath.Base(name)), ""
			}
			found = append(found, f)
		}
		if bad != nil {
			step := fmt.Sprintf("remove config/%s: the broker begins without it", base)
			if _, err := p.fs.Stat(name + vfs.BackupSuffix); err == nil && badBackup == nil {
				step = fmt.Sprintf("replace config/%s by the generation before it, %s", base, base+vfs.BackupSuffix)
			}
			add(name, bad, step)
		}
		if badBackup != nil {
			add(name+vfs.BackupSuffix, badBackup, fmt.Sprintf("remove config/%s", base+vfs.BackupSuffix))
		}
	}
	return found, nil
}

// Mend implements engine.Part.
func (p *statePart) Mend(_ *engine.Store, found []engine.PartProblem) (err error) {
	// Backups that are damaged come first: what is there then is good.
	for _, backups := range []bool{true, false} {
		for _, f := range found {
			if f.Path == "" || strings.HasSuffix(f.Path, vfs.BackupSuffix) != backups {
				continue
			}
			failed := p.fs.Rename(f.Path+vfs.BackupSuffix, f.Path)
			if errors.Is(failed, fs.ErrNotExist) {
				failed = p.fs.Remove(f.Path)
			}
			err = errors.Join(err, failed)
		}
	}
	return errors.Join(err, p.fs.SyncDir(p.dir))
}

// delayProgressPart is the file delayprogress, without which deliveries since delayOffset.json are repeated.
type delayProgressPart struct {
	fs   vfs.FS
	root string
}

// Check implements engine.Part.
func (p *delayProgressPart) Check(*engine.Store, bool) ([]engine.PartProblem, error) {
	name := filepath.Join(p.root, schedule.ProgressName)
	b, err := vfs.ReadFile(p.fs, name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return nil, nil
	}
	if _, _, ok := schedule.ParseProgress(b); ok || err != nil {
		return nil, err
	}
	return []engine.PartProblem{{
		Problem: engine.Problem{File: name, Text: "its bytes are none that a broker writes"}, Path: name,
		Step: "remove delayprogress: the broker goes by delayOffset.json",
	}}, nil
}

// Mend implements engine.Part.
func (p *delayProgressPart) Mend(_ *engine.Store, found []engine.PartProblem) error {
	return errors.Join(p.fs.Remove(found[0].Path), p.fs.SyncDir(p.root))
}

// epochPart are the epochs of the log of a broker with auto-switch HA.
type epochPart struct {
	fs   vfs.FS
	root string
}

// Check implements engine.Part.
func (p *epochPart) Check(*engine.Store, bool) ([]engine.PartProblem, error) {
	file := ha.NewEpochFile(p.fs, p.root)
	_, err := file.Load()
	if err == nil {
		return nil, nil
	}
	return []engine.PartProblem{{
		Problem: engine.Problem{File: file.Name(), Text: err.Error()},
		Step:    "leave the epochs of the log alone, which nobody else knows",
	}}, nil
}

// Mend implements engine.Part.
func (p *epochPart) Mend(*engine.Store, []engine.PartProblem) error { return nil }
