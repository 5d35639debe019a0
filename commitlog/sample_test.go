package commitlog

import (
	"net/netip"
	"testing"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// sample returns a message of n bytes with tags, key and unique key.
func sample(n int) *message.Message {
	host := netip.MustParseAddrPort("127.0.0.1:10911")
	return &message.Message{
		Topic: "TopicTest", QueueID: 3, BornHost: host, StoreHost: host, BornTimestamp: 1700000000000,
		Body:       make([]byte, n),
		Properties: message.Properties("KEYS\x01k1\x02UNIQ_KEY\x017F00000100002A9F0000000000000001\x02TAGS\x01TagA\x02"),
	}
}

func openEmpty(tb testing.TB, opts Options) *CommitLog {
	tb.Helper()
	l, err := Open(vfs.OS, tb.TempDir(), &opts)
	if err != nil {
		tb.Fatal(err)
	}
	if err := l.Truncate(l.MaxOffset(), l.MaxOffset(), false); err != nil {
		tb.Fatal(err)
	}
	l.Start()
	tb.Cleanup(func() { l.Close() })
	return l
}
