package harness

import (
	"fmt"
	"slices"
	"strings"
)

// Balance is the account of what was sent against what arrived, by the name
// that each message bears in its body.
type Balance struct {
	Missing []string // sent, never arrived
	Strange []string // arrived, never sent
	Wrong   []string // arrived in another shape or place than sent
	Twice   []string // arrived more than once
}

// Settle accounts for all messages. A sent event without a place (one-way) is
// compared by its content only.
func Settle(sent, got []Event) Balance {
	var b Balance
	want := make(map[string]Event, len(sent))
	for _, e := range sent {
		want[e.Name] = e
	}
	seen := make(map[string]int, len(got))
	for _, g := range got {
		seen[g.Name]++
		s, ok := want[g.Name]
		if !ok {
			b.Strange = append(b.Strange, g.Name)
			continue
		}
		if seen[g.Name] == 2 {
			b.Twice = append(b.Twice, g.Name)
		}
		if what := differs(s, g); what != "" {
			b.Wrong = append(b.Wrong, g.Name+": "+what)
		}
	}
	for name := range want {
		if seen[name] == 0 {
			b.Missing = append(b.Missing, name)
		}
	}
	slices.Sort(b.Missing)
	return b
}

func differs(s, g Event) string {
	switch {
	case s.CRC != g.CRC:
		return fmt.Sprintf("body crc %08x, sent %08x", g.CRC, s.CRC)
	case s.Offset < 0 || g.Reconsume > 0:
		return "" // no place known, or on its way through a retry topic
	case s.Queue != g.Queue || s.Offset != g.Offset:
		return fmt.Sprintf("at queue %d offset %d, answered %d/%d", g.Queue, g.Offset, s.Queue, s.Offset)
	case s.MsgID != "" && g.MsgID != "" && s.MsgID != g.MsgID:
		return fmt.Sprintf("id %s, sent %s", g.MsgID, s.MsgID)
	}
	return ""
}

// Err is nil when everything arrived as sent and at most twiceMax messages
// arrived more than once.
func (b Balance) Err(twiceMax int) error {
	var complaints []string
	for _, c := range []struct {
		what  string
		names []string
		max   int
	}{{"missing", b.Missing, 0}, {"never sent", b.Strange, 0}, {"wrong", b.Wrong, 0}, {"more than once", b.Twice, twiceMax}} {
		if len(c.names) > c.max {
			complaints = append(complaints, fmt.Sprintf("%d %s: %s", len(c.names), c.what, strings.Join(c.names[:min(8, len(c.names))], ", ")))
		}
	}
	if complaints == nil {
		return nil
	}
	return fmt.Errorf("messages not accounted for: %s", strings.Join(complaints, "; "))
}
