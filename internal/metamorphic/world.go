package metamorphic

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// storeDir is where the store lies on its disk.
const storeDir = "/store"

// world is one store on one disk, and what its users know.
type world struct {
	model
	set     OptionSet
	queues  int
	stats   *Stats
	disk    *vfs.CrashFS
	calls   *vfs.FaultFS // the disk, every call of which is met
	store   atomic.Pointer[engine.Store]
	points  points
	skew    atomic.Int64 // of the clock, in ns
	tight   atomic.Bool  // the disk may be full
	calm    bool         // nothing is lost, so that all option sets answer alike
	failure failure
}

// failure is the first thing that went wrong outside of an operation.
type failure struct {
	sync.Mutex
	err error
}

func (f *failure) set(err error) {
	f.Lock()
	defer f.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *failure) get() error {
	f.Lock()
	defer f.Unlock()
	return f.err
}

// newWorld makes the world of a store that lies on disk, not opened.
func newWorld(set OptionSet, queues int, stats *Stats, disk *vfs.CrashFS) *world {
	w := &world{set: set, queues: queues, stats: stats}
	w.set.opts.Now = w.now
	w.set.opts.Listener = &engine.EventListener{
		Arrived:    w.arrived,
		SyncFailed: func(err error) { w.failure.set(fmt.Errorf("a sync failed: %w", err)) },
		Background: func(task string, err error) { w.refused(fmt.Errorf("%s: %w", task, err)) },
	}
	w.lieOn(disk)
	return w
}

// lieOn puts the store on a disk.
func (w *world) lieOn(disk *vfs.CrashFS) {
	w.disk = disk
	disk.SetNow(w.now)
	w.calls = vfs.NewFaultFS(disk, nil)
	w.calls.SetRules(vfs.Rule{Op: vfs.OpAny, Do: func(c vfs.Call) { w.meet(disk, c) }})
	w.set.opts.FS = w.calls
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.skew.Load())) }

// arrived notes what consumers were given. Under SyncFlush they may rely on it.
func (w *world) arrived(a engine.Arrival) {
	if w.points.off.Load() {
		return // after a crash: nobody is there to see it
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saw = max(w.saw, a.Record.PhyOffset()+message.PhyOffset(len(a.Record)))
	if w.set.mode == sync_ {
		w.power = max(w.power, w.saw)
	}
}

// refused notes an error, which only a full disk can be the reason of.
func (w *world) refused(err error) {
	if w.points.off.Load() {
		return
	}
	if !w.tight.Load() || !vfs.IsNoSpace(err) {
		w.failure.set(err)
	}
}

// view is the store that is open.
func (w *world) view() view {
	return view{w.store.Load(), w.queues, message.PhyOffset(w.set.opts.CommitLogFileSize), !w.set.opts.IndexDisabled}
}

// open opens the store; on a full disk it makes space if it must.
func (w *world) open() error {
	s, err := engine.Open(storeDir, &w.set.opts)
	if err != nil && w.tight.Load() && vfs.IsNoSpace(err) {
		w.loosen()
		s, err = engine.Open(storeDir, &w.set.opts)
	}
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	w.stats.Opens++
	w.store.Store(s)
	return nil
}

// loosen gives the disk space again, once what had none has been told.
func (w *world) loosen() {
	w.disk.SetCapacity(1 << 40)
	synctest.Wait()
	w.tight.Store(false)
}

// recovered opens the store after a crash, proves that all is there that must
// survive it, and learns which of the rest is.
func (w *world) recovered(promised message.PhyOffset) error {
	if err := w.open(); err != nil {
		return err
	}
	v := w.view()
	if w.tight.Load() {
		w.loosen() // else dispatch may stall
	}
	k := w.copy()
	alive, err := v.survivors(&k, promised)
	if err != nil {
		return err
	}
	if min := v.MinPhyOffset(); min > max(k.min, k.minLimit) {
		return fmt.Errorf("the log begins at %d, it was seen to begin at %d", min, k.min)
	}
	w.mu.Lock()
	w.log, w.flying = alive, nil
	w.power = min(w.power, v.MaxPhyOffset())
	w.kill, w.saw = max(w.power, w.end()), 0 // all of it is in files
	w.min, w.minLimit = max(w.min, v.MinPhyOffset()), 0
	w.mu.Unlock()
	if err := v.agree(alive, w.min); err != nil {
		return err
	}
	return w.failure.get()
}

// close stops the store cleanly and has its files checked.
func (w *world) close() error {
	s := w.store.Load()
	err := s.Close()
	w.promise(s.FlushedOffset(), 0)
	w.store.Store(nil)
	if err != nil {
		if w.refused(err); w.failure.get() != nil {
			return fmt.Errorf("close: %w", err)
		}
		return nil // and the next open finds an unclean end
	}
	if end := w.end(); w.power < end {
		return fmt.Errorf("closed with the log on disk up to %d of %d", w.power, end)
	}
	return w.check()
}

// check proves the files of the stopped store.
func (w *world) check() error {
	opts := w.set.opts
	opts.FS = w.disk
	report, err := engine.Check(storeDir, &opts, nil)
	switch {
	case err != nil:
		return fmt.Errorf("check: %w", err)
	case report.Found > 0:
		return fmt.Errorf("check found %d problems: %v", report.Found, report.Problems)
	case !report.Clean:
		return errors.New("check says that the store was not stopped")
	}
	kept := 0
	for i := range w.log {
		if w.log[i].phy >= report.LogMin {
			kept++
		}
	}
	if report.Records != kept {
		return fmt.Errorf("check finds %d messages in the log, want %d", report.Records, kept)
	}
	return nil
}

// abandon leaves a store that crashed: what it still does goes nowhere.
func (w *world) abandon() {
	w.points.off.Store(true)
	if s := w.store.Swap(nil); s != nil {
		s.Close()
	}
	w.disk.Discard()
	w.points.off.Store(false)
}
