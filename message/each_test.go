package message

import "testing"

// Records that lie back to back are visited in order, up to the first that is none.
func TestEachRecord(t *testing.T) {
	record := func(body string) []byte {
		m := Message{Topic: "t", Body: []byte(body)}
		b := make([]byte, m.RecordSize())
		EncodeRecord(b, &m, BodyCRC(m.Body))
		return b
	}
	two := append(record("a"), record("b")...)
	for _, c := range []struct {
		segments [][]byte
		want     string
		whole    bool
	}{
		{nil, "", true},
		{[][]byte{two, {}, record("c")}, "abc", true},
		{[][]byte{append(two[:len(two):len(two)], "rest"...), record("c")}, "ab", false},
		{[][]byte{two[:len(two)-1]}, "a", false},
	} {
		got := ""
		err := EachRecord(c.segments, func(r Record) { got += string(r.Body()) })
		if got != c.want || (err == nil) != c.whole {
			t.Errorf("visited %q, %v; want %q", got, err, c.want)
		}
	}
}
