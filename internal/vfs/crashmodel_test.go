package vfs

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/internal/invariants"
)

// crashModel does random operations on a CrashFS and knows, in the plainest
// way, what each sector, size and name may be after a crash.
type crashModel struct {
	t     *testing.T
	fs    *CrashFS
	rng   *rand.Rand
	files []*modelFile
	names map[string]*modelName // by path
	log   []string              // what was done, for a failure
}

// modelFile is one file, whatever it is called. A sector's states begin with the synced one.
type modelFile struct {
	file    File
	mapping Mapping // over the first pages, or nil
	now     []byte  // the content, as long as the file
	sectors map[int]map[string]bool
	sizes   map[int64]bool
}

// modelName is the files that may be found under a name; nil is none.
type modelName struct {
	now      *modelFile
	possible map[*modelFile]bool
}

var modelDirs = []string{"/d", "/e"}

// The model's names, and sizes that let files grow over several pages.
const (
	modelNames   = 4
	modelFileMax = 5 * crashPageSize
)

func newCrashModel(t *testing.T, c *CrashFS, seed uint64) *crashModel {
	m := &crashModel{t: t, fs: c, rng: newRand(seed), names: map[string]*modelName{}}
	for _, dir := range modelDirs {
		noErr(t, MakeDirs(c, dir, 0o755))
		for i := range modelNames {
			m.names[fmt.Sprintf("%s/%d", dir, i)] = &modelName{possible: map[*modelFile]bool{nil: true}}
		}
	}
	return m
}

func (m *crashModel) note(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf(format, args...))
}

func (m *crashModel) pickName() string {
	return fmt.Sprintf("%s/%d", modelDirs[m.rng.IntN(len(modelDirs))], m.rng.IntN(modelNames))
}

// step does one random operation.
func (m *crashModel) step() {
	name := m.pickName()
	n := m.names[name]
	if n.now == nil {
		m.create(name, n)
		return
	}
	f := n.now
	switch m.rng.IntN(14) {
	case 0, 1, 2:
		m.write(name, f)
	case 3, 4, 5:
		m.store(name, f)
	case 6:
		m.truncate(name, f)
	case 7, 8:
		m.sync(name, f)
	case 9:
		m.syncMapping(name, f)
	case 10:
		m.syncDir(path.Dir(name))
	case 11:
		m.rename(name, m.pickName())
	case 12:
		m.note("remove %s", name)
		noErr(m.t, m.fs.Remove(name))
		m.setName(n, nil)
	case 13:
		m.note("snapshot")
		m.fs.Snapshot()
		if m.rng.IntN(10) == 0 {
			m.syncAll()
		}
	}
}

func (m *crashModel) setName(n *modelName, f *modelFile) {
	n.now = f
	n.possible[f] = true
}

func (m *crashModel) create(name string, n *modelName) {
	m.note("create %s", name)
	f := &modelFile{file: create(m.t, m.fs, name), sectors: map[int]map[string]bool{}, sizes: map[int64]bool{0: true}}
	m.files = append(m.files, f)
	m.setName(n, f)
}

// text is bytes that differ from any others, so that a mixture shows.
func (m *crashModel) text(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(m.rng.Uint32())
	}
	return b
}

func (m *crashModel) write(name string, f *modelFile) {
	off := m.rng.IntN(modelFileMax)
	data := m.text(1 + m.rng.IntN(min(modelFileMax-off, 3000)))
	m.note("write %s [%d,%d)", name, off, off+len(data))
	_, err := f.file.WriteAt(data, int64(off))
	noErr(m.t, err)
	f.resize(max(len(f.now), off+len(data)))
	f.change(off, data)
}

// store changes bytes through a mapping, which is made when there is none.
func (m *crashModel) store(name string, f *modelFile) {
	if f.mapping != nil && m.rng.IntN(4) == 0 || f.mapping != nil && len(f.mapping.Bytes()) > len(f.now) {
		m.note("unmap %s", name)
		noErr(m.t, f.mapping.Unmap())
		f.mapping = nil
	}
	if f.mapping == nil {
		if len(f.now) == 0 {
			return
		}
		m.note("map %s", name)
		mapping, err := f.file.Map(0, len(f.now), true)
		noErr(m.t, err)
		f.mapping = mapping
	}
	b := f.mapping.Bytes()
	off := m.rng.IntN(len(b))
	data := m.text(1 + m.rng.IntN(min(len(b)-off, 3000)))
	m.note("store %s [%d,%d)", name, off, off+len(data))
	copy(b[off:], data)
	f.change(off, data)
}

func (m *crashModel) truncate(name string, f *modelFile) {
	size := m.rng.IntN(modelFileMax)
	if f.mapping != nil {
		size = max(size, len(f.now)) // shortening a mapped file is SIGBUS
	}
	m.note("truncate %s from %d to %d", name, len(f.now), size)
	noErr(m.t, f.file.Truncate(int64(size)))
	f.resize(size)
}

// resize sets the length; sectors beyond a shorter end become zeros.
func (f *modelFile) resize(size int) {
	if size < len(f.now) {
		f.change(size, make([]byte, len(f.now)-size))
		f.now = f.now[:size]
	} else {
		f.now = append(f.now, make([]byte, size-len(f.now))...)
	}
	f.sizes[int64(size)] = true
}

// change changes bytes and adds the new state of their sectors.
func (f *modelFile) change(off int, data []byte) {
	for s := off / SectorSize; s <= (off+len(data)-1)/SectorSize; s++ {
		f.states(s) // the state before
	}
	copy(f.now[off:], data)
	for s := off / SectorSize; s <= (off+len(data)-1)/SectorSize; s++ {
		f.states(s)[f.sector(s)] = true
	}
}

// sector is the content of a sector, with zeros beyond the end.
func (f *modelFile) sector(s int) string { return sectorOf(f.now, s) }

func sectorOf(data []byte, s int) string {
	var b [SectorSize]byte
	if off := s * SectorSize; off < len(data) {
		copy(b[:], data[off:])
	}
	return string(b[:])
}

func (f *modelFile) states(s int) map[string]bool {
	if f.sectors[s] == nil {
		f.sectors[s] = map[string]bool{f.sector(s): true}
	}
	return f.sectors[s]
}

func (f *modelFile) synced() {
	clear(f.sectors)
	f.sizes = map[int64]bool{int64(len(f.now)): true}
}

func (m *crashModel) sync(name string, f *modelFile) {
	m.note("sync %s", name)
	if m.rng.IntN(2) == 0 {
		noErr(m.t, f.file.Sync())
	} else {
		noErr(m.t, f.file.SyncData())
	}
	f.synced()
}

func (m *crashModel) syncMapping(name string, f *modelFile) {
	if f.mapping == nil {
		return
	}
	off := m.rng.IntN(len(f.mapping.Bytes()))
	n := 1 + m.rng.IntN(len(f.mapping.Bytes())-off)
	m.note("msync %s [%d,%d)", name, off, off+n)
	noErr(m.t, f.mapping.Sync(off, n))
	for s := range f.sectors {
		if page := s / sectorsPerPage; page >= off/crashPageSize && page <= (off+n-1)/crashPageSize {
			delete(f.sectors, s)
		}
	}
	for size := range f.sizes {
		if end := int64(pagesOf(int64(off+n))) * crashPageSize; size < min(end, int64(len(f.now))) {
			delete(f.sizes, size)
		}
	}
	f.sizes[int64(len(f.now))] = true
	// The synced size may be any that was allowed, or just the end of the range.
	f.sizes[min(int64(len(f.now)), int64(pagesOf(int64(off+n)))*crashPageSize)] = true
}

func (m *crashModel) syncDir(dir string) {
	m.note("syncdir %s", dir)
	noErr(m.t, m.fs.SyncDir(dir))
	for name, n := range m.names {
		if path.Dir(name) == dir {
			n.possible = map[*modelFile]bool{n.now: true}
		}
	}
}

func (m *crashModel) syncAll() {
	m.note("syncall")
	noErr(m.t, m.fs.SyncAll("/"))
	for _, n := range m.names {
		n.possible = map[*modelFile]bool{n.now: true}
		if n.now != nil {
			n.now.synced()
		}
	}
}

func (m *crashModel) rename(from, to string) {
	m.note("rename %s %s", from, to)
	noErr(m.t, m.fs.Rename(from, to))
	if from == to {
		return
	}
	m.setName(m.names[to], m.names[from].now)
	m.setName(m.names[from], nil)
}

// check holds a crashed file system against what is possible.
func (m *crashModel) check(after *CrashFS) error {
	for name, n := range m.names {
		data, err := ReadFile(after, name)
		if errors.Is(err, fs.ErrNotExist) {
			if !n.possible[nil] {
				return fmt.Errorf("%s is gone", name)
			}
			continue
		}
		if err != nil {
			return err
		}
		var why []string
		for f := range n.possible {
			if f == nil {
				continue
			}
			problem := f.allows(data)
			if problem == "" {
				why = nil
				break
			}
			why = append(why, problem)
		}
		if why != nil || len(n.possible) == 1 && n.possible[nil] {
			return fmt.Errorf("%s is no file that may be there: %s", name, strings.Join(why, "; "))
		}
	}
	return nil
}

func (f *modelFile) allows(data []byte) (problem string) {
	if !f.sizes[int64(len(data))] {
		return fmt.Sprintf("size %d, possible %v", len(data), f.sizes)
	}
	for s := range (len(data) + SectorSize - 1) / SectorSize {
		got := sectorOf(data, s)
		states := f.sectors[s]
		if states == nil {
			states = map[string]bool{f.sector(s): true}
		}
		if !inStates(states, got, len(data)-s*SectorSize) {
			return fmt.Sprintf("sector %d is none of its %d states", s, len(states))
		}
	}
	return ""
}

// inStates says whether got is one of the states, with what is beyond the end
// of the file zeroed.
func inStates(states map[string]bool, got string, left int) bool {
	if left >= SectorSize {
		return states[got]
	}
	for state := range states {
		if state[:left] == got[:left] {
			return true
		}
	}
	return false
}

func (m *crashModel) close() {
	for _, f := range m.files {
		if f.mapping != nil {
			noErr(m.t, f.mapping.Unmap())
		}
		noErr(m.t, f.file.Close())
	}
}

// TestCrashModel: what was synced is there, and nothing is there that never was.
func TestCrashModel(t *testing.T) {
	runs := uint64(100)
	if testing.Short() || invariants.Enabled { // slow under race
		runs = 20
	}
	for seed := range runs {
		c := NewCrashFS(seed)
		m := newCrashModel(t, c, seed)
		for step := range 120 {
			m.step()
			if step%10 != 9 {
				continue
			}
			for crash := range uint64(4) {
				after := c.Crash(crash)
				if err := m.check(after); err != nil {
					t.Fatalf("seed %d, step %d, crash %d: %v\n%s%s", seed, step, crash, err, after.Outcome(), strings.Join(m.log, "\n"))
				}
			}
			killed := c.Kill()
			for name, n := range m.names {
				if data, err := ReadFile(killed, name); (err == nil) != (n.now != nil) || err == nil && string(data) != string(n.now.now) {
					t.Fatalf("seed %d, step %d: %s is not as it was before the kill: %v", seed, step, name, err)
				}
			}
			if err := m.check(killed.Crash(seed)); err != nil {
				t.Fatalf("seed %d, step %d: power loss after a kill: %v\n%s", seed, step, err, strings.Join(m.log, "\n"))
			}
		}
		m.close()
	}
}

// The model must be able to fail: here the disk breaks its promise.
func TestCrashModelNoticesALoss(t *testing.T) {
	noticed := 0
	for seed := range uint64(30) {
		c := NewCrashFS(seed)
		m := newCrashModel(t, c, seed)
		for range 60 {
			m.step()
		}
		m.syncAll()
		after := c.Crash(1)
		noErr(t, m.check(after))
		for name, n := range m.names {
			if n.now == nil || len(n.now.now) == 0 {
				continue
			}
			f := create(t, after, name)
			_, err := f.WriteAt([]byte{n.now.now[0] + 1}, 0)
			noErr(t, err)
			if m.check(after) == nil {
				t.Fatalf("seed %d: a changed byte of %s goes unnoticed", seed, name)
			}
			noticed++
			break
		}
		m.close()
	}
	if noticed == 0 {
		t.Fatal("nothing to lose in any run")
	}
}
