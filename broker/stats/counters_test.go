package stats

import (
	"maps"
	"sync"
	"testing"
	"time"
)

// Messages are counted while samples are taken and statistics asked for, and none is lost.
func TestCountWhileSampled(t *testing.T) {
	s := New(time.UnixMilli(0))
	var wg sync.WaitGroup
	const each = 1000
	for range 4 {
		wg.Go(func() {
			for range each {
				s.Put.Add(1, 10)
				s.NoteGroup(Gets, "t", "g", 1, 10)
				s.Refuse("PUT_WAIT")
			}
		})
	}
	wg.Go(func() {
		for i := range int64(100) {
			s.Sample(time.UnixMilli(i*SampleEvery.Milliseconds()), maps.Values(map[string]*Traffic{}))
			s.Windows(GroupGetNums, "t@g", nil, i)
			s.Snapshot(i)
			s.Consumption()
		}
	})
	wg.Wait()
	got := s.Consumption()
	if s.Put.Messages() != 4*each || s.Total(Gets) != 4*each || s.Refusals()["PUT_WAIT"] != 4*each {
		t.Errorf("put %d, got %d, refused %v", s.Put.Messages(), s.Total(Gets), s.Refusals())
	}
	if len(got) != 1 || got[0].Gets != 4*each || got[0].GetBytes != 40*each || got[0].Topic != "t" || got[0].Group != "g" {
		t.Errorf("consumption %+v", got)
	}
}

func TestStatistics(t *testing.T) {
	now := time.Date(2026, 7, 28, 12, 0, 0, 0, time.UTC)
	pass := func(d time.Duration) { now = now.Add(d) }
	s := New(now)
	topics := map[string]*Traffic{"used": {}, "unused": {}}
	topic := func(name string) *Traffic { return topics[name] }
	for range 12 { // two minutes at ten messages in each ten seconds
		for range 5 {
			topics["used"].Add(2, 100)
			s.Put.Add(2, 100)
		}
		pass(SampleEvery)
		s.Sample(now, maps.Values(topics))
	}
	minute, hour, _, ok := s.Windows(TopicPutNums, "used", topic, now.UnixMilli())
	if !ok || minute.Sum != 60 || minute.PerSecond() != 1 || minute.PerTime() != 2 {
		t.Errorf("minute %+v, %v a second", minute, minute.PerSecond())
	}
	if hour.Sum < 100 {
		t.Errorf("hour %+v", hour)
	}
	size, _, _, _ := s.Windows(topicPutSize, "used", topic, now.UnixMilli())
	if size.Sum != 60*50 {
		t.Errorf("sizes %+v", size)
	}
	if _, _, _, ok := s.Windows(TopicPutNums, "unused", topic, 0); ok {
		t.Error("a statistic of what never happened")
	}
	if topics["unused"].history != nil || s.all[Acks].history != nil {
		t.Error("samples of what never happened")
	}
	if _, _, _, ok := s.Windows("NOTHING", "x", topic, 0); ok {
		t.Error("an unknown statistic")
	}
	snap := s.Snapshot(now.UnixMilli())
	if snap.Puts != 120 || snap.Put[0] != 1 || snap.Put[1] != 1 || snap.Put[2] != 1 {
		t.Errorf("snapshot %+v", snap)
	}
	for n := range int64(3) {
		pass(SampleEvery)
		s.SampleTimer(now, 100*n, 50*n)
	}
	if snap := s.Snapshot(now.UnixMilli()); snap.Taken[0] != 10 || snap.Delivered[0] != 5 {
		t.Errorf("the timer takes %v and delivers %v", snap.Taken, snap.Delivered)
	}
	pass(24 * time.Hour)
	s.Sample(now, maps.Values(topics))
	if snap := s.Snapshot(now.UnixMilli()); snap.PutMorning != 120 {
		t.Errorf("the morning's count is %d", snap.PutMorning)
	}
}
