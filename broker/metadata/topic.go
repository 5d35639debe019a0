package metadata

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/broker/stats"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// A Topic is one topic of this broker. Its identity is kept for as long as the topic exists, so that handlers may hold
// its name (one string for all messages) and its counters.
type Topic struct {
	Name string
	Puts stats.Traffic

	// Light says that the topic is a light queue's, made for one request.
	Light bool
	// Static says that its queues are numbered by a mapping of Java's brokers, which is not followed here.
	Static bool

	current   atomic.Pointer[protocol.TopicConfig] // never changed in place
	appending atomic.Int64                         // puts between Enter and Leave
	deleted   atomic.Bool
}

// Enter begins a put to the topic, unless it is deleted; Leave ends it, once the store has given the message its place.
// A deletion waits for those between, since the store must not see both at once.
func (t *Topic) Enter() bool {
	t.appending.Add(1)
	if t.deleted.Load() {
		t.appending.Add(-1)
		return false
	}
	return true
}

// Leave ends a put.
func (t *Topic) Leave() { t.appending.Add(-1) }

// errStillInUse says that a topic is not deleted because puts to it do not end.
var errStillInUse = errors.New("messages are still being put to it")

// Retire lets no further put begin and waits for those under way.
func (t *Topic) Retire(patience time.Duration) error {
	t.deleted.Store(true)
	for wait := time.Duration(0); t.appending.Load() > 0; wait += time.Millisecond {
		if wait > patience {
			return fmt.Errorf("topic %s: %w", t.Name, errStillInUse)
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// Config is how the topic is just now. It is not to be changed.
func (t *Topic) Config() *protocol.TopicConfig { return t.current.Load() }

// Readable tells whether consumers may read it.
func (t *Topic) Readable() bool { return t.Config().Perm&PermRead != 0 && !t.Static }

// Writeable tells whether messages may be put to it.
func (t *Topic) Writeable() bool { return t.Config().Perm&PermWrite != 0 && !t.Static }

// NewTopicConfig is a topic of so many queues that all may read and write.
func NewTopicConfig(name string, queues int32) *protocol.TopicConfig {
	return &protocol.TopicConfig{
		TopicName:       name,
		ReadQueueNums:   queues,
		WriteQueueNums:  queues,
		Perm:            PermRead | PermWrite,
		TopicFilterType: protocol.FilterSingleTag,
	}
}

// newLightTopic makes the topic of a light queue, as Java's LmqTopicConfigManager does: no table has it, no name server is
// told of it.
func newLightTopic(name string) *Topic {
	e := &Topic{Name: strings.Clone(name), Light: true}
	e.current.Store(NewTopicConfig(e.Name, 1))
	return e
}
