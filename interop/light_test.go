package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// TestLightQueues hands a store with light queues from one make of broker to the other and back, stopped and killed: each
// serves what the other wrote into them and goes on with their offsets, and a group of a light queue goes on where it was.
func TestLightQueues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		targets []harness.Target
		kill    bool
	}{
		{"stop", []harness.Target{suite.target, suite.java, suite.target}, false},
		{"java-begins/kill", []harness.Target{suite.java, suite.target, suite.java}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			heavy(t)
			place, err := harness.NewPlace(t.TempDir(), map[string]string{"enableLmq": "true", "enableMultiDispatch": "true"})
			if err != nil {
				t.Fatal(err)
			}
			l := lights{t: t, want: map[string][]string{}}
			for turn, target := range c.targets {
				cluster := startCluster(t, target, place)
				if l.agent == nil {
					l.agent = newAgent(t, java55, place.NameServer(), "lights")
				}
				if turn > 0 {
					l.check(turn)
				}
				l.send(turn)
				l.check(turn)
				l.group(turn, c.kill)
				if c.kill && turn < 2 {
					cluster.KillBroker()
					cluster.Close()
					continue
				}
				if err := cluster.Stop(); err != nil {
					t.Fatal(err)
				}
				if err := suite.ours.CheckStore(place); err != nil {
					t.Errorf("store of %s after turn %d: %v", target.Name(), turn, err)
				}
			}
		})
	}
}

// lights sends to a topic whose messages name light queues, and knows what these then hold.
type lights struct {
	t     *testing.T
	agent *harness.Agent
	want  map[string][]string // by light queue: the names of its messages, in order
	got   []harness.Event     // by the group, in all turns
}

const (
	lightTopic     = "Lights"
	lightA, lightB = "%LMQ%a", "%LMQ%b"
)

func (l *lights) send(turn int) {
	l.t.Helper()
	sent := send(l.t, l.agent, producer(l.t, l.agent, nil), harness.Args{
		"topic": lightTopic, "name": fmt.Sprint("turn", turn), "count": 60, "tags": "even,odd",
		"lights": lightA + ";" + lightA + "," + lightB + ";",
	})
	for i, s := range sent {
		for _, name := range [][]string{{lightA}, {lightA, lightB}, nil}[i%3] {
			l.want[name] = append(l.want[name], s.Name)
		}
	}
}

// read reads a light queue.
func (l *lights) read(args harness.Args) (found []harness.Event, end harness.Event) {
	l.t.Helper()
	args["topic"] = lightTopic
	s := do(l.t, l.agent, "light", args)
	await(l.t, s, "done", soon)
	return s.Events("found"), s.Events("end")[0]
}

// check reads the light queues from their begins: each message once, in order, with its offset in each.
func (l *lights) check(turn int) {
	l.t.Helper()
	for _, name := range []string{lightA, lightB} {
		var found []harness.Event
		awaitWindow(l.t, soon, func() bool {
			found, _ = l.read(harness.Args{"group": "C_light", "light": name})
			return len(found) >= len(l.want[name])
		}, func() string {
			return fmt.Sprintf("turn %d: %d of %d messages of %s", turn, len(found), len(l.want[name]), name)
		})
		var names []string
		for i, f := range found {
			names = append(names, f.Name)
			lists := [2][]string{strings.Split(f.Properties["INNER_MULTI_DISPATCH"], ","), strings.Split(f.Properties["INNER_MULTI_QUEUE_OFFSET"], ",")}
			at := slices.Index(lists[0], name)
			if at < 0 || at >= len(lists[1]) || lists[1][at] != fmt.Sprint(i) || f.Topic != lightTopic {
				l.t.Errorf("turn %d: message %d of %s is %s of %s with %v", turn, i, name, f.Name, f.Topic, f.Properties)
			}
		}
		if !slices.Equal(names, l.want[name]) {
			l.t.Fatalf("turn %d: %s has\n%v, want\n%v", turn, name, names, l.want[name])
		}
	}
	odd, _ := l.read(harness.Args{"group": "C_light", "light": lightA, "tags": "odd"})
	for _, f := range odd {
		if f.Tags != "odd" {
			l.t.Errorf("turn %d: %s has tag %s", turn, f.Name, f.Tags)
		}
	}
	if len(odd) == 0 || len(odd) >= len(l.want[lightA]) {
		l.t.Errorf("turn %d: %d messages of a tag", turn, len(odd))
	}
}

// group lets a group of light queues go on. A killed broker may have forgotten where it was.
func (l *lights) group(turn int, kill bool) {
	l.t.Helper()
	found, end := l.read(harness.Args{"group": "%LMQ%readers", "light": lightA, "commit": true})
	l.got = append(l.got, found...)
	if want := int64(len(l.want[lightA])); end.Offset != want || end.Max != want {
		l.t.Errorf("turn %d: the group ends at %d of %d, want %d", turn, end.Offset, end.Max, want)
	}
	if n := len(l.got); distinct(l.got) != len(l.want[lightA]) || !kill && n != len(l.want[lightA]) {
		l.t.Errorf("turn %d: the group has %d messages, %d different ones, of %d", turn, n, distinct(l.got), len(l.want[lightA]))
	}
}
