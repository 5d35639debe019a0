package properties_test

import (
	"fmt"

	"github.com/rocketlog/rocketlog/internal/properties"
)

func ExampleLoad() {
	var options struct {
		BrokerName string `property:"brokerName"`
		ListenPort int    `property:"listenPort"`
	}
	const file = "# a broker\nbrokerName = broker-a\nlistenport = 10911\nuseEpollNativeSelector = true\n"
	warnings, err := properties.Load("broker.conf", []byte(file), &options)
	fmt.Printf("%+v %v\n", options, err)
	for _, w := range warnings {
		fmt.Println(w)
	}
	// Output:
	// {BrokerName:broker-a ListenPort:0} <nil>
	// broker.conf:3: listenport: is unknown and has no effect; did you mean listenPort?
	// broker.conf:4: useEpollNativeSelector: is a key of RocketMQ without effect here
}
