package commitlog

import (
	"fmt"
	"net/netip"
	"sync"
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

func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 8} {
		b.Run(fmt.Sprintf("flush=async/writers=%d", writers), func(b *testing.B) {
			l := openEmpty(b, Options{FileSize: 1 << 30})
			b.ReportAllocs()
			b.SetBytes(int64(sample(1024).RecordSize()))
			b.ResetTimer()
			var wg sync.WaitGroup
			for range writers {
				wg.Add(1)
				go func() {
					defer wg.Done()
					var seq Sequence
					m := sample(1024)
					for range b.N / writers {
						if _, err := l.Append(m, &seq); err != nil {
							b.Error(err)
							return
						}
						if l.MaxOffset() > 4<<30 {
							l.RemoveBefore(l.MaxOffset()-2<<30, 10)
						}
					}
				}()
			}
			wg.Wait()
		})
	}
	for _, writers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("flush=sync/writers=%d", writers), func(b *testing.B) {
			l := openEmpty(b, Options{SyncFlush: true})
			b.ReportAllocs()
			var wg sync.WaitGroup
			for range writers {
				wg.Add(1)
				go func() {
					defer wg.Done()
					var seq Sequence
					m := sample(1024)
					for range b.N / writers {
						res, err := l.Append(m, &seq)
						if err == nil {
							err = l.Sync(res.End)
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				}()
			}
			wg.Wait()
		})
	}
}
