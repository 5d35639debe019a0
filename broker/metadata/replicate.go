package metadata

import (
	"strings"
)

// A Offset is how far a group has consumed a queue.
type Offset struct {
	Topic, Group string
	Queue        int32
	Offset       int64
}

// Merge takes over the master's offsets, and their version: a Java master that comes back believes a slave whose version is
// no older than its own. It returns those that consumers committed here and that are further: they stay, and the master
// lacks them. Before the master is asked again it either has them or has moved on. So do those that keep names, by
// topic@group: a master that was restarted may have lost the newest of its offsets.
func (t *Offsets) Merge(file *OffsetsFile, keep func(key string) bool) (ahead []Offset) {
	t.mu.Lock()
	changed := t.mu.version != file.DataVersion
	t.mu.version = file.DataVersion
	for key, queues := range file.OffsetTable {
		topic, group, ok := strings.Cut(key, GroupSeparator)
		if !ok {
			continue
		}
		e := t.entry(topic, group)
		for queue, offset := range queues {
			own, had := e.committed[queue]
			if had && (e.local[queue] || keep(key)) && own > offset {
				e.own(queue) // until the master has it
				ahead = append(ahead, Offset{topic, group, queue, own})
				continue
			}
			delete(e.local, queue)
			if !had || own != offset {
				e.committed[queue] = offset
				changed = true
			}
		}
	}
	// So are those of queues that the master has no offset of.
	for key, e := range t.mu.table {
		for queue := range e.local {
			if _, there := file.OffsetTable[key.topic+GroupSeparator+key.group][queue]; !there {
				ahead = append(ahead, Offset{key.topic, key.group, queue, e.committed[queue]})
			}
		}
	}
	if !changed {
		t.mu.Unlock()
		return ahead
	}
	t.touchLocked()
	return ahead
}

// Disown lets the master's offset, or its having none, count again.
func (t *Offsets) Disown(own Offset) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.entry(own.Topic, own.Group).local, own.Queue)
}

// Advance moves offsets to those of a slave that are further, as far as the queues go: consumers went on there, and what the
// slave did of the broker's own work is noted by such too.
func (t *Offsets) Advance(table map[string]map[int32]int64, end func(topic string, queue int32) int64) {
	for key, queues := range table {
		topic, group, ok := strings.Cut(key, GroupSeparator)
		if !ok {
			continue
		}
		for queue, offset := range queues {
			own, had := t.Committed(topic, group, queue)
			if last := end(topic, queue); last > 0 && (!had || min(offset, last) > own) {
				t.Commit(topic, group, queue, min(offset, last))
			}
		}
	}
}
