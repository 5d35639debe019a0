package broker

import (
	"bytes"
	"math"
	"strconv"

	"github.com/rocketlog/rocketlog/message"
)

// propertyFacts are what a send is decided by, found in one pass over the client's properties.
type propertyFacts struct {
	uniqueKey   []byte // borrowed
	delayLevel  int32
	timer       bool // asks for a time that is no delay level's
	transaction bool
	priority    int32 // one more than it is; 0: none
	delayed     bool  // asks for a delay, whatever it is
	sharded     bool  // belongs to an order
	reserved    bool  // there is a property that is the broker's to set, or one that a reader would pass over
}

func (f *propertyFacts) scan(properties []byte) {
	*f = propertyFacts{}
	for len(properties) > 0 {
		piece := properties
		if end := bytes.IndexByte(properties, 0x02); end >= 0 {
			piece, properties = properties[:end], properties[end+1:]
		} else {
			properties = nil
		}
		at := bytes.IndexByte(piece, 0x01)
		if at <= 0 || at+1 >= len(piece) {
			f.reserved = true
			continue
		}
		f.note(piece[:at], piece[at+1:])
	}
}

func (f *propertyFacts) note(name, value []byte) {
	switch name[0] {
	case 'U':
		if string(name) == message.PropertyUniqueKey {
			f.uniqueKey = value
		}
	case 'D':
		if string(name) == message.PropertyDelayLevel {
			n, err := strconv.ParseInt(string(value), 10, 32)
			f.delayLevel, f.delayed = int32(n), true
			if err != nil {
				f.delayLevel = 0
			}
		}
	case 'T':
		switch string(name) {
		case message.PropertyTimerDelaySeconds, message.PropertyTimerDelayMilliseconds, message.PropertyTimerDeliverTime:
			f.timer, f.delayed = true, true
		case message.PropertyTransactionPrepared:
			f.transaction = bytes.EqualFold(value, []byte("true"))
		case message.PropertyTraceOn:
			f.reserved = true
		}
	case '_':
		switch string(name) {
		case message.PropertyPriority:
			if n, err := strconv.ParseInt(string(value), 10, 32); err == nil && n >= 0 {
				f.priority = int32(min(n, math.MaxInt32-1)) + 1
			}
		case message.PropertyShardingKey:
			f.sharded = true
		}
	case 'M', 'C', 'P':
		f.reserved = f.reserved || reservedProperty(name)
	}
}

// reservedProperty reports whether a property is not the client's to set.
func reservedProperty(name []byte) bool {
	switch string(name) {
	case message.PropertyRegion, message.PropertyTraceOn, message.PropertyCluster, message.PropertyPopCheckPoint:
		return true
	}
	return false
}
