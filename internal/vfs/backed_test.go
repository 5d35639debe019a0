package vfs

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// takeWhole takes contents that are whole ones, into *got.
func takeWhole(got *string) func([]byte) error {
	return func(b []byte) error {
		if text := string(b); strings.HasPrefix(text, "<") && strings.HasSuffix(text, ">") {
			*got = text
			return nil
		}
		return errors.New("not whole")
	}
}

// loadWhole loads /d/state.
func loadWhole(fsys FS) (f *BackedFile, got string, complaint error) {
	f = NewBackedFile(fsys, "/d/state")
	_, complaint = f.Load(takeWhole(&got))
	return f, got, complaint
}

// Whatever was damaged: saves that are cut at any of their calls, by a kill or by a power loss, leave the state that was loaded or
// the one that is saved; and when one is through, a second damage leaves one of the last two.
func TestBackedFileSurvives(t *testing.T) {
	const main, backup = "<the last state>", "<the state before it>"
	for _, c := range []struct{ name, main, backup, loaded string }{
		{"nothing", "-", "-", ""},
		{"both whole", main, backup, main},
		{"no backup", main, "-", main},
		{"a damaged backup", main, backup[:9], main},
		{"a damaged file", main[:9], backup, backup},
		{"zeros", strings.Repeat("\x00", 9000), backup, backup},
		{"an empty file", "", backup, backup},
		{"no file", "-", backup, backup},
		{"damaged both", main[:9], backup[:9], ""},
		{"damaged, and no backup", main[:9], "-", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := NewCrashFS(1)
			noErr(t, MakeDirs(mem, "/d", 0o755))
			for name, content := range map[string]string{"/d/state": c.main, "/d/state.bak": c.backup} {
				if content != "-" {
					writeFile(t, mem, name, content)
				}
			}
			noErr(t, mem.SyncAll("/"))
			faults := NewFaultFS(mem, nil)
			f, now, complaint := loadWhole(faults)
			damaged := c.main != "-" && c.main != "" && c.main != main
			if now != c.loaded || f.Damaged() != damaged || (complaint != nil) != (damaged || now == "" && c.backup == backup[:9]) {
				t.Fatalf("loaded %q, damaged=%v, complaint %v", now, f.Damaged(), complaint)
			}
			if damaged && !strings.Contains(complaint.Error(), "/d/state") {
				t.Errorf("complaint %v does not name the file", complaint)
			}
			before, next := now, now
			check := func(after *CrashFS) {
				t.Helper()
				if _, got, _ := loadWhole(after); got != now && got != next {
					t.Fatalf("loaded %.30q: neither %.30q nor %.30q\n%s", got, now, next, after.Outcome())
				}
			}
			faults.SetRules(Rule{Do: func(Call) {
				check(mem.Kill())
				for seed := range uint64(30) {
					check(mem.Crash(seed))
				}
			}})
			for n := range 3 {
				next = fmt.Sprintf("<state %d %s>", n, strings.Repeat("x", 5000*n))
				noErr(t, f.Save([]byte(next)))
				before, now = now, next
				for seed := range uint64(30) {
					after := mem.Crash(seed)
					check(after)
					writeFile(t, after, "/d/state", "torn")
					if _, got, _ := loadWhole(after); got != before {
						t.Fatalf("save %d, then damaged: loaded %.30q, not %.30q", n, got, before)
					}
				}
			}
			if f.Damaged() {
				t.Error("still damaged")
			}
			if damaged {
				wantFile(t, mem, "/d/state.damaged", c.main)
				wantNames(t, mem, "/d", "state state.bak state.damaged")
			} else {
				wantNames(t, mem, "/d", "state state.bak")
			}
		})
	}
}

// A damaged file that cannot be set aside is not saved over, and is set aside by the next save.
func TestBackedFileThatCannotBeSetAside(t *testing.T) {
	mem := NewCrashFS(1)
	noErr(t, MakeDirs(mem, "/d", 0o755))
	writeFile(t, mem, "/d/state", "torn")
	writeFile(t, mem, "/d/state.bak", "<whole>")
	faults := NewFaultFS(mem, nil)
	f, _, _ := loadWhole(faults)
	faults.SetRules(Rule{Op: OpRename, Nth: 1, Err: errors.New("no")})
	if err := f.Save([]byte("<new>")); err == nil {
		t.Error("no error")
	}
	if _, got, _ := loadWhole(mem); got != "<whole>" {
		t.Errorf("loaded %q", got)
	}
	noErr(t, f.Save([]byte("<new>")))
	wantFile(t, mem, "/d/state", "<new>")
	wantFile(t, mem, "/d/state.bak", "<whole>")
	f.MarkDamaged()
	noErr(t, f.Save([]byte("<newer>")))
	wantFile(t, mem, "/d/state.bak", "<whole>")
	wantFile(t, mem, "/d/state.damaged", "<new>")
}
