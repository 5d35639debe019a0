package consumequeue_test

import (
	"fmt"

	"github.com/rocketlog/rocketlog/consumequeue"
	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

func Example() {
	fs := vfs.NewCrashFS(1) // vfs.OS in earnest
	set, err := consumequeue.Open(fs, "store/consumequeue", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer set.Close()
	if err := set.Recover(0, 0, 0, true); err != nil {
		fmt.Println(err)
		return
	}
	q, err := set.QueueOrCreate("TopicTest", 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	for off := range message.QueueOffset(3) {
		u := consumequeue.Unit{Offset: message.PhyOffset(200 * off), Size: 200, TagsCode: message.TagsCode([]byte("TagA"))}
		if err := q.Append(off, u); err != nil {
			fmt.Println(err)
			return
		}
	}
	if err := set.Sync(0); err != nil {
		fmt.Println(err)
		return
	}
	units := make([]consumequeue.Unit, 32)
	n, err := q.Read(1, units)
	fmt.Println(units[:n], err)
	// Output: [{200 200 2598919} {400 200 2598919}] <nil>
}
