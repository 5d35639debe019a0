package broker

import (
	"bytes"
	"sync"

	"github.com/rocketlog/rocketlog/broker/filter"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// expressionsMax bounds the cache of expressions; it starts again when it is full. expressionKeyMax is the length of an
// expression that is worth its place there.
const (
	expressionsMax   = 4096
	expressionKeyMax = 4096
)

// expressionCache compiles what requests ask for that carry their subscription with them, once for all that carry the same.
type expressionCache struct {
	mu struct {
		sync.RWMutex
		table map[string]*subscription // by type and text
	}
}

func newExpressionCache() *expressionCache {
	c := &expressionCache{}
	c.mu.table = map[string]*subscription{}
	return c
}

// get returns the subscription to an expression of a type. Whether it can be evaluated is for the caller to ask, of
// [subscription.evaluable]. Once they are known it allocates nothing for tags.
func (c *expressionCache) get(kind, text []byte) *subscription {
	key := text
	if len(kind) > 0 && string(kind) != filter.TypeTag {
		key = append(append(bytes.Clone(kind), 0), text...)
	}
	c.mu.RLock()
	s := c.mu.table[string(key)]
	c.mu.RUnlock()
	if s != nil {
		return s
	}
	s = newSubscription(protocol.SubscriptionData{SubString: string(text), ExpressionType: string(kind)})
	s.inRequest = true
	if s.filter == nil || len(key) > expressionKeyMax {
		return s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.mu.table) >= expressionsMax {
		clear(c.mu.table)
	}
	c.mu.table[string(key)] = s
	return s
}

// evaluable refuses a subscription whose type is switched off, or that cannot be compiled.
func (s *subscription) evaluable(o *Options) error {
	switch kind := s.data.ExpressionType; {
	case !filter.IsTag(kind) && !o.EnablePropertyFilter:
		return refuse(protocol.SystemError, "The broker does not support consumer to filter message by %s", kind)
	case s.filter == nil && (s.inRequest || filter.IsTag(kind)):
		return refuse(protocol.SubscriptionParseFailed, "parse the consumer's subscription failed: %v", s.fault)
	case s.filter == nil:
		return refuse(protocol.FilterDataNotExist, "The broker's consumer filter data is not exist! Your expression may be wrong: %v", s.fault)
	}
	return nil
}
