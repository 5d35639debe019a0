package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// Times of the copying of what is not in the log.
const (
	slaveSyncInterval = 10 * time.Second // between two copies of all, as Java's with a controller
	progressInterval  = 3 * time.Second  // between two copies of how far delayed messages are delivered, as Java's
	slaveSyncTimeout  = 5 * time.Second  // of one request
	masterLookup      = 3 * time.Second  // between registrations while the master is not known
	roleLookup        = time.Second      // between questions to the broker that is to be the master
)

// A slaveSync copies to a slave what its master has outside the log: topics, groups, request modes, consumer offsets and how
// far delayed messages are delivered (Java's SlaveSynchronize). Offsets that consumers committed here while the master was
// gone, and that are further than the master's, are given back to it.
type slaveSync struct {
	b      *Broker
	client *remoting.Client
	kicked chan struct{}
	ctx    context.Context
	stop   context.CancelFunc
	done   sync.WaitGroup

	fault  string                // what went wrong last; the run goroutine's, as all below
	topics *protocol.DataVersion // of the master's table applied last
	groups *protocol.DataVersion

	boot      string // when the master was started, as it says
	restarted bool   // it was since the last copy of its offsets
}

func newSlaveSync(b *Broker) *slaveSync {
	s := &slaveSync{b: b, client: remoting.NewClient(nil), kicked: make(chan struct{}, 1)}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

func (s *slaveSync) start() {
	s.done.Add(1)
	go s.run()
}

func (s *slaveSync) close() {
	s.stop()
	s.done.Wait()
	s.client.Close()
}

// kick has everything copied soon: the master is there, or another one.
func (s *slaveSync) kick() {
	select {
	case s.kicked <- struct{}{}:
	default:
	}
}

func (s *slaveSync) run() {
	defer s.done.Done()
	var whole time.Time // when all is to be copied next
	for {
		wait := progressInterval
		switch addr := s.b.replication.masterAddr(); {
		case addr == "":
			wait = masterLookup
			s.b.registrar.kick() // the answer may tell
		case addr == s.b.Addr():
		case time.Now().Before(whole):
			s.report(addr, s.copyProgress(addr))
		default:
			err := s.findMaster(addr)
			if err == nil {
				err = s.copy(addr)
				whole = time.Now().Add(slaveSyncInterval)
			} else {
				wait = roleLookup
			}
			s.report(addr, err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-s.ctx.Done():
			timer.Stop()
			return
		case <-s.kicked:
			whole = time.Time{}
		case <-timer.C:
		}
		timer.Stop()
	}
}

// report logs a fault when it is new.
func (s *slaveSync) report(addr string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == s.fault || s.ctx.Err() != nil {
		return
	}
	s.fault = text
	if err != nil {
		s.b.log.Warn("topics, groups and offsets cannot be copied from the master; tried again", "master", addr, "error", err)
	} else {
		s.b.log.Info("topics, groups and offsets are copied from the master", "master", addr)
	}
}

// copy copies everything. What one part lacks does not keep the others from being copied.
func (s *slaveSync) copy(addr string) error {
	return errors.Join(s.copyTopics(addr), s.copyGroups(addr), s.copyModes(addr), s.copyOffsets(addr), s.copyTimerCounts(addr), s.copyProgress(addr))
}

// ask sends a request. A master that does not know the code has nothing to copy: ok is false.
func (s *slaveSync) ask(addr string, code protocol.RequestCode, header interface{ Encode(protocol.FieldSink) }, v any) (resp *remoting.Command, ok bool, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, slaveSyncTimeout)
	defer cancel()
	req := remoting.NewRequest(code)
	if header != nil {
		header.Encode(&req.Fields)
	}
	if resp, err = s.client.Call(ctx, addr, req); err != nil {
		return nil, false, fmt.Errorf("request %d: %w", code, err)
	}
	switch resp.ResponseCode() {
	case protocol.Success:
	case protocol.RequestCodeNotSupported:
		return nil, false, nil
	default:
		return nil, false, fmt.Errorf("request %d: %w", code, &refusal{resp.ResponseCode(), resp.Remark})
	}
	if v != nil {
		if err := protocol.UnmarshalJSON(resp.Body, v); err != nil {
			return nil, false, fmt.Errorf("request %d: %w", code, err)
		}
	}
	return resp, true, nil
}

// page asks for page after page of a table. An old master gives all of it at once, and does not say how much that is.
func (s *slaveSync) page(one func(from int32, version string) (got int, total int32, next *protocol.DataVersion, err error)) error {
	version := ""
	for from := int32(0); ; {
		got, total, next, err := one(from, version)
		if err != nil || got == 0 {
			return err
		}
		if from += int32(got); from >= total {
			return nil
		}
		if next != nil {
			text, err := protocol.MarshalJSON(next)
			if err != nil {
				return err
			}
			if version != "" && version != string(text) {
				return fmt.Errorf("the master's table has changed while it was copied")
			}
			version = string(text)
		}
	}
}

func (s *slaveSync) copyTopics(addr string) error {
	table := map[string]*protocol.TopicConfig{}
	var version *protocol.DataVersion
	err := s.page(func(from int32, asked string) (int, int32, *protocol.DataVersion, error) {
		var body protocol.TopicConfigAndMappingSerializeWrapper
		h := protocol.GetAllTopicConfigRequestHeader{TopicSeq: from, MaxTopicNum: protocol.Some[int32](pageMax), DataVersion: asked}
		resp, ok, err := s.ask(addr, protocol.GetAllTopicConfig, &h, &body)
		if err != nil || !ok {
			return 0, 0, nil, err
		}
		var total protocol.GetAllTopicConfigResponseHeader
		if err := total.Decode(&resp.Fields); err != nil {
			return 0, 0, nil, err
		}
		for name, c := range body.TopicConfigTable {
			c.TopicName = name
			table[name] = &c
		}
		version = &body.DataVersion
		return len(body.TopicConfigTable), total.TotalTopicNum.Or(0), version, nil
	})
	if err != nil || len(table) == 0 || version == nil || s.topics != nil && *s.topics == *version {
		return err
	}
	t, now := s.b.topics, s.b.now().UnixMilli()
	if err := t.Update(slices.Collect(maps.Values(table)), now); err != nil {
		return err
	}
	var gone []string
	for _, own := range t.List() {
		if table[own.Name] == nil && !t.IsSystem(own.Name) {
			gone = append(gone, own.Name)
		}
	}
	if _, err := t.Remove(gone, now); err != nil {
		return err
	}
	s.topics = version
	return nil
}

func (s *slaveSync) copyGroups(addr string) error {
	table := map[string]*metadata.GroupEntry{}
	forbidden := map[string]map[string]int32{}
	var version *protocol.DataVersion
	err := s.page(func(from int32, asked string) (int, int32, *protocol.DataVersion, error) {
		var body metadata.GroupsFile
		h := protocol.GetAllSubscriptionGroupRequestHeader{GroupSeq: from, MaxGroupNum: protocol.Some[int32](pageMax), DataVersion: asked}
		resp, ok, err := s.ask(addr, protocol.GetAllSubscriptionGroupConfig, &h, &body)
		if err != nil || !ok {
			return 0, 0, nil, err
		}
		var total protocol.GetAllSubscriptionGroupResponseHeader
		if _, there := resp.Fields.Get("totalGroupNum"); there {
			if err := total.Decode(&resp.Fields); err != nil {
				return 0, 0, nil, err
			}
		}
		for name, c := range body.SubscriptionGroupTable {
			c.GroupName = name
			table[name] = c
		}
		maps.Copy(forbidden, body.ForbiddenTable)
		version = &body.DataVersion
		return len(body.SubscriptionGroupTable), total.TotalGroupNum, version, nil
	})
	if err != nil || len(table) == 0 || version == nil || s.groups != nil && *s.groups == *version {
		return err
	}
	if err := s.b.groups.Replace(table, forbidden, s.b.now().UnixMilli()); err != nil {
		return err
	}
	s.groups = version
	return nil
}

func (s *slaveSync) copyModes(addr string) error {
	var body protocol.MessageRequestModeSerializeWrapper
	if _, ok, err := s.ask(addr, protocol.GetAllMessageRequestMode, nil, &body); err != nil || !ok {
		return err
	}
	return s.b.assigner.replace(&body)
}

func (s *slaveSync) copyOffsets(addr string) error {
	var body metadata.OffsetsFile
	if _, ok, err := s.ask(addr, protocol.GetAllConsumerOffset, nil, &body); err != nil || !ok {
		return err
	}
	body.Spread()
	reached, err := s.reached(addr)
	if err != nil {
		return err
	}
	if !reached {
		maps.DeleteFunc(body.OffsetTable, func(key string, _ map[int32]int64) bool { return s.isProgress(key) })
	}
	restarted := s.restarted
	s.restarted = false
	// What the master itself has done it knows best.
	keep := func(key string) bool { return restarted && !s.isProgress(key) }
	for _, own := range s.b.offsets.Merge(&body, keep) {
		h := protocol.UpdateConsumerOffsetRequestHeader{Topic: own.Topic, ConsumerGroup: own.Group, QueueID: own.Queue, CommitOffset: own.Offset}
		var refused *refusal
		switch _, _, err := s.ask(addr, protocol.UpdateConsumerOffset, &h, nil); {
		case errors.As(err, &refused): // the master knows the group or the topic no more
			s.b.offsets.Disown(own)
		case err != nil:
			return err
		}
	}
	return nil
}
