package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/internal/daemon"
	"github.com/rocketlog/rocketlog/internal/golden"
)

// mqadmin runs the command and gives what it prints.
func mqadmin(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(append([]string{"mqadmin"}, args...), &out, &errs); code != want {
		t.Errorf("%s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, want, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// goldenConfig is a config file with what the golden stores' brokers had and their files do not show.
func goldenConfig(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "broker.conf")
	if err := os.WriteFile(name, []byte("maxHashSlotNum=100\nmaxIndexNum=400\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want int
		says string
	}{
		{nil, daemon.ExitUsage, "Usage"},
		{[]string{"-h"}, daemon.ExitOK, "Usage"},
		{[]string{"store"}, daemon.ExitUsage, "Usage"},
		{[]string{"store", "mend", "x"}, daemon.ExitUsage, "Usage"},
		{[]string{"setBrokerRole"}, daemon.ExitUsage, "must be given"},
		{[]string{"setBrokerRole", "-b", "x:1", "-m", "1", "-e", "0"}, daemon.ExitUsage, "must be given"},
		{[]string{"setBrokerRole", "-b", "x:1", "-m", "1", "-e", "2", "-s", "1,a"}, daemon.ExitUsage, "must be given"},
		{[]string{"setBrokerRole", "-b", "127.0.0.1:1", "-m", "1", "-e", "2"}, daemon.ExitFailed, "127.0.0.1:1"},
		{[]string{"store", "check"}, daemon.ExitUsage, "one store folder"},
		{[]string{"store", "check", "a", "b"}, daemon.ExitUsage, "one store folder"},
		{[]string{"store", "check", "-h"}, daemon.ExitOK, "Usage"},
		{[]string{"store", "check", "-x", "a"}, daemon.ExitUsage, "-x"},
		{[]string{"store", "dump", "a", "-only", "records,messages"}, daemon.ExitUsage, `"messages" is none of`},
		{[]string{"store", "check", "/nonexistent"}, daemon.ExitFailed, "no such file"},
		{[]string{"store", "check", "main.go"}, daemon.ExitFailed, "is no folder"},
		{[]string{"store", "check", "."}, daemon.ExitFailed, "holds no store"},
		{[]string{"store", "check", ".", "-c", "/nonexistent"}, daemon.ExitFailed, "no such file"},
	} {
		if _, stderr := mqadmin(t, c.want, c.args...); !strings.Contains(stderr, c.says) {
			t.Errorf("%q: %q does not say %q", c.args, stderr, c.says)
		}
	}
}

func TestCheckGolden(t *testing.T) {
	config := goldenConfig(t)
	clean := golden.Store(t, golden.Clean)
	stdout, stderr := mqadmin(t, daemon.ExitOK, "store", "check", clean, "-c", config)
	for _, want := range []string{"by a clean stop", "776 records in [0, 3514124)", "2288 entries", "notes    1", "GT_gone/0", "no problem found"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in\n%s", want, stdout)
		}
	}
	if stderr != "" {
		t.Errorf("said %s", stderr)
	}
	stdout, stderr = mqadmin(t, daemon.ExitFailed, "store", "check", clean)
	if !strings.Contains(stdout, "the file has 8440 bytes") || !strings.Contains(stderr, "name them with -c") {
		t.Errorf("without settings:\n%s%s", stdout, stderr)
	}
	stdout, _ = mqadmin(t, daemon.ExitOK, "store", "check", golden.Store(t, golden.Crashed), "-c", config)
	if !strings.Contains(stdout, "by a crash") || !strings.Contains(stdout, "no problem found") {
		t.Errorf("crashed store:\n%s", stdout)
	}
}

func TestCheckJSON(t *testing.T) {
	stdout, _ := mqadmin(t, daemon.ExitOK, "store", "check", "-json", "-c", goldenConfig(t), golden.Store(t, golden.Clean))
	var report engine.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || report.Records != 776 || report.Found != 0 || report.Noted != 1 {
		t.Errorf("got %+v %v", report, err)
	}
}

func TestCheckNamesTheDamage(t *testing.T) {
	m := golden.Manifest(t, golden.Clean)
	for name, damage := range map[string]struct {
		file string
		at   int64
		says string
	}{
		"queue entry": {"consumequeue/GT_one/0/00000000000000000000", 7, "GT_one/0: at 0: the entry points to"},
		"index entry": {"index/" + m.Index[0].File, 40 + 4*100 + 20 + 4 + 7, m.Index[0].File + ": at"},
		"record":      {"commitlog/00000000000003145728", m.Messages[700].Offset - 3145728 + 90, "the log has no record here"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := golden.Store(t, golden.Clean)
			flip(t, filepath.Join(dir, damage.file), damage.at)
			if stdout, _ := mqadmin(t, daemon.ExitFailed, "store", "check", dir, "-c", goldenConfig(t)); !strings.Contains(stdout, damage.says) {
				t.Errorf("%q is missing in\n%s", damage.says, stdout)
			}
		})
	}
}

// flip changes one byte of a file.
func flip(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x55
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// dumped is a line of a dump.
type dumped struct {
	Kind        string
	Offset      int64
	Size        int
	Topic       string
	QueueID     int32
	QueueOffset int64
	TagsCode    int64
	Min, Max    int64
	Body        []byte
	Properties  map[string]string
	Entries     int
}

func dumpJSON(t *testing.T, args ...string) (lines []dumped) {
	t.Helper()
	stdout, _ := mqadmin(t, daemon.ExitOK, append([]string{"store", "dump", "--json"}, args...)...)
	for line := range strings.Lines(stdout) {
		var d dumped
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		lines = append(lines, d)
	}
	return lines
}

func TestDumpGolden(t *testing.T) {
	for _, store := range golden.Stores() {
		t.Run(store, func(t *testing.T) {
			m := golden.Manifest(t, store)
			dir := golden.Store(t, store)
			byKind := make(map[string][]dumped)
			for _, d := range dumpJSON(t, dir, "-c", goldenConfig(t), "--body") {
				byKind[d.Kind] = append(byKind[d.Kind], d)
			}
			if len(byKind["record"]) != len(m.Messages) {
				t.Fatalf("%d records, want %d", len(byKind["record"]), len(m.Messages))
			}
			for i, want := range m.Messages {
				got := byKind["record"][i]
				if got.Offset != want.Offset || got.Size != want.Size || got.Topic != want.Topic || got.QueueID != want.QueueID ||
					got.QueueOffset != want.QueueOffset || len(got.Body) != want.BodySize || len(got.Properties) != len(want.Properties) {
					t.Fatalf("record %d is %+v, want %+v", i, got, want)
				}
			}
			if end := byKind["end"]; len(end) != 1 || end[0].Offset != m.CommitLog.End {
				t.Errorf("the log ends at %+v, want %d", end, m.CommitLog.End)
			}
			entries := 0
			for _, f := range m.Index {
				entries += len(f.Items)
			}
			if len(byKind["index"]) != len(m.Index) || len(byKind["entry"]) != entries || len(byKind["checkpoint"]) != 1 {
				t.Errorf("%d index files with %d entries, want %d with %d", len(byKind["index"]), len(byKind["entry"]), len(m.Index), entries)
			}
			units := make(map[int64]dumped)
			for _, u := range byKind["unit"] {
				if !strings.HasPrefix(u.Topic, "%LMQ%") { // light queues point to messages of other topics
					units[u.Offset] = u
				}
			}
			for _, want := range m.Messages {
				if u := units[want.Offset]; want.CqTagsCode != nil && (u.TagsCode != *want.CqTagsCode || u.Topic != want.Topic || u.QueueOffset != want.QueueOffset) {
					t.Errorf("the entry of message %d is %+v, want %+v", want.Offset, u, want)
				}
			}
		})
	}
}

func TestDumpChooses(t *testing.T) {
	dir, config := golden.Store(t, golden.Clean), goldenConfig(t)
	m := golden.Manifest(t, golden.Clean)
	lines := dumpJSON(t, dir, "-c", config, "-only", "records", "-topic", "GT_one", "-max", "3", "-from", "3314124")
	records := 0
	for _, d := range lines {
		switch d.Kind {
		case "record":
			records++
			if d.Topic != "GT_one" || d.Offset < 3314124 || d.Body != nil {
				t.Errorf("got %+v", d)
			}
		case "file":
		default:
			t.Errorf("got a line about %s", d.Kind)
		}
	}
	if records != 3 {
		t.Errorf("%d records", records)
	}
	queues := 0
	for _, d := range dumpJSON(t, dir, "-c", config, "-only", "queues", "-topic", "GT_basic") {
		if d.Topic != "GT_basic" {
			t.Errorf("got %+v", d)
		}
		if d.Kind == "queue" {
			queues++
		}
	}
	if want := len(m.ConsumeQueues["GT_basic"]); queues != want {
		t.Errorf("%d queues, want %d", queues, want)
	}
	text, _ := mqadmin(t, daemon.ExitOK, "store", "dump", dir, "-c", config, "-only", "records", "-max", "1", "-topic", "GT_one", "-body")
	if !strings.Contains(text, "record offset=") || !strings.Contains(text, " KEYS=one-0") || !strings.Contains(text, `body="one 0"`) {
		t.Errorf("as text:\n%s", text)
	}
}

func TestDumpNamesWhatItCannotRead(t *testing.T) {
	dir := golden.Store(t, golden.Clean)
	if _, stderr := mqadmin(t, daemon.ExitFailed, "store", "dump", dir); !strings.Contains(stderr, "index: ") || !strings.Contains(stderr, "maxIndexNum") {
		t.Errorf("said %s", stderr)
	}
}

func TestStoreInUse(t *testing.T) {
	dir := t.TempDir()
	store, err := engine.Open(dir, &engine.Options{CommitLogFileSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"check", "dump"} {
		if _, stderr := mqadmin(t, daemon.ExitFailed, "store", tool, dir); !strings.Contains(stderr, "in use") {
			t.Errorf("%s said %s", tool, stderr)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if stdout, _ := mqadmin(t, daemon.ExitOK, "store", "check", dir); !strings.Contains(stdout, "no problem found") {
		t.Errorf("empty store:\n%s", stdout)
	}
	mqadmin(t, daemon.ExitOK, "store", "dump", dir)
}
