package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pageOf is a page whose sectors all say b.
func pageOf(b byte) []byte { return bytes.Repeat([]byte{b}, crashPageSize) }

// durableFile makes a file that is synced in every way.
func durableFile(t *testing.T, c *CrashFS, name string, data []byte) File {
	t.Helper()
	noErr(t, MakeDirs(c, filepath.Dir(name), 0o755))
	f := create(t, c, name)
	_, err := f.WriteAt(data, 0)
	noErr(t, err)
	noErr(t, f.Sync())
	noErr(t, c.SyncDir(filepath.Dir(name)))
	return f
}

// statesAfterCrashes tells what a crash leaves of the one page of /f, over many
// seeds: the bytes of its sectors, with runs of the same byte written once.
func statesAfterCrashes(t *testing.T, c *CrashFS) map[string]int {
	t.Helper()
	states := map[string]int{}
	for seed := range uint64(2000) {
		data, err := ReadFile(c.Crash(seed), "/f")
		noErr(t, err)
		var state []byte
		for s := range sectorsPerPage {
			sector := data[s*SectorSize : (s+1)*SectorSize]
			if !bytes.Equal(sector, bytes.Repeat(sector[:1], SectorSize)) {
				t.Fatalf("seed %d: sector %d is torn", seed, s)
			}
			if len(state) == 0 || state[len(state)-1] != sector[0] {
				state = append(state, sector[0])
			}
		}
		states[string(state)]++
	}
	return states
}

// wantStates checks that exactly the given whole states and mixtures of them
// are seen, and some mixtures if there is anything to mix.
func wantStates(t *testing.T, states map[string]int, whole string) {
	t.Helper()
	mixed := 0
	for state, n := range states {
		if strings.Trim(state, whole) != "" {
			t.Errorf("state %q was never written since the sync", state)
		}
		if len(state) > 1 {
			mixed += n
		}
	}
	for _, b := range whole {
		if states[string(b)] == 0 {
			t.Errorf("state %q never survived", b)
		}
	}
	if (mixed > 0) != (len(whole) > 1) {
		t.Errorf("%d torn pages among states %q", mixed, whole)
	}
}

func TestCrashOfAMappedPage(t *testing.T) {
	c := NewCrashFS(1)
	f := durableFile(t, c, "/f", pageOf('A'))
	m := mapFile(t, f, 0, crashPageSize, true)
	wantStates(t, statesAfterCrashes(t, c), "A")
	copy(m.Bytes(), pageOf('B'))
	wantStates(t, statesAfterCrashes(t, c), "AB")
	c.Snapshot()
	copy(m.Bytes(), pageOf('C'))
	wantStates(t, statesAfterCrashes(t, c), "ABC")
	noErr(t, f.SyncRange(0, crashPageSize)) // promises nothing, and is a moment between
	copy(m.Bytes(), pageOf('D'))
	wantStates(t, statesAfterCrashes(t, c), "ABCD")
	noErr(t, m.Sync(0, 1))
	wantStates(t, statesAfterCrashes(t, c), "D")
	copy(m.Bytes(), pageOf('E'))
	noErr(t, m.Unmap()) // writes nothing out
	wantStates(t, statesAfterCrashes(t, c), "DE")
	noErr(t, f.SyncData())
	wantStates(t, statesAfterCrashes(t, c), "E")
}

func TestCrashOfAWrittenPage(t *testing.T) {
	c := NewCrashFS(1)
	f := durableFile(t, c, "/f", pageOf('A'))
	for _, b := range []byte("BC") {
		_, err := f.WriteAt(pageOf(b), 0)
		noErr(t, err)
	}
	wantStates(t, statesAfterCrashes(t, c), "ABC")
	noErr(t, f.Close())
	wantStates(t, statesAfterCrashes(t, c), "ABC")
	noErr(t, c.SyncAll("/"))
	wantStates(t, statesAfterCrashes(t, c), "C")
}

func TestCapturedStatesAreBounded(t *testing.T) {
	c := NewCrashFS(1)
	f := durableFile(t, c, "/f", pageOf('A'))
	m := mapFile(t, f, 0, crashPageSize, true)
	for b := range 100 {
		m.Bytes()[0] = byte(b)
		c.Snapshot()
	}
	if n := len(f.(*crashFile).node.data.between[0]); n != capturesPerPage {
		t.Fatalf("%d states captured, want %d", n, capturesPerPage)
	}
}

func TestMappingSyncCoversItsPagesAlone(t *testing.T) {
	c := NewCrashFS(1)
	f := durableFile(t, c, "/f", make([]byte, 3*crashPageSize))
	m := mapFile(t, f, 0, 3*crashPageSize, true)
	for i := range m.Bytes() {
		m.Bytes()[i] = 'x'
	}
	noErr(t, m.Sync(crashPageSize+100, 1))
	lost := 0
	for seed := range uint64(100) {
		data, err := ReadFile(c.Crash(seed), "/f")
		noErr(t, err)
		if !bytes.Equal(data[crashPageSize:2*crashPageSize], pageOf('x')) {
			t.Fatalf("seed %d: a synced page is lost", seed)
		}
		lost += bytes.Count(data, []byte{0})
	}
	if lost == 0 {
		t.Fatal("no unsynced page was ever lost")
	}
}

func TestCrashOfSizes(t *testing.T) {
	c := NewCrashFS(1)
	f := durableFile(t, c, "/f", []byte("12345"))
	noErr(t, f.Allocate(0, 10000))
	noErr(t, f.Truncate(3))
	sizes := map[int]int{}
	for seed := range uint64(300) {
		data, err := ReadFile(c.Crash(seed), "/f")
		noErr(t, err)
		sizes[len(data)]++
		if want := "12345" + string(make([]byte, 10000)); !strings.HasPrefix(want, string(data)) &&
			!bytes.Equal(data[3:], make([]byte, len(data)-3)) {
			t.Fatalf("seed %d: %.20q", seed, data)
		}
	}
	for _, size := range []int{3, 5, 10000} {
		if sizes[size] == 0 {
			t.Errorf("size %d never survived", size)
		}
		delete(sizes, size)
	}
	if len(sizes) > 0 {
		t.Errorf("sizes that the file never had: %v", sizes)
	}
}

// namesAfterCrashes counts what the root holds after crashes.
func namesAfterCrashes(t *testing.T, c *CrashFS) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for seed := range uint64(400) {
		seen[names(t, c.Crash(seed), "/")]++
	}
	return seen
}

func wantSeen(t *testing.T, seen map[string]int, want ...string) {
	t.Helper()
	for _, w := range want {
		if seen[w] == 0 {
			t.Errorf("%q never survived", w)
		}
		delete(seen, w)
	}
	if len(seen) > 0 {
		t.Errorf("survived: %v", seen)
	}
}

func TestCrashOfNames(t *testing.T) {
	c := NewCrashFS(1)
	durableFile(t, c, "/old", []byte("old"))
	f := create(t, c, "/new")
	noErr(t, f.Sync())
	wantSeen(t, namesAfterCrashes(t, c), "old", "new old")
	noErr(t, c.SyncDir("/"))
	wantSeen(t, namesAfterCrashes(t, c), "new old")
	noErr(t, c.Remove("/old"))
	wantSeen(t, namesAfterCrashes(t, c), "new", "new old")
	for seed := range uint64(100) {
		if data, err := ReadFile(c.Crash(seed), "/old"); err == nil && string(data) != "old" {
			t.Fatalf("seed %d: the file came back as %q", seed, data)
		}
	}
	noErr(t, c.SyncAll("/new"))
	wantSeen(t, namesAfterCrashes(t, c), "new")
}

func TestCrashLeavesRenamesAtomic(t *testing.T) {
	c := NewCrashFS(1)
	durableFile(t, c, "/a", []byte("a"))
	noErr(t, c.Rename("/a", "/b"))
	wantSeen(t, namesAfterCrashes(t, c), "a", "b")
	noErr(t, c.Rename("/b", "/c"))
	wantSeen(t, namesAfterCrashes(t, c), "a", "b", "c")
	create(t, c, "/d")
	wantSeen(t, namesAfterCrashes(t, c), "a", "b", "c", "a d", "b d", "c d")
}

// A synced directory keeps what was renamed into it out of another one, as a
// journal that holds the rename holds it whole.
func TestSyncDirTakesARenameWhole(t *testing.T) {
	c := NewCrashFS(1)
	noErr(t, MakeDirs(c, "/from", 0o755))
	noErr(t, MakeDirs(c, "/to", 0o755))
	f := create(t, c, "/from/f")
	noErr(t, f.Sync())
	noErr(t, c.Rename("/from/f", "/to/f"))
	noErr(t, c.SyncDir("/to"))
	for seed := range uint64(50) {
		after := c.Crash(seed)
		wantNames(t, after, "/from", "")
		wantNames(t, after, "/to", "f")
	}
}

func TestNameNeedsItsParents(t *testing.T) {
	c := NewCrashFS(1)
	noErr(t, c.MkdirAll("/d/e", 0o755))
	f := create(t, c, "/d/e/f")
	noErr(t, f.Sync())
	noErr(t, c.SyncDir("/d/e"))
	seen := map[bool]int{}
	for seed := range uint64(200) {
		_, err := c.Crash(seed).Stat("/d/e/f")
		seen[err == nil]++
	}
	if seen[true] == 0 || seen[false] == 0 {
		t.Fatalf("the file of an unsynced directory survived: %v", seen)
	}
}

func TestKillLosesNothingAndSyncsNothing(t *testing.T) {
	c := NewCrashFS(1)
	f := durableFile(t, c, "/f", pageOf('A'))
	m := mapFile(t, f, 0, crashPageSize, true)
	copy(m.Bytes(), pageOf('B'))
	c.Snapshot()
	copy(m.Bytes(), pageOf('C'))
	create(t, c, "/g")
	_, err := c.Lock("/lock")
	noErr(t, err)

	killed := c.Kill()
	wantNames(t, killed, "/", "f g lock")
	wantFile(t, killed, "/f", string(pageOf('C')))
	wantStates(t, statesAfterCrashes(t, killed), "ABC")
	wantSeen(t, namesAfterCrashes(t, killed.Kill()), "f", "f g", "f lock", "f g lock")

	copy(m.Bytes(), pageOf('Z')) // the void
	wantFile(t, killed, "/f", string(pageOf('C')))
	l, err := killed.Lock("/lock")
	noErr(t, err)
	noErr(t, l.Close())
}

func TestCrashedFileSystemGoesOn(t *testing.T) {
	c := NewCrashFS(1)
	f := durableFile(t, c, "/f", pageOf('A'))
	m := mapFile(t, f, 0, crashPageSize, true)
	for round := range uint64(50) {
		copy(m.Bytes(), pageOf('B'))
		c = c.Crash(round)
		before, err := ReadFile(c, "/f")
		noErr(t, err)
		after, err := ReadFile(c.Crash(round+1), "/f")
		noErr(t, err)
		if !bytes.Equal(before, after) {
			t.Fatalf("round %d: what survived a crash was not durable", round)
		}
		f, err = c.OpenFile("/f", os.O_RDWR, 0)
		noErr(t, err)
		m = mapFile(t, f, 0, crashPageSize, true)
		if !bytes.Equal(m.Bytes(), before) {
			t.Fatalf("round %d: mapping and file differ", round)
		}
		copy(m.Bytes(), pageOf('A'))
		noErr(t, m.Sync(0, crashPageSize))
	}
}

func TestSameSeedSameCrash(t *testing.T) {
	run := func() string {
		c := NewCrashFS(7)
		model := newCrashModel(t, c, 7)
		for range 300 {
			model.step()
		}
		var b strings.Builder
		for seed := range uint64(20) {
			after := c.Crash(seed)
			b.WriteString(after.Outcome().String())
			dump(t, &b, after, "/")
		}
		return b.String()
	}
	if a, b := run(), run(); a != b {
		t.Fatalf("one seed, two outcomes:\n%s\n%s", a, b)
	} else if !strings.Contains(a, "torn=") || !strings.Contains(a, "undone: ") {
		t.Fatalf("the outcome does not tell what happened:\n%.1000s", a)
	}
}

func dump(t *testing.T, b *strings.Builder, fsys FS, dir string) {
	entries, err := fsys.ReadDir(dir)
	noErr(t, err)
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if e.IsDir() {
			dump(t, b, fsys, name)
			continue
		}
		data, err := ReadFile(fsys, name)
		noErr(t, err)
		fmt.Fprintf(b, "%s %d %x\n", name, len(data), data)
	}
}

// WriteFileAtomic is cut at each of its calls, by a kill and by power losses.
func TestWriteFileAtomicSurvives(t *testing.T) {
	for _, old := range []string{"", "the old content", strings.Repeat("old ", 5000)} {
		want := strings.Repeat("the new content ", 1000)
		check := func(after *CrashFS, written bool) {
			t.Helper()
			data, err := ReadFile(after, "/d/state")
			if old == "" && !written && errors.Is(err, fs.ErrNotExist) {
				return
			}
			noErr(t, err)
			if got := string(data); got != want && (written || got != old) {
				t.Fatalf("%.30q after writing over %.30q, written=%v\n%s", got, old, written, after.Outcome())
			}
			backup, err := ReadFile(after, "/d/state.bak")
			if err == nil && string(backup) != old && string(backup) != "older" {
				t.Fatalf("backup %.30q", backup)
			}
			if written && old != "" && string(backup) != old {
				t.Fatalf("backup %.30q of %.30q", backup, old)
			}
		}
		c := NewCrashFS(1)
		noErr(t, MakeDirs(c, "/d", 0o755))
		if old != "" {
			noErr(t, WriteFileAtomic(c, "/d/state", []byte("older")))
			noErr(t, WriteFileAtomic(c, "/d/state", []byte(old)))
		}
		faults := NewFaultFS(c, nil)
		calls := 0
		faults.SetRules(Rule{Do: func(Call) {
			calls++
			check(c.Kill(), false)
			for seed := range uint64(40) {
				check(c.Crash(seed), false)
			}
		}})
		noErr(t, WriteFileAtomic(faults, "/d/state", []byte(want)))
		for seed := range uint64(40) {
			check(c.Crash(seed), true)
		}
		if calls < 6 {
			t.Fatalf("only %d calls seen", calls)
		}
	}
}

func wantUsed(t *testing.T, c *CrashFS, pages uint64) {
	t.Helper()
	u, err := c.Usage("/")
	noErr(t, err)
	if used := (u.Total - u.Free) / crashPageSize; used != pages {
		t.Fatalf("%d pages in use, want %d", used, pages)
	}
}

func TestDiskFull(t *testing.T) {
	c := NewCrashFS(1)
	c.SetCapacity(10 * crashPageSize)
	f := create(t, c, "/f")
	noSpace := func(err error) {
		t.Helper()
		if !IsNoSpace(err) || !strings.Contains(err.Error(), "/f") {
			t.Fatalf("error %v", err)
		}
	}
	noSpace(f.Allocate(0, 11*crashPageSize))
	wantSize(t, f, 0)
	wantUsed(t, c, 0)
	noErr(t, f.Allocate(0, 9*crashPageSize-1))
	wantUsed(t, c, 9)
	n, err := f.WriteAt(make([]byte, 3*crashPageSize), 8*crashPageSize)
	noSpace(err)
	if n != 2*crashPageSize {
		t.Fatalf("wrote %d bytes", n)
	}
	wantSize(t, f, 10*crashPageSize)
	_, err = f.WriteAt([]byte("over what is allocated"), 5000)
	noErr(t, err)
	wantUsed(t, c.Kill(), 10)

	noErr(t, f.Truncate(3*crashPageSize+1))
	wantUsed(t, c, 4)
	noErr(t, f.Truncate(20*crashPageSize))
	wantUsed(t, c, 4)
	m := mapFile(t, f, 0, 20*crashPageSize, true)
	for i := 0; i < 20; i++ {
		m.Bytes()[i*crashPageSize] = 1
	}
	noSpace(m.Sync(0, 20*crashPageSize)) // on a real system it would have been SIGBUS

	noErr(t, c.Remove("/f"))
	noErr(t, f.Close())
	wantUsed(t, c, 10) // the mapping holds it
	noErr(t, m.Unmap())
	wantUsed(t, c, 0)
	c.SetCapacity(0)
	f = create(t, c, "/f")
	_, err = f.WriteAt([]byte("x"), 0)
	noSpace(err)
	c.SetCapacity(crashPageSize)
	_, err = f.WriteAt([]byte("x"), 0)
	noErr(t, err)
}

func TestGrowWhileMapped(t *testing.T) {
	c := NewCrashFS(1)
	f := durableFile(t, c, "/f", pageOf('A'))
	m := mapFile(t, f, 0, crashPageSize, true)
	_, err := f.WriteAt(pageOf('B'), crashPageSize)
	noErr(t, err)
	wantFile(t, c, "/f", string(pageOf('A'))+string(pageOf('B')))
	_, err = f.Map(0, 2*crashPageSize, true)
	wantErr(t, err, ErrNotSupported, "/f")
	noErr(t, m.Unmap())
	m = mapFile(t, f, 0, 2*crashPageSize, true)
	if m.Bytes()[crashPageSize] != 'B' {
		t.Fatal("the mapping misses what was written")
	}
}

// A file of a gigabyte costs the pages that were touched, in memory and in time.
func TestHugeSparseFile(t *testing.T) {
	const size = 1 << 30
	c := NewCrashFS(1)
	defer c.Discard()
	f := create(t, c, "/huge")
	noErr(t, f.Allocate(0, size))
	noErr(t, f.Sync())
	noErr(t, c.SyncDir("/"))
	m := mapFile(t, f, 0, size, true)
	places := []int{0, 12345678, size / 2, size - 1}
	for _, off := range places {
		m.Bytes()[off] = 'A'
	}
	noErr(t, f.SyncData())
	for _, off := range places {
		m.Bytes()[off] = 'B'
	}
	d := &f.(*crashFile).node.data
	looked := 0
	d.eachWritten(func(int) { looked++ })
	if touched := touchedPages(d.mem); touched != nil && looked > 100 {
		t.Errorf("%d pages are looked at for %d that were written", looked, len(places))
	}
	seen := map[byte]int{}
	for seed := range uint64(6) {
		g, err := c.Crash(seed).OpenFile("/huge", os.O_RDONLY, 0)
		noErr(t, err)
		wantSize(t, g, size)
		for _, off := range places {
			var b [1]byte
			_, err := g.ReadAt(b[:], int64(off))
			noErr(t, err)
			seen[b[0]]++
		}
	}
	if len(seen) != 2 || seen['A'] == 0 || seen['B'] == 0 {
		t.Fatalf("survived: %v", seen)
	}
}

func TestClockOfCrashFS(t *testing.T) {
	c := NewCrashFS(1)
	c.SetNow(func() time.Time { return time.Unix(42, 0) })
	create(t, c, "/f")
	info, err := c.Stat("/f")
	noErr(t, err)
	if info.ModTime().Unix() != 42 {
		t.Fatalf("modification time %v", info.ModTime())
	}
}

// A directory that was made by a process which was killed before it synced the
// name is durable once another has asked for it.
func TestMakeDirsAfterAKill(t *testing.T) {
	for at := 1; ; at++ {
		fs := NewCrashFS(1)
		var killed *CrashFS
		calls := NewFaultFS(fs, nil)
		calls.SetRules(Rule{Op: OpAny, Nth: at, Do: func(Call) { killed = fs.Kill() }})
		if err := MakeDirs(calls, "/a/b/c", 0o755); err != nil {
			t.Fatal(err)
		}
		if killed == nil {
			break
		}
		if err := MakeDirs(killed, "/a/b/c", 0o755); err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(20) {
			if _, err := killed.Crash(seed).Stat("/a/b/c"); err != nil {
				t.Errorf("killed at call %d, crash %d: %v", at, seed, err)
				break
			}
		}
	}
}
