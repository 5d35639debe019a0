package message_test

import (
	"fmt"
	"net/netip"

	"github.com/rocketlog/rocketlog/message"
)

func ExampleEncodeRecord() {
	m := message.Message{
		Topic:         "TopicTest",
		BornTimestamp: 1700000000000,
		BornHost:      netip.MustParseAddrPort("127.0.0.1:1234"),
		StoreHost:     netip.MustParseAddrPort("192.168.0.1:10911"),
		Body:          []byte("hello"),
		Properties:    message.AppendProperty(nil, message.PropertyTags, "TagA"),
		PhyOffset:     1234,
	}
	record := make([]byte, m.RecordSize())
	message.EncodeRecord(record, &m, message.BodyCRC(m.Body))

	r, err := message.ParseRecord(record)
	if err != nil {
		fmt.Println(err)
		return
	}
	tags, _ := r.Properties().Get(message.PropertyTags)
	fmt.Printf("%s %s %s %v\n", r.Topic(), r.Body(), tags, r.VerifyBody())
	fmt.Printf("%s\n", message.AppendOffsetID(nil, r.StoreHost(), r.PhyOffset()))
	// Output:
	// TopicTest hello TagA true
	// C0A8000100002A9F00000000000004D2
}

func ExampleProperties_All() {
	p := message.Properties("KEYS\x01order-1 order-2\x02TAGS\x01TagA\x02")
	for name, value := range p.Set("TAGS", "TagB").All() {
		fmt.Printf("%s = %s\n", name, value)
	}
	// Output:
	// KEYS = order-1 order-2
	// TAGS = TagB
}
