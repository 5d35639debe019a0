package clients

import (
	"strings"
	"sync"
	"time"
)

// Producers knows the producers that are online (Java's ProducerManager).
type Producers struct {
	now func() time.Time

	mu struct {
		sync.RWMutex
		groups map[string]map[Channel]*Client
		byID   map[string]Client // of each id the last that registered
	}
}

// NewProducers returns an empty table.
func NewProducers(now func() time.Time) *Producers {
	t := &Producers{now: now}
	t.mu.groups = map[string]map[Channel]*Client{}
	t.mu.byID = map[string]Client{}
	return t
}

// WithID returns the producer of that client id.
func (t *Producers) WithID(id string) (c Client, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	c, ok = t.mu.byID[id]
	return c, ok
}

// Register notes a heartbeat of a producer.
func (t *Producers) Register(group string, c Client) {
	c.LastSeen = t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.mu.groups[group]
	if g == nil {
		g = map[Channel]*Client{}
		t.mu.groups[strings.Clone(group)] = g
	}
	g[c.Channel] = &c
	t.mu.byID[c.ID] = c
}

// Unregister takes the channel out of the group.
func (t *Producers) Unregister(group string, ch Channel) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaveLocked(group, ch)
}

// Closed takes the channel out of all its groups.
func (t *Producers) Closed(ch Channel) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for group := range t.mu.groups {
		t.leaveLocked(group, ch)
	}
}

func (t *Producers) leaveLocked(group string, ch Channel) {
	g := t.mu.groups[group]
	c := g[ch]
	delete(g, ch)
	if g != nil && len(g) == 0 {
		delete(t.mu.groups, group)
	}
	if c != nil {
		t.forgetIDLocked(c)
	}
}

// forgetIDLocked takes out the id of a client that left a group, unless its connection is in another.
func (t *Producers) forgetIDLocked(c *Client) {
	if t.mu.byID[c.ID].Channel != c.Channel {
		return
	}
	for _, g := range t.mu.groups {
		if g[c.Channel] != nil {
			return
		}
	}
	delete(t.mu.byID, c.ID)
}

// Expire takes out the clients that have been silent for too long, and returns their channels.
func (t *Producers) Expire() (silent []Channel) {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for group, g := range t.mu.groups {
		for ch, c := range g {
			if now.Sub(c.LastSeen) > clientLife {
				silent = append(silent, ch)
				t.leaveLocked(group, ch)
			}
		}
	}
	return silent
}

// Snapshot returns the members of the group, or nil when it is not online.
func (t *Producers) Snapshot(group string) []Client {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if g := t.mu.groups[group]; g != nil {
		return sortedClients(g)
	}
	return nil
}

// All returns the members of every group.
func (t *Producers) All() map[string][]Client {
	t.mu.RLock()
	defer t.mu.RUnlock()
	list := make(map[string][]Client, len(t.mu.groups))
	for group, g := range t.mu.groups {
		list[group] = sortedClients(g)
	}
	return list
}
