package nameserver_test

import (
	"fmt"
	"time"

	"github.com/rocketlog/rocketlog/nameserver"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// A table is told what happened and when, and answers what is known.
func ExampleRouteTable() {
	table := nameserver.NewRouteTable(nameserver.TableOptions{})
	start := time.Date(2024, 1, 1, 12, 0, 0, 0, time.UTC)

	body := &protocol.RegisterBrokerBody{}
	body.TopicConfigSerializeWrapper.TopicConfigTable = map[string]protocol.TopicConfig{
		"Orders": {TopicName: "Orders", ReadQueueNums: 4, WriteQueueNums: 4, Perm: protocol.PermRead | protocol.PermWrite},
		"TBW102": {TopicName: "TBW102", ReadQueueNums: 8, WriteQueueNums: 8, Perm: protocol.PermRead},
	}
	_, err := table.Register(start, &nameserver.Registration{
		Cluster: "DefaultCluster", BrokerName: "broker-a", Addr: "10.0.0.1:10911", HeartbeatTimeout: 10 * time.Second, Body: body,
	})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(table.Route("Orders").BrokerDatas[0].BrokerAddrs)

	table.Heartbeat(start.Add(8*time.Second), "DefaultCluster", "10.0.0.1:10911")
	fmt.Println(len(table.Expire(start.Add(15*time.Second)).Brokers), "brokers expired")
	fmt.Println(len(table.Expire(start.Add(20*time.Second)).Brokers), "brokers expired")
	fmt.Println(table.Route("Orders"))
	// Output:
	// map[0:10.0.0.1:10911]
	// 0 brokers expired
	// 1 brokers expired
	// <nil>
}
