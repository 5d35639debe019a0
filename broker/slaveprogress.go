package broker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/schedule"
	"github.com/rocketlog/rocketlog/engine/timer"
	"github.com/rocketlog/rocketlog/message"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// Progress says how far a service of the master is: what it has done lies in the log, behind what it was done for. A slave
// may believe it only when its log has what was done, else it would pass that over when it is made a master. Java's slave
// believes it at once.

// reachPatience bounds how long a copy of progress waits for the log. A slave that is further behind copies none.
const reachPatience = time.Second

// reachPoll is the time between two looks at the log's end meanwhile.
const reachPoll = 5 * time.Millisecond

// The runtime information that says where a broker's log ends, and when it was started.
const (
	commitLogMaxOffset = "commitLogMaxOffset"
	bootTimestamp      = "bootTimestamp"
)

// reached waits until the log has what the master's has at the moment, and reports whether it came to that. It notes
// whether the master was restarted.
func (s *slaveSync) reached(addr string) (bool, error) {
	var info protocol.KVTable
	if _, ok, err := s.ask(addr, protocol.GetBrokerRuntimeInfo, nil, &info); err != nil || !ok {
		return false, err
	}
	end, err := strconv.ParseInt(info.Table[commitLogMaxOffset], 10, 64)
	if err != nil {
		return false, fmt.Errorf("the master does not say where its log ends: %w", err)
	}
	if boot := info.Table[bootTimestamp]; boot != s.boot {
		s.restarted = s.restarted || s.boot != ""
		s.boot = boot
	}
	deadline := time.NewTimer(reachPatience)
	defer deadline.Stop()
	poll := time.NewTicker(reachPoll)
	defer poll.Stop()
	for int64(s.b.store.MaxPhyOffset()) < end {
		select {
		case <-s.ctx.Done():
			return false, nil
		case <-deadline.C:
			return false, nil
		case <-poll.C:
		}
	}
	return true, nil
}

// isProgress tells whether the offsets of a topic@group say how far the master's own services are.
func (s *slaveSync) isProgress(key string) bool {
	topic, group, _ := strings.Cut(key, metadata.GroupSeparator)
	return group == transactionGroup && (topic == message.HalfTopic || topic == message.OpHalfTopic) ||
		group == reviveGroup && topic == s.b.popper.log.topic
}

// copyProgress copies how far delayed messages and timers are delivered.
func (s *slaveSync) copyProgress(addr string) error {
	var delays schedule.OffsetsFile
	_, hasDelays, delaysErr := s.ask(addr, protocol.GetAllDelayOffset, nil, &delays)
	check, timerErr := s.timerCheckpoint(addr)
	if err := errors.Join(delaysErr, timerErr); err != nil || !hasDelays && check == nil {
		return err
	}
	if ok, err := s.reached(addr); err != nil || !ok {
		return err
	}
	if hasDelays {
		s.b.schedule.TakeOver(&delays)
	}
	if own := s.b.timers.timer.Load(); own != nil && check != nil {
		own.Follow(*check)
	}
	return nil
}

// timerCheckpoint asks how far the master's timers are delivered. It is nil when the master has no timers.
func (s *slaveSync) timerCheckpoint(addr string) (*timer.Checkpoint, error) {
	resp, ok, err := s.ask(addr, protocol.GetTimerCheckPoint, nil, nil)
	if err != nil || !ok {
		return nil, noTimers(err)
	}
	check, err := timer.ParseCheckpoint(resp.Body)
	if err != nil {
		return nil, err
	}
	return &check, nil
}

// noTimers forgets the refusal of a master that has no timers.
func noTimers(err error) error {
	var refused *refusal
	if errors.As(err, &refused) && refused.code == protocol.SystemError {
		return nil
	}
	return err
}

// copyTimerCounts copies how many messages wait for each topic.
func (s *slaveSync) copyTimerCounts(addr string) error {
	var counts timerMetrics
	if _, ok, err := s.ask(addr, protocol.GetTimerMetrics, nil, &counts); err != nil || !ok {
		return noTimers(err)
	}
	s.b.timers.takeOver(&counts)
	return nil
}
