package subscription

import (
	"bytes"
	"sync"

	"github.com/rocketlog/rocketlog/broker/filter"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// cacheMax bounds the cache of expressions; it starts again when it is full. cacheKeyMax is the length of an
// expression that is worth its place there.
const (
	cacheMax    = 4096
	cacheKeyMax = 4096
)

// Cache compiles what requests ask for that carry their subscription with them, once for all that carry the same.
type Cache struct {
	mu struct {
		sync.RWMutex
		table map[string]*Subscription // by type and text
	}
}

// NewCache returns an empty cache.
func NewCache() *Cache {
	c := &Cache{}
	c.mu.table = map[string]*Subscription{}
	return c
}

// Get returns the subscription to an expression of a type. Whether it can be evaluated is for the caller to
// ask. Once they are known it allocates nothing for tags.
func (c *Cache) Get(kind, text []byte) *Subscription {
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
	s = New(protocol.SubscriptionData{SubString: string(text), ExpressionType: string(kind)})
	s.InRequest = true
	if s.Filter == nil || len(key) > cacheKeyMax {
		return s
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.mu.table) >= cacheMax {
		clear(c.mu.table)
	}
	c.mu.table[string(key)] = s
	return s
}
