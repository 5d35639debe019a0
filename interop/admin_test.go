package interop

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/interop/harness"
)

// TestAdmin has the official admin tool look at a cluster in use and change it.
func TestAdmin(t *testing.T) {
	t.Parallel()
	heavy(t)
	c := newCluster(t, suite.target, nil)
	const topic, group = "AdminTopic", "C_admin"
	a := newAgent(t, java55, c.NameServer(), "agent")
	p := producer(t, a, harness.Args{"group": "P_admin", "trace": true})
	sent := send(t, a, p, harness.Args{"topic": topic, "name": "m", "count": 20, "keys": true, "tags": "T"})
	settle(t, sent, 0, consume(t, a, harness.Args{"kind": "push", "group": group, "topic": topic}))

	admin, err := suite.java.StartAdmin(c.Place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Kill)
	broker := c.Broker()
	for _, command := range []struct {
		line string
		want []string // all to be in what is printed
	}{
		{"clusterList", []string{"DefaultCluster", "broker-a", broker}},
		{"topicList", []string{topic, "%RETRY%" + group}},
		{"topicRoute -t " + topic, []string{broker, `"writeQueueNums":4`}},
		{"topicStatus -t " + topic, []string{"broker-a"}},
		{"topicClusterList -t " + topic, []string{"DefaultCluster"}},
		{"brokerStatus -b " + broker, []string{"putTps", "commitLogMaxOffset", "bootTimestamp", "getTotalTps", "msgPutTotalTodayNow", "timerCongestNum", "dispatchBehindBytes"}},
		{"getBrokerConfig -b " + broker, []string{"brokerName", "flushDiskType"}},
		{"getNamesrvConfig -n " + c.NameServer(), []string{"listenPort"}},
		{"consumerProgress -g " + group, []string{topic, "Consume Diff Total"}},
		{"consumerConnection -g " + group, []string{topic, "CONSUME_PASSIVELY", "CLUSTERING"}},
		{"producerConnection -g P_admin -t " + topic, []string{"JAVA"}},
		{"consumerStatus -g " + group, []string{"Rebalance OK"}},
		{"queryMsgById -t " + topic + " -i " + sent[0].OffsetMsgID, []string{sent[0].MsgID, "all-m"}},
		{"queryMsgByUniqueKey -t " + topic + " -i " + sent[0].MsgID, []string{"all-m"}},
		{"queryMsgByKey -t " + topic + " -k all-m", []string{sent[0].MsgID, sent[19].MsgID}},
		{fmt.Sprintf("queryMsgByOffset -t %s -b broker-a -i %d -o %d", topic, sent[0].Queue, sent[0].Offset), []string{sent[0].MsgID}},
		{"queryMsgTraceById -i " + sent[0].MsgID, []string{"Pub", "P_admin"}},
		{"queryMsgTraceById -i " + sent[19].MsgID, []string{"Pub", "P_admin"}},
		{"statsAll -t " + topic, []string{group}},
		{"statsAll", []string{topic, group}},
		{"updateTopic -b " + broker + " -t AdminMade -r 3 -w 3", []string{"success"}},
		{"topicRoute -t AdminMade", []string{`"writeQueueNums":3`}},
		{"updateTopicPerm -t AdminMade -b " + broker + " -p 4", []string{"success"}},
		{"topicRoute -t AdminMade", []string{`"perm":4`}},
		{"deleteTopic -c DefaultCluster -t AdminMade", []string{"success"}},
		{"updateSubGroup -b " + broker + " -g C_made -r 5", []string{"success"}},
		{"deleteSubGroup -b " + broker + " -g C_made", []string{"success"}},
		{"updateKvConfig -s space -k key -v value", []string{"success"}},
		{"deleteKvConfig -s space -k key", []string{"success"}},
		{"wipeWritePerm -b broker-a", []string{"OK, "}},
		{"addWritePerm -b broker-a", []string{"OK, "}},
		{"brokerConsumeStats -b " + broker, []string{group}},
		{"consumerProgress", []string{group}},
		{"resetOffsetByTime -g " + group + " -t " + topic + " -s 0 -f true", []string{topic}},
	} {
		out := runAdmin(t, admin, command.line)
		// The clients tell of their progress when it suits them.
		slow := strings.HasPrefix(command.line, "consumerProgress") || strings.HasPrefix(command.line, "queryMsgTraceById")
		for begin := time.Now(); slow && !containsAll(out, command.want) && time.Since(begin) < soon; {
			out = runAdmin(t, admin, command.line)
		}
		if strings.Contains(out, "Exception") {
			t.Errorf("mqadmin %s:\n%.2000s", command.line, out)
			continue
		}
		for _, want := range command.want {
			if !strings.Contains(out, want) {
				t.Errorf("mqadmin %s: no %q in\n%.2000s", command.line, want, out)
			}
		}
	}
}

func containsAll(s string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}

// runAdmin gives the tool one line and returns what it printed.
func runAdmin(t *testing.T, admin *harness.Process, line string) string {
	t.Helper()
	before := logLen(t, admin)
	if _, err := io.WriteString(admin.Stdin, line+"\n"); err != nil {
		t.Fatal(err)
	}
	var out string
	awaitWindow(t, soon, func() bool {
		b, err := os.ReadFile(admin.Log)
		if err != nil {
			t.Fatal(err)
		}
		out = string(b[before:])
		return strings.HasSuffix(out, "== end\n")
	}, func() string { return fmt.Sprintf("mqadmin %s does not end:\n%.2000s\n", line, out) })
	return out
}

func logLen(t *testing.T, p *harness.Process) int64 {
	t.Helper()
	info, err := os.Stat(p.Log)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// ourAdminToo wants our admin tool to print what the official one does, but for the digits.
func ourAdminToo(t *testing.T, admin *harness.Process, place harness.Place, line string) {
	t.Helper()
	var theirs, ours string
	awaitWindow(t, soon, func() bool { // what they print of may change in between
		theirs = strings.TrimSuffix(runAdmin(t, admin, line), "== end\n")
		_, theirs, _ = strings.Cut(theirs, "\n") // the first line is the command
		var err error
		if ours, err = suite.split.Admin(place, strings.Fields(line)...); err != nil {
			ours = err.Error()
		}
		return zeros(theirs) == zeros(ours) && strings.Count(ours, "#") > 1
	}, func() string {
		return fmt.Sprintf("mqadmin %s: the official one prints\n%.3000s\nours\n%.3000s", line, theirs, ours)
	})
}

// zeros puts 0 in place of each digit.
func zeros(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return '0'
		}
		return r
	}, s)
}
