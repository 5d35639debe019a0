package runner

import (
	"fmt"
	"os"
	"time"
)

// stolen is for how long the host of a virtual machine has kept its processors from it, zero where that is not told. A
// host that grants so much of each tenth of a second stops both processors for the rest of it, and each put with them.
func stolen() time.Duration {
	const tick = 10 * time.Millisecond // USER_HZ
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	var user, nice, system, idle, iowait, irq, softirq, steal int64
	if _, err := fmt.Sscanf(string(stat), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal); err != nil {
		return 0
	}
	return time.Duration(steal) * tick
}
