package engine

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"slices"

	"github.com/rocketlog/rocketlog/commitlog"
	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/index"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Problem is one thing that Check found wrong.
type Problem struct {
	File   string // path, or the queue as topic/id
	Offset int64  // in the log, or in the queue
	Text   string

	log bool // of the log itself
}

// String returns the problem in one line.
func (p Problem) String() string { return fmt.Sprintf("%s: at %d: %s", p.File, p.Offset, p.Text) }

// problemsKept bounds the problems that a Report lists; all are counted.
const problemsKept = 1000

// Report is what Check found in the files of a store.
type Report struct {
	Clean          bool // the last run ended with a clean stop
	LogMin, LogEnd message.PhyOffset
	Records        int // of the log
	Queues         int
	Units          int64 // of all queues
	IndexEntries   int64
	Problems       []Problem
	Found          int // how many problems there are, listed or not
	// Notes are what is no problem and yet worth knowing: messages of topics
	// that were deleted, which stay in the log until they expire.
	Notes []Problem
	Noted int // how many notes there are, listed or not

	parts     []partReport
	badQueues map[consumequeue.Key]bool
	badIndex  bool
	badState  []string // names of checkpoint files
}

// addQueue adds a problem of a queue.
func (r *Report) addQueue(key consumequeue.Key, at message.QueueOffset, format string, args ...any) {
	if r.badQueues == nil {
		r.badQueues = map[consumequeue.Key]bool{}
	}
	r.badQueues[key] = true
	r.add(key.String(), int64(at), format, args...)
}

// addLog adds a problem of the log.
func (r *Report) addLog(path string, at message.PhyOffset, format string, args ...any) {
	r.add(path, int64(at), format, args...)
	if last := len(r.Problems) - 1; r.Found == last+1 {
		r.Problems[last].log = true
	}
}

// addIndex adds a problem of the index.
func (r *Report) addIndex(c *index.CorruptError) {
	r.badIndex = true
	r.add(c.File, c.Offset, "%s", c.Reason)
}

// addState adds a problem of one of the checkpoint files.
func (r *Report) addState(dir, name string, at int64, format string, args ...any) {
	if !slices.Contains(r.badState, name) {
		r.badState = append(r.badState, name)
	}
	r.add(filepath.Join(dir, name), at, format, args...)
}

func (r *Report) add(file string, offset int64, format string, args ...any) {
	r.Found++
	if len(r.Problems) < problemsKept {
		r.Problems = append(r.Problems, Problem{File: file, Offset: offset, Text: fmt.Sprintf(format, args...)})
	}
}

func (r *Report) note(file string, offset int64, format string, args ...any) {
	r.Noted++
	if len(r.Notes) < problemsKept {
		r.Notes = append(r.Notes, Problem{File: file, Offset: offset, Text: fmt.Sprintf(format, args...)})
	}
}

// A Part is something in the folder of a store that the engine knows nothing of: what is built on the store keeps files beside
// it.
type Part interface {
	// Check tells what is wrong with the part's files, and changes none. Of the store messages can be read, and nothing else
	// may be asked. stopped tells that the last run ended with a clean stop.
	Check(s *Store, stopped bool) ([]PartProblem, error)
	// Mend does what the steps of its problems say. The store is open.
	Mend(s *Store, found []PartProblem) error
}

// PartProblem is one thing that is wrong with a Part.
type PartProblem struct {
	Problem
	Step string // what Mend does about it
	Path string // the file that is changed, empty for none
}

// partReport is what was found of a Part.
type partReport struct {
	part  Part
	found []PartProblem
}

// mends tells whether Mend changes anything.
func (p *partReport) mends() bool {
	return slices.ContainsFunc(p.found, func(f PartProblem) bool { return f.Path != "" })
}

// Check reads a stopped store and proves its files against each other: every
// record of the log by its checksum, the queue entry of each record, the ends
// of the queues, the structure of the index, and that the checkpoints claim no
// more than is there. Then it has the parts checked. It changes nothing. progress,
// if not nil, is told the offset reached and the end of the log's files. The
// error says why the store could not be checked; what is wrong with it is in
// the Report.
func Check(dir string, opts *Options, progress func(at, end message.PhyOffset), parts ...Part) (*Report, error) {
	s, err := newStore(dir, opts)
	if err != nil {
		return nil, err
	}
	s.lock, err = s.fs.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("the store in %s is in use: %w", dir, err)
	}
	c := checker{store: s, report: &Report{}, progress: progress, lives: map[consumequeue.Key]*queueLife{}, again: map[string]bool{}}
	err = vfs.Guarded(c.run)
	if err == nil {
		err = vfs.Guarded(func() error { return c.checkParts(parts) })
	}
	return c.report, errors.Join(err, s.closeFiles())
}

// checker is the state of one Check.
type checker struct {
	store    *Store
	report   *Report
	progress func(at, end message.PhyOffset)
	lives    map[consumequeue.Key]*queueLife // of each queue as the log says
	newest   int64                           // store time of the newest record
	again    map[string]bool                 // topics that were deleted and made again
	// shown is how far a clean stop dispatched, if not all: the rest was not confirmed.
	shown   message.PhyOffset
	holes   bool          // the log is damaged: messages may be missing
	damaged damagedQueues // those that cannot be opened
}

// queueLife is what the log says of a queue since its topic was made, or made again.
type queueLife struct {
	next  message.QueueOffset // end of the queue
	shown message.QueueOffset // the same without what was not confirmed
	// held are the entries that disagree. They are no problem if it turns out
	// that the topic was deleted and made again: then they are of its next life.
	held  []Problem
	found int // how many there are, held or not
}

// heldMax bounds the problems held of one queue.
const heldMax = 20

func (l *queueLife) add(p Problem) {
	l.found++
	if len(l.held) < heldMax {
		l.held = append(l.held, p)
	}
}

func (c *checker) run() error {
	s, r := c.store, c.report
	var err error
	if r.Clean, err = s.wasStopped(); err != nil {
		return err
	}
	o := s.logOptions()
	o.ReadOnly = true
	if s.log, err = commitlog.Open(s.fs, s.opts.CommitLogDir, o); err != nil {
		return err
	}
	c.shown = math.MaxInt64
	if w, ok := s.readWaymark(); ok && r.Clean && w.clean && s.log.Holds(w.seal) && w.queues < w.seal.End {
		c.shown = w.queues
	}
	if err := c.openQueues(); err != nil {
		return err
	}
	if err := c.checkLog(); err != nil {
		return err
	}
	c.checkQueueEnds()
	if err := c.checkIndex(); err != nil {
		return err
	}
	return c.checkState()
}

func (c *checker) openQueues() error {
	s := c.store
	set, err := consumequeue.Open(s.fs, filepath.Join(s.dir, "consumequeue"), &consumequeue.Options{
		FileSize: int(s.opts.ConsumeQueueFileSize), OpenFiles: s.opts.MaxOpenQueueFiles, ReadOnly: true,
		OnDamage: c.damaged.add,
	})
	if err != nil {
		return err
	}
	s.queues = set
	end := s.log.MaxOffset()
	err = set.Recover(end, s.log.MinOffset(), end, true)
	for _, d := range c.damaged.found {
		c.report.addQueue(d.Key, 0, "%v", d)
	}
	return err
}

// checkLog reads all records and the queue entry of each.
func (c *checker) checkLog() error {
	s, r := c.store, c.report
	r.LogMin = s.log.MinOffset()
	check := func(off message.PhyOffset, m message.Record) error {
		if c.progress != nil && r.Records%10_000 == 0 {
			c.progress(off, s.log.MaxOffset())
		}
		r.Records++
		c.checkRecord(off, m)
		return nil
	}
	for from := r.LogMin; ; {
		rec, err := s.log.Scan(from, s.log.MaxOffset(), commitlog.Java, check)
		if err != nil {
			return err
		}
		r.LogEnd = rec.End
		var corrupt *commitlog.CorruptError
		if !errors.As(rec.Stopped, &corrupt) || c.zeros(corrupt.Offset) {
			return nil
		}
		next, ok, err := s.nextRecord(corrupt.Offset)
		switch {
		case err != nil:
			return err
		case ok:
			c.holes = true
			r.addLog(corrupt.Path, corrupt.Offset, "the log has no record here, the next one is at %d: %v", next, corrupt.Err)
		case r.Clean:
			r.addLog(corrupt.Path, corrupt.Offset, "the log ends at bytes that are no record: %v", corrupt.Err)
			return nil
		default:
			return nil // what a crash leaves behind the end
		}
		from = next
	}
}

// nextRecord finds the next good record behind a place of the log that has none.
func (s *Store) nextRecord(off message.PhyOffset) (message.PhyOffset, bool, error) {
	l := logReader{store: s, pace: func(int) error { return nil }}
	end := s.log.MaxOffset()
	_, next, _ := l.record(off, end)
	for {
		at, err := l.behind(off, next, end)
		if err != nil || at >= end {
			return 0, false, errors.Join(err, l.close())
		}
		rec, behind, err := l.record(at, end)
		if err == nil && rec != nil {
			return at, true, l.close()
		}
		off, next = at, max(behind, at)
	}
}

// zeros tells whether nothing was ever written at a place of the log.
func (c *checker) zeros(off message.PhyOffset) bool {
	ref, ok, err := c.store.log.Read(off)
	if err != nil || !ok {
		return false
	}
	defer ref.Release()
	for _, b := range ref.Bytes()[:min(len(ref.Bytes()), message.BlankSizeMin)] {
		if b != 0 {
			return false
		}
	}
	return true
}

// addRecord adds a problem of a record of the log.
func (c *checker) addRecord(off message.PhyOffset, format string, args ...any) {
	path, _ := c.store.logPlace(off)
	c.report.addLog(path, off, format, args...)
}

func (c *checker) checkRecord(off message.PhyOffset, m message.Record) {
	c.newest = max(c.newest, m.StoreTimestamp())
	if m.PhyOffset() != off {
		c.addRecord(off, "the record names offset %d as its place", m.PhyOffset())
	}
	for key, at := range entriesOf(m) {
		c.checkEntry(off, m, key, at)
	}
}

// checkEntry compares a record with one of the queues that it counts in.
func (c *checker) checkEntry(off message.PhyOffset, m message.Record, key consumequeue.Key, at message.QueueOffset) {
	s := c.store
	l := c.lives[key]
	switch {
	case l == nil:
		l = &queueLife{}
		c.lives[key] = l
	case at == 0:
		*l = queueLife{} // the topic was deleted and made again
		c.again[key.Topic] = true
	case at != l.next && !(c.holes && at > l.next):
		c.addRecord(off, "the record is message %d of %v, expected %d", at, key, l.next)
	}
	l.next = at + 1
	if off < c.shown {
		l.shown = l.next
	}
	q := s.queues.Queue(key.Topic, key.QueueID)
	if q == nil || at < q.MinOffset() {
		return // reported with the queue's ends, or expired
	}
	u, ok := s.unitAt(key.Topic, key.QueueID, at)
	if !ok {
		return // beyond the end, which is reported once
	}
	want := consumequeue.Unit{Offset: off, Size: int32(len(m)), TagsCode: tagsCode(s, key.Topic, m, m.Properties().Dispatch())}
	if text := disagreement(u, want); text != "" {
		l.add(Problem{File: key.String(), Offset: int64(at), Text: text})
	}
}

// disagreement says how an entry differs from what the log says, empty if it
// does not.
func disagreement(u, want consumequeue.Unit) string {
	switch {
	case u.Offset != want.Offset || u.Size != want.Size:
		return fmt.Sprintf("the entry points to %d bytes at %d, the message has %d at %d", u.Size, u.Offset, want.Size, want.Offset)
	case u.TagsCode != want.TagsCode && !isExtAddress(u.TagsCode):
		return fmt.Sprintf("the entry's tags code is %d, the message's %d", u.TagsCode, want.TagsCode)
	}
	return ""
}

// isExtAddress tells whether a tags code is the place of a unit of Java's
// ConsumeQueueExt, which no hash of 32 bits is.
func isExtAddress(tagsCode int64) bool { return tagsCode < math.MinInt32 }

func (c *checker) checkQueueEnds() {
	s, r := c.store, c.report
	queues := s.queues.Queues()
	slices.SortFunc(queues, func(a, b *consumequeue.ConsumeQueue) int { return compareKeys(a.Key(), b.Key()) })
	for _, q := range queues {
		key := q.Key()
		r.Queues++
		r.Units += int64(q.MaxOffset() - q.MinOffset())
		l, seen := c.lives[key]
		if !seen {
			continue
		}
		delete(c.lives, key)
		for _, p := range l.held {
			r.addQueue(key, message.QueueOffset(p.Offset), "%s", p.Text)
		}
		r.Found += l.found - len(l.held)
		if have := q.MaxOffset(); have > l.next && !c.holes {
			r.addQueue(key, l.next, "the queue goes on to %d, the log ends it here", have)
		} else if have < l.shown && r.Clean {
			r.addQueue(key, have, "the queue ends here, the log has messages up to %d", l.shown)
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(c.lives), compareKeys) {
		want := c.lives[key].shown
		switch {
		case want == 0: // none is confirmed
		case len(s.queues.TopicQueues(key.Topic)) == 0, c.again[key.Topic]:
			if r.badQueues[key] {
				continue // cannot be opened, and that is said
			}
			r.note(key.String(), 0, "the log has messages up to %d, of a topic without queues: deleted, or not built yet", want)
		case r.Clean: // else it may just not be dispatched yet
			r.addQueue(key, 0, "there is no queue, the log has messages up to %d", want)
		}
	}
}

func compareKeys(a, b consumequeue.Key) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.QueueID, b.QueueID))
}

func (c *checker) checkIndex() error {
	s, r := c.store, c.report
	if s.opts.IndexDisabled {
		return nil
	}
	x, err := index.OpenReadOnly(s.fs, filepath.Join(s.dir, "index"), s.indexOptions())
	if bad := (*index.CorruptError)(nil); errors.As(err, &bad) {
		r.addIndex(bad)
		return nil
	}
	if err != nil {
		return err
	}
	s.index = x
	for _, f := range x.Files() {
		r.IndexEntries += int64(f.Entries)
	}
	if !r.Clean {
		return nil // headers and slots may be of different moments; the next open sees to that
	}
	err = x.Check()
	if bad := (*index.CorruptError)(nil); errors.As(err, &bad) {
		r.addIndex(bad)
		return nil
	}
	return err
}

// checkState looks at the files that say how far all else is on disk. One that
// claims less than there is costs time at the next open, and is no problem.
func (c *checker) checkState() error {
	s, r := c.store, c.report
	for _, name := range []string{waymarkName, waymarkName + vfs.BackupSuffix, markName} {
		b, err := vfs.ReadFile(s.fs, filepath.Join(s.dir, name))
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			return err
		}
		if _, err := decodeWaymark(b); err != nil && len(bytes.Trim(b, "\x00")) > 0 { // zeros take a mark back
			r.addState(s.dir, name, 0, "%v", err)
		}
	}
	cp, err := s.readCheckpoint()
	if err != nil || !r.Clean || r.Records == 0 {
		return err
	}
	for i, t := range []int64{cp.PhysicMsgTimestamp, cp.LogicsMsgTimestamp, cp.IndexMsgTimestamp} {
		if t < 0 || t > c.newest {
			r.addState(s.dir, checkpointName, int64(8*i), "the time %d is none of a message, the newest is of %d", t, c.newest)
		}
	}
	if at := cp.LogicsPhysicalOffset; at < 0 || at > c.behindBlank(r.LogEnd) {
		r.addState(s.dir, checkpointName, checkpointFields-8, "the queues are said to be on disk up to %d, the log ends at %d", at, r.LogEnd)
	}
	return nil
}

func (c *checker) checkParts(parts []Part) error {
	r := c.report
	for _, p := range parts {
		found, err := p.Check(c.store, r.Clean)
		if err != nil {
			return err
		}
		for _, f := range found {
			r.add(f.File, f.Offset, "%s", f.Text)
		}
		if len(found) > 0 {
			r.parts = append(r.parts, partReport{p, found})
		}
	}
	return nil
}

// behindBlank returns the end of the file if a blank fills it from off on.
func (c *checker) behindBlank(off message.PhyOffset) message.PhyOffset {
	ref, ok, err := c.store.log.Read(off)
	if err != nil || !ok {
		return off
	}
	defer ref.Release()
	if b := ref.Bytes(); len(b) >= message.BlankSizeMin && binary.BigEndian.Uint32(b[magicAt:]) == message.MagicBlank {
		return c.store.log.NextFile(off)
	}
	return off
}
