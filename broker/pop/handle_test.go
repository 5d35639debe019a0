package pop

import (
	"strings"
	"testing"
)

func TestHandle(t *testing.T) {
	const text = "7 1795231316887 12000 3 1 golden-a 2 9"
	h, err := ParseHandle(text)
	if err != nil {
		t.Fatal(err)
	}
	want := Handle{StartOffset: 7, PopTime: 1795231316887, InvisibleTime: 12000, ReviveQueue: 3, Source: FromRetryV1, BrokerName: "golden-a", QueueID: 2, QueueOffset: 9}
	if h != want {
		t.Errorf("handle %+v, want %+v", h, want)
	}
	if got := string(h.Append(nil)); got != text {
		t.Errorf("appended %q, want %q", got, text)
	}
	if h.VisibleAt() != 1795231328887 || h.Ordered() {
		t.Errorf("visible at %d, ordered %v", h.VisibleAt(), h.Ordered())
	}
	for _, more := range []string{"7 1 2 999 0 b", "7 1 2 999 0 b 4", "7 1 2 999 0 b 4 5 1234 and more"} {
		if h, err := ParseHandle(more); err != nil || !h.Ordered() {
			t.Errorf("%q: %+v, %v", more, h, err)
		}
	}
	for _, bad := range []string{"", "7 1 2 3 0", "x 1 2 3 0 b", "-7 1 2 3 0 b", "7 1 2 99999999999 0 b", "7  1 2 3 0 b 1",
		"7 1 9223372036854775807 3 0 b", "7 1 2 3 0 b q", strings.Repeat("9", 40) + " 1 2 3 0 b"} {
		if h, err := ParseHandle(bad); err == nil {
			t.Errorf("%q is taken for %+v", bad, h)
		}
	}
}

func TestSources(t *testing.T) {
	for topic, want := range map[string]Source{"T": FromTopic, "%RETRY%g_T": FromRetryV1, "%RETRY%g": FromRetryV1, "%RETRY%g+T": FromRetryV2, "a+b": FromTopic} {
		if got := SourceOf(topic); got != want {
			t.Errorf("source of %s is %d, want %d", topic, got, want)
		}
	}
	for _, s := range []Source{FromTopic, FromRetryV1, FromRetryV2} {
		topic := s.Topic("T_1", "g")
		if SourceOf(topic) != s || NormalTopic(topic, "g") != "T_1" {
			t.Errorf("source %d: topic %s, back %s", s, topic, NormalTopic(topic, "g"))
		}
	}
	for _, other := range []string{"%RETRY%g", "%RETRY%gg_T", "T"} {
		if got := NormalTopic(other, "g"); got != other {
			t.Errorf("%s stands for %s", other, got)
		}
	}
}

func TestInfos(t *testing.T) {
	start := AppendStartOffset(AppendStartOffset(nil, FromTopic, 0, 17), FromRetryV1, 2, 0)
	offsets := AppendMessageOffsets(AppendMessageOffsets(nil, FromTopic, 0, []int64{17, 19}), FromRetryV2, 2, []int64{0})
	order := AppendQueueOrderCount(AppendOrderCount(nil, FromTopic, 3, 44, 2), FromTopic, 3, 1)
	for _, c := range [][2]string{{string(start), "0 0 17;1 2 0"}, {string(offsets), "0 0 17,19;2 2 0"}, {string(order), "0 qo3%44 2;0 3 1"}} {
		if c[0] != c[1] {
			t.Errorf("%q, want %q", c[0], c[1])
		}
	}
}

func FuzzParseHandle(f *testing.F) {
	f.Add("7 1795231316887 12000 3 1 golden-a 2 9")
	f.Add("7 1 2 999 0 b")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseHandle(text)
		if err != nil {
			return
		}
		again, err := ParseHandle(string(h.Append(nil)))
		if h.QueueOffset < 0 || h.QueueID < 0 {
			return
		}
		if err != nil || again != h {
			t.Errorf("%q: %+v, again %+v, %v", text, h, again, err)
		}
	})
}
