package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// TestFullDisk fills the file system under the store: sends are refused with
// a word about it, reads go on, the broker lives, and when there is room
// again it takes messages without being restarted.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if suite.target == harness.Target(suite.java) {
		t.Skip("the Java broker ends by SIGBUS when its sparse files meet a full disk")
	}
	place, err := harness.NewPlace(t.TempDir(), map[string]string{
		"mappedFileSizeCommitLog": fmt.Sprint(1 << 20),
		"maxHashSlotNum":          "1000",
		"maxIndexNum":             "4000",
		"defaultTopicQueueNums":   "4",
		// Nothing may be deleted to make room: the messages are to be read.
		"cleanFileForciblyEnable": "false",
	})
	if err != nil {
		t.Fatal(err)
	}
	mountSmall(t, place.Store(), 96<<20)
	c := startCluster(t, suite.target, place)
	a := newAgent(t, java55, c.NameServer(), "agent")
	p := producer(t, a, harness.Args{"retries": 0})
	const topic = "FullDisk"
	sent := send(t, a, p, harness.Args{"topic": topic, "name": "before", "count": 50, "size": 2000})

	ballast := filepath.Join(place.Store(), "ballast")
	fill(t, ballast)
	load := do(t, a, "send", harness.Args{"producer": p, "topic": topic, "name": "during", "size": 20_000})
	refused := await(t, load, "refused", 60*time.Second)
	t.Logf("refused: %s", refused.Error)
	if refused.Code == 0 {
		t.Errorf("the refusal is no answer of the broker: %s", refused.Error)
	}
	// Full for a while: every send is answered, none with an acknowledgement that does not hold.
	time.Sleep(2 * time.Second)
	stop(t, load)
	await(t, load, "done", soon)
	sent = append(sent, load.Events("sent")...)
	consumer := consume(t, a, harness.Args{"kind": "push", "group": "C_full", "topic": topic})
	settle(t, sent, 0, consumer)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	again := do(t, a, "send", harness.Args{"producer": p, "topic": topic, "name": "after", "size": 20_000, "rate": 50})
	if _, err := again.Await("sent", 60*time.Second); err != nil {
		t.Fatalf("there is room again, but sends are refused: %v", err)
	}
	stop(t, again)
	await(t, again, "done", soon)
	settle(t, append(sent, again.Events("sent")...), 0, consumer)
	select {
	case <-c.BrokerProcess().Ended():
		t.Error("the broker ended")
	default:
	}
}

// mountSmall mounts a file system of that size in memory.
func mountSmall(t *testing.T, dir string, size int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("a small file system to fill needs Linux's tmpfs")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", size), "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("mounting a small file system is not permitted here: %s", out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %s", out)
		}
	})
}

// fill writes until nothing more fits.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := 1 << 20; block >= 512; {
		if _, err := f.Write(make([]byte, block)); err != nil {
			block /= 2
		}
	}
}
