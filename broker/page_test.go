package broker

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// A log file that is cut under a broker costs the pulls of what was cut off:
// they get an error, on a connection that goes on and a broker that lives.
func TestPullOfCutFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file cannot be cut")
	}
	dir := t.TempDir()
	o := testOptions(dir)
	s := startWith(t, o)
	for range 40 {
		s.put("T", 0, strings.Repeat("x", 2000)) // more than is copied behind a header
	}
	s.put("T", 1, "small")
	s.put("T", 2, "after")
	for queue, n := range []int64{40, 1, 1} {
		s.dispatched("T", int32(queue), n)
	}
	s.heartbeat(s.client, "c", "G", protocol.Clustering, 1, "T", "*")
	if got := len(s.pull(pullHeader("G", "T", 0, 0)).records); got != 32 {
		t.Fatalf("%d messages before", got)
	}
	name := filepath.Join(dir, "commitlog", "00000000000000000000")
	was, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 0); err != nil {
		t.Fatal(err)
	}
	for queue := range int32(3) {
		resp := s.pull(pullHeader("G", "T", queue, 0))
		s.wantCode(resp.Command, protocol.SystemError)
		if !strings.Contains(resp.Remark, name) {
			t.Errorf("queue %d: %s", queue, resp.Remark)
		}
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt(was, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := len(s.pull(pullHeader("G", "T", 0, 0)).records); got != 32 {
		t.Errorf("%d messages after it was mended", got)
	}
}
