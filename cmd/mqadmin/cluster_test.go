package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/broker"
	"github.com/rocketlog/rocketlog/internal/daemon"
	"github.com/rocketlog/rocketlog/nameserver"
)

// startNames starts a name server and makes it the one that the commands ask.
func startNames(t *testing.T) string {
	t.Helper()
	o := nameserver.DefaultOptions()
	o.ListenPort, o.BindAddress, o.KVConfigPath = -1, "127.0.0.1", filepath.Join(t.TempDir(), "kv.json")
	s, err := nameserver.New(o)
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) }) //nolint:errcheck // the test is over
	t.Setenv("NAMESRV_ADDR", s.Addr().String())
	return s.Addr().String()
}

// startMember starts a broker of a pair that has epochs.
func startMember(t *testing.T, names, role string, id int64) *broker.Broker {
	t.Helper()
	o := broker.DefaultOptions()
	o.BrokerName, o.BrokerIP1, o.BrokerIP2, o.BindAddress, o.ListenPort = "broker-a", "127.0.0.1", "127.0.0.1", "127.0.0.1", -1
	o.StorePathRootDir, o.NamesrvAddr, o.MappedFileSizeCommitLog, o.MaxHashSlotNum, o.MaxIndexNum = t.TempDir(), names, 4<<20, 100, 400
	o.BrokerRole, o.BrokerID, o.EnableAutoSwitchHA, o.HASendHeartbeatInterval = role, id, true, 200
	o.DiskMaxUsedSpaceRatio, o.DiskSpaceCleanForciblyRatio, o.DiskSpaceWarningLevelRatio = 99, 99, 100
	o.Logger = slog.New(slog.DiscardHandler)
	b, err := broker.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() }) //nolint:errcheck // the test is over
	return b
}

// eventually runs a command until what it prints fits the pattern.
func eventually(t *testing.T, pattern string, args ...string) {
	t.Helper()
	want := regexp.MustCompile(`\A` + pattern + `\z`)
	var out strings.Builder
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		out.Reset()
		var errs strings.Builder
		if code := run(append([]string{"mqadmin"}, args...), &out, &errs); code == daemon.ExitOK && want.MatchString(out.String()) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("mqadmin %s prints\n%s%s\nwant\n%s", strings.Join(args, " "), out.String(), errs.String(), pattern)
		}
	}
}

func TestClusterCommands(t *testing.T) {
	names := startNames(t)
	master := startMember(t, names, "SYNC_MASTER", 1)
	slave := startMember(t, names, "SLAVE", 2)
	quoted := regexp.QuoteMeta

	set := fmt.Sprintf("\n#brokerName\tbroker-a\n#MasterBrokerId\t1\n#MasterAddr\t%s\n#MasterEpoch\t1\n#SyncStateSetEpoch\t2\n#SyncStateSetNums\t2\n", quoted(master.Addr())) +
		"\nInSyncReplica:\tReplicaIdentity{brokerName='broker-a', brokerId=1, brokerAddress='" + quoted(master.Addr()) + "', alive=true}\n" +
		"\nInSyncReplica:\tReplicaIdentity{brokerName='broker-a', brokerId=2, brokerAddress='[0-9.:]*', alive=true}\n"
	eventually(t, set, "getSyncStateSet", "-a", "127.0.0.1:1;"+master.Addr(), "-b", "broker-a")
	eventually(t, set, "getSyncStateSet", "-a", master.Addr(), "-c", "DefaultCluster")

	status := `\n#MasterAddr\t` + quoted(master.Addr()) + `\n#MasterCommitLogMaxOffset\t0\n#SlaveNum\t1\n#InSyncSlaveNum\t1\n` +
		quoted("#SlaveAddr                        #SlaveAckOffset             #Diff #TransferSpeed(KB/s)          #Status #TransferFromWhere\n") +
		`127\.0\.0\.1:\d+ +  0                               0             0\.00               OK                0\n`
	eventually(t, status, "haStatus", "-b", master.Addr())
	eventually(t, status, "haStatus", "-c", "DefaultCluster")
	eventually(t, `\n#MasterAddr\t127\.0\.0\.1:\d+\n#CommitLogMaxOffset\t0\n#TransferSpeed\(KB/s\)\t\d+\.\d\d\n`+
		`#LastReadTime\t2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\n#LastWriteTime\t2.{22}\n#MasterFlushOffset\t0\n`, "haStatus", "-b", slave.Addr())

	epochs := ""
	for id, b := range []*broker.Broker{master, slave} {
		number := fmt.Sprint(2 * id) // a master is 0 to those who ask
		epochs += "\n#clusterName\tDefaultCluster\n#brokerName\tbroker-a\n#brokerAddr\t" + quoted(b.Addr()) + "\n#brokerId\t" + number
		if id == 0 { // the slave learns of the epoch with its first byte
			epochs += "\n#Epoch: EpochEntry{epoch=1, startOffset=0, endOffset=0}"
		}
		epochs += "\n"
	}
	eventually(t, epochs, "getBrokerEpoch", "-b", "broker-a")
	eventually(t, epochs, "getBrokerEpoch", "-c", "DefaultCluster")

	list := quoted("#Cluster Name           #Broker Name            #BID  #Addr                  #Version              " +
		"#InTPS(LOAD)                   #OutTPS(LOAD)  #Timer(Progress)        #PCWait(ms)  #Hour         #SPACE    #ACTIVATED\n")
	for id, b := range []*broker.Broker{master, slave} {
		list += quoted(fmt.Sprintf("DefaultCluster          broker-a                %-4d  %-22s V5_5_0                 0.00(0,0ms)               0.00(0,0ms|0,0ms)  ", 2*id, b.Addr())) +
			`\d-0\(0\.0w, 0\.0, 0\.0\)               0  \d+\.\d\d +  0\.\d{4}          true\n` // an empty log began in 1970, as Java's does
	}
	eventually(t, list, "clusterList")
	eventually(t, list, "clusterList", "-c", "DefaultCluster", "-n", "127.0.0.1:1;"+names)
	totals := quoted("#Cluster Name     #Broker Name                       #InTotalYest  #OutTotalYest  #InTotalToday #OutTotalToday\n" +
		strings.Repeat("DefaultCluster    broker-a                                      0              0              0              0\n", 2))
	eventually(t, totals, "clusterList", "-m")

	// A broker that does not answer is shown too.
	if err := slave.Close(); err != nil {
		t.Fatal(err)
	}
	master.Close() //nolint:errcheck // its registration stays when a broker is killed, not when it is closed
	if stdout, _ := mqadmin(t, daemon.ExitFailed, "getBrokerEpoch", "-c", "DefaultCluster"); stdout != "" {
		t.Errorf("of a cluster that is gone: %s", stdout)
	}
}

// What a broker that is gone leaves empty is empty in its line.
func TestClusterListOfNoAnswer(t *testing.T) {
	var out strings.Builder
	r := newRemote("clusterList", &out, &out)
	r.clusterLine(clusterMember{"C", "broker-a", 0, "10.0.0.1:10911"}, nil)
	want := "C                       broker-a                0     10.0.0.1:10911                                  0.00(,ms)                   0.00(,ms|,ms)" +
		"  0-0(0.0w, 0.0, 0.0)                  0.00          0.0000         false\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// failingWriter takes so many writes.
type failingWriter struct{ left int }

func (w *failingWriter) Write(b []byte) (int, error) {
	if w.left--; w.left < 0 {
		return 0, errors.New("nobody reads")
	}
	return len(b), nil
}

func TestIntervalEndsWhenNobodyReads(t *testing.T) {
	startNames(t)
	var errs strings.Builder
	if code := run([]string{"mqadmin", "clusterList", "-i", "0.001"}, &failingWriter{3}, &errs); code != daemon.ExitFailed || !strings.Contains(errs.String(), "nobody reads") {
		t.Errorf("code %d, %s", code, errs.String())
	}
}

func TestRemoteComplains(t *testing.T) {
	names := startNames(t)
	t.Setenv("NAMESRV_ADDR", "")
	for _, c := range []struct {
		want int
		says string
		args string
	}{
		{daemon.ExitUsage, "-b or -c must be given", "haStatus"},
		{daemon.ExitUsage, "-b or -c must be given", "getBrokerEpoch"},
		{daemon.ExitUsage, "-a must be given", "getSyncStateSet -b broker-a"},
		{daemon.ExitUsage, "-b or -c must be given", "getSyncStateSet -a x:1"},
		{daemon.ExitUsage, "nothing may follow", "haStatus -b x:1 y"},
		{daemon.ExitUsage, "not above 0", "haStatus -b x:1 -i 0"},
		{daemon.ExitUsage, "-b is not among its flags", "clusterList -b broker-a"},
		{daemon.ExitOK, "Usage", "haStatus -h"},
		{daemon.ExitFailed, "no name server is known", "clusterList"},
		{daemon.ExitFailed, "127.0.0.1:1", "clusterList -n 127.0.0.1:1"},
		{daemon.ExitFailed, "127.0.0.1:1", "haStatus -b 127.0.0.1:1"},
		{daemon.ExitFailed, "127.0.0.1:1", "getSyncStateSet -a 127.0.0.1:1 -b broker-a"},
		{daemon.ExitFailed, `no cluster "C"`, "haStatus -c C -n " + names},
	} {
		if _, stderr := mqadmin(t, c.want, strings.Fields(c.args)...); !strings.Contains(stderr, c.says) {
			t.Errorf("%s: %q does not say %q", c.args, stderr, c.says)
		}
	}
}
