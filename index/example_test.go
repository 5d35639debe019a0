package index_test

import (
	"fmt"
	"math"

	"github.com/rocketlog/rocketlog/index"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

func Example() {
	fs := vfs.NewCrashFS(1)
	opts := &index.Options{Slots: 100, Entries: 400}
	x, err := index.Open(fs, "/store/index", opts)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := x.Recover(index.State{}, true, 0, 0); err != nil {
		fmt.Println(err)
		return
	}
	put := func(uniqKey, keys string, off message.PhyOffset) {
		var k index.Keys
		x.Prepare(&k, []byte("Orders"), []byte(uniqKey), []byte(keys), nil)
		_ = x.Put(&k, off, 1_700_000_000_000)
		x.Settle() // of as many messages together as one likes
	}
	put("U1", "order-1 alice", 0)
	state, err := x.Sync() // to be kept: what is on disk from now on
	if err != nil {
		fmt.Println(err)
		return
	}
	put("U2", "order-2 alice", 700)
	res, _ := x.Query("Orders", "alice", 32, 0, math.MaxInt64)
	fmt.Println("found at", res.Offsets)

	// The power goes. The log is dispatched again from where Recover says.
	x, _ = index.Open(fs.Crash(2), "/store/index", opts)
	from, err := x.Recover(state, false, 0, 1400)
	fmt.Println("dispatch from", from, err)
	put("U1", "order-1 alice", 0)
	put("U2", "order-2 alice", 700)
	res, _ = x.Query("Orders", "alice", 32, 0, math.MaxInt64)
	fmt.Println("found at", res.Offsets)
	// Output:
	// found at [700 0]
	// dispatch from 0 <nil>
	// found at [700 0]
}
