package runner

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

func TestBarMet(t *testing.T) {
	for _, test := range []struct {
		name string
		bar  Bar
		met  bool
	}{
		{"ratio reached", atLeast("", "", 300, 100, 3), true},
		{"ratio missed", atLeast("", "", 299, 100, 3), false},
		{"at most reached", atMost("", "", 25, 100, 0.25), true},
		{"at most missed", atMost("", "", 26, 100, 0.25), false},
		{"fixed figure reached", atMostFixed("", "", 0, 0.01), true},
		{"fixed figure missed", atMostFixed("", "", 1, 0.01), false},
		{"not judged", missing("", noJava), false},
		{"no figure to compare with", atLeast("", "", 1, 0, 1), false},
	} {
		if got := test.bar.Met(); got != test.met {
			t.Errorf("%s: met is %v", test.name, got)
		}
	}
}

func TestMedianIsTakenFieldByField(t *testing.T) {
	runs := []Results{
		{"put": {Rate: 3, P99: 10}}, {"put": {Rate: 1, P99: 30}}, {"put": {Rate: 2, P99: 20, FirstFailure: "code 2"}},
	}
	got := median(runs)["put"]
	want := measure.Result{Rate: 2, P99: 20, FirstFailure: "code 2"}
	if got != want {
		t.Errorf("median is %+v, want %+v", got, want)
	}
	if even := median(runs[:2])["put"]; even.Rate != 2 {
		t.Errorf("median of two is %v, want the middle", even.Rate)
	}
}

// TestBarsJudgeEveryStudy gives each study made-up figures in which ours is at its best, then at its
// worst: all bars must be met, then all missed. A bar that compares the wrong way or a missing side shows.
func TestBarsJudgeEveryStudy(t *testing.T) {
	good := measure.Result{Rate: 1000, PutRate: 1000, CPU: 1, P50: 1, P99: 1, P999: 1, Seconds: 0.001, Anonymous: 1, Idle: 0.1, Files: 1}
	bad := measure.Result{Rate: 1, PutRate: 1, Failed: 1, CPU: 1000, P50: 1000, P99: 1e7, P999: 1e7, Seconds: 1000, Anonymous: 1000, Idle: 50, Allocs: 1, Files: 5000}
	fill := func(s Study, ours, others measure.Result) Medians {
		m := Medians{}
		for _, side := range s.Sides {
			r := others
			if side.Name == "ours" {
				r = ours
			}
			m[side.Name] = Results{"put": r, "killed": r, "cold": r, "warm": r, "warm copied": r, "query": r, "send": r, "pull": r, "endtoend": r, "ready": r, "idle": r, "tags": r, "sql": r,
				"transactions": r, "pop": r, "lateness": r, "catch-up": r}
			beside := r // a scan, which sends are compared with those alone
			beside.P99, beside.P999 = r.P99*r.P99, r.P999*r.P999
			m[side.Name]["send, cold scan"] = beside
			for _, name := range replicationFigures {
				m[side.Name][name] = r
			}
		}
		return m
	}
	for _, s := range Studies() {
		for _, b := range s.Bars(fill(s, good, bad)) {
			if !b.Met() {
				t.Errorf("%s: %q is not met by the best figures", s.Name, b.Text)
			}
		}
		for _, b := range s.Bars(fill(s, bad, good)) {
			if b.Met() {
				t.Errorf("%s: %q is met by the worst figures", s.Name, b.Text)
			}
		}
		for _, b := range s.Bars(Medians{"ours": fill(s, good, bad)["ours"], "etcd WAL": {}, "null server": {}}) {
			if strings.Contains(b.Text, "Java") && b.Missing == "" {
				t.Errorf("%s: %q is judged without Java", s.Name, b.Text)
			}
		}
	}
}

func TestTableSaysWhatIsMissed(t *testing.T) {
	var out bytes.Buffer
	err := printTable(&out, []section{{bars: []Bar{atLeast("first", "/s", 1, 2, 3), missing("second", noJava)}}})
	if err != nil || !strings.Contains(out.String(), "NO") || !strings.Contains(out.String(), "not judged: no Java") {
		t.Errorf("error %v, table:\n%s", err, out.String())
	}
}
