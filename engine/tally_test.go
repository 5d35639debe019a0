package engine

import (
	"fmt"
	"testing"

	"github.com/rocketlog/rocketlog/message"
)

// keyFilter takes the records whose key ends so.
type keyFilter string

func (f keyFilter) MatchTags(int64) bool { return true }
func (f keyFilter) MatchRecord(r message.Record) bool {
	key, _ := r.Properties().Get(message.PropertyKeys)
	return len(key) > 0 && string(key[len(key)-1:]) == string(f)
}

func TestTally(t *testing.T) {
	s := open(t, t.TempDir(), small())
	var size int64
	for i := range 1000 { // two reads of entries, and files of a hundred
		r := s.Put(newMessage("T", 0, fmt.Sprintf("k%04d", i), []byte("body")))
		must(t, r.Err)
		size = int64(r.Size)
	}
	dispatched(t, s)
	req := func(from, to message.QueueOffset) TallyRequest {
		return TallyRequest{Topic: "T", From: from, To: to, Entries: 1 << 20, Records: 1 << 20}
	}
	all := req(0, 5000)
	tags := req(0, 1000)
	tags.Filter = tagFilter(message.TagsCode([]byte("Tag3")))
	first := tags
	first.FirstOnly, first.From = true, 4
	records := req(5, 995)
	records.Filter, records.ByRecord = keyFilter("7"), true
	few := all
	few.Entries = 600
	fewRecords := records
	fewRecords.Records = 10
	none := req(0, 10)
	none.Topic = "none"
	for name, c := range map[string]struct {
		req  TallyRequest
		want Tally
	}{
		"all":         {all, Tally{Next: 1000, Messages: 1000, Bytes: 1000 * size, First: 0, Entries: 1000}},
		"tags":        {tags, Tally{Next: 1000, Messages: 100, Bytes: 100 * size, First: 3, Entries: 1000}},
		"first":       {first, Tally{Next: 14, Messages: 1, Bytes: size, First: 13, Entries: 10}},
		"records":     {records, Tally{Next: 995, Messages: 99, Bytes: 99 * size, First: 7, Entries: 990, Records: 990}},
		"few":         {few, Tally{Next: 600, Messages: 600, Bytes: 600 * size, First: 0, Entries: 600}},
		"few records": {fewRecords, Tally{Next: 15, Messages: 1, Bytes: size, First: 7, Entries: 10, Records: 10}},
		"no queue":    {none, Tally{Next: 10, First: -1}},
	} {
		if got, err := s.Tally(&c.req); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, c.want)
		}
	}
}
