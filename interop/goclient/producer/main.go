// Command producer is a first producer, as one would write it from
// rocketmq-client-go's documentation.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func main() {
	p, err := rocketmq.NewProducer(
		producer.WithNsResolver(primitive.NewPassthroughResolver([]string{os.Args[1]})),
		producer.WithRetry(2),
	)
	if err != nil {
		panic(err)
	}
	if err := p.Start(); err != nil {
		panic(err)
	}
	count, _ := strconv.Atoi(os.Args[3])
	for i := range count {
		message := primitive.NewMessage(os.Args[2], []byte("Hello RocketMQ "+strconv.Itoa(i)))
		result, err := p.SendSync(context.Background(), message)
		if err != nil {
			panic(err)
		}
		fmt.Printf("sent %d %d %s\n", i, result.Status, result.MsgID)
	}
	if err := p.Shutdown(); err != nil {
		panic(err)
	}
}
