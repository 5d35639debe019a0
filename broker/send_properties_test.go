package broker

import (
	"fmt"
	"testing"

	"github.com/rocketlog/rocketlog/message"
)

func TestPropertyFacts(t *testing.T) {
	p := func(pairs ...string) (p message.Properties) {
		for i := 0; i < len(pairs); i += 2 {
			p = message.AppendProperty(p, pairs[i], pairs[i+1])
		}
		return p
	}
	for _, c := range []struct {
		properties message.Properties
		want       propertyFacts
	}{
		{nil, propertyFacts{}},
		{p("TAGS", "A", "UNIQ_KEY", "u"), propertyFacts{uniqueKey: []byte("u")}},
		{p("DELAY", "3"), propertyFacts{delayLevel: 3, delayed: true}},
		{p("DELAY", "x"), propertyFacts{delayed: true}},
		{p("TIMER_DELAY_MS", "3"), propertyFacts{timer: true, delayed: true}},
		{p("_SYS_MSG_PRIORITY_", "0"), propertyFacts{priority: 1}},
		{p("_SYS_MSG_PRIORITY_", "2147483647"), propertyFacts{priority: 1<<31 - 1}},
		{p("_SYS_MSG_PRIORITY_", "-1"), propertyFacts{}},
		{p("_SYS_MSG_PRIORITY_", "high"), propertyFacts{}},
		{p("__SHARDINGKEY", "a"), propertyFacts{sharded: true}},
		{p("TRAN_MSG", "TRUE"), propertyFacts{transaction: true}},
		{p("TRAN_MSG", "false"), propertyFacts{}},
		{p("CLUSTER", "mine"), propertyFacts{reserved: true}},
		{p("POP_CK", "1 2 3"), propertyFacts{reserved: true}},
		{p("CLUSTERS", "mine"), propertyFacts{}},
		{message.Properties("a\x01\x02"), propertyFacts{reserved: true}},
		{message.Properties("\x02"), propertyFacts{reserved: true}},
		{message.Properties("TAGS\x01A"), propertyFacts{}},
	} {
		var got propertyFacts
		got.scan(c.properties)
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%q: %+v, want %+v", c.properties, got, c.want)
		}
	}
}
