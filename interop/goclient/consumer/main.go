// Command consumer is a first push consumer, as one would write it from
// rocketmq-client-go's documentation.
package main

import (
	"context"
	"fmt"
	"os"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func main() {
	c, err := rocketmq.NewPushConsumer(
		consumer.WithGroupName(os.Args[2]),
		// Where the name server is stands in the environment variable NAMESRV_ADDR.
		consumer.WithNsResolver(primitive.NewEnvResolver()),
	)
	if err != nil {
		panic(err)
	}
	err = c.Subscribe(os.Args[1], consumer.MessageSelector{}, func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, m := range messages {
			fmt.Printf("received %s %s\n", m.MsgId, m.Body)
		}
		return consumer.ConsumeSuccess, nil
	})
	if err != nil {
		panic(err)
	}
	if err := c.Start(); err != nil {
		panic(err)
	}
	fmt.Println("started")
	select {}
}
