package index

import (
	"slices"
	"strings"

	"github.com/rocketlog/rocketlog/message"
)

// model is an index as Java's IndexService builds it, in a few plain slices: the messages are put one
// by one into files that end when they are full.
type model struct {
	layout
	files []*modelFile
}

type modelFile struct {
	header
	slots   map[int32]int32
	entries []entry // entries[0] is never used
}

// modelMessage is a message of the log.
type modelMessage struct {
	topic, uniqKey, keys, tag string
	off                       message.PhyOffset
	storeTime                 int64
}

// texts returns what is indexed of a message.
func (m *modelMessage) texts() []string {
	var texts []string
	for _, key := range append([]string{m.uniqKey}, strings.Split(m.keys, " ")...) {
		if key != "" {
			texts = append(texts, m.topic+"#"+key)
		}
	}
	if m.tag != "" {
		texts = append(texts, m.topic+"#T#"+m.tag)
	}
	return texts
}

func (d *model) put(m *modelMessage) {
	for _, text := range m.texts() {
		if n := len(d.files); n == 0 || d.files[n-1].count >= d.entries {
			f := &modelFile{header: header{count: 1}, slots: map[int32]int32{}, entries: make([]entry, 1)}
			if n > 0 {
				last := d.files[n-1]
				f.beginTime, f.endTime, f.beginPhy, f.endPhy = last.endTime, last.endTime, last.endPhy, last.endPhy
			}
			d.files = append(d.files, f)
		}
		d.files[len(d.files)-1].put(keyHash(message.HashString(text)), int64(m.off), m.storeTime, d.slots)
	}
}

func (f *modelFile) put(hash int32, off, storeTime int64, slots int32) {
	prev := f.slots[hash%slots]
	if prev == 0 {
		f.used++
	}
	f.entries = append(f.entries, entry{hash, off, diffSeconds(storeTime, f.beginTime), prev})
	f.slots[hash%slots] = f.count
	if f.count == 1 {
		f.beginTime, f.beginPhy = storeTime, off
	}
	f.count++
	f.endTime, f.endPhy = storeTime, off
}

// query is Java's queryOffset, with a message that comes twice in a row counted once.
func (d *model) query(topic, key string, max int, begin, end int64) []message.PhyOffset {
	var res []message.PhyOffset
	hash := keyHash(message.HashString(topic + "#" + key))
	for _, f := range slices.Backward(d.files) {
		if begin <= f.endTime && end >= f.beginTime {
			for number := f.slots[hash%d.slots]; number > 0 && len(res) < max; {
				e := f.entries[number]
				stored := f.beginTime + int64(e.diff)*1000
				off := message.PhyOffset(e.phy)
				if e.hash == hash && stored >= begin && stored <= end && (len(res) == 0 || res[len(res)-1] != off) {
					res = append(res, off)
				}
				if stored < begin {
					break
				}
				number = e.prev
			}
		}
		if f.beginTime < begin || len(res) >= max {
			break
		}
	}
	return res
}
