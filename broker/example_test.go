package broker_test

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/rocketlog/rocketlog/broker"
)

// A broker on any free port, with its data in a folder of its own, is opened and closed.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "broker")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	opts := broker.DefaultOptions()
	opts.BrokerName, opts.BrokerIP1, opts.BindAddress, opts.ListenPort = "broker-a", "127.0.0.1", "127.0.0.1", -1
	opts.StorePathRootDir = dir
	opts.Logger = slog.New(slog.DiscardHandler)

	b, err := broker.Open(opts)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(b.Metrics().Puts, "messages")
	fmt.Println(b.Close())
	// Output:
	// 0 messages
	// <nil>
}
