package broker

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rocketlog/rocketlog/broker/config"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// What an administrator changes is in the config file when the answer is there, with all that the file had besides.
func TestChangedSettingsAreKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "broker.conf")
	if err := os.WriteFile(file, []byte("# mine\ntraceOn=true\nbrokerName=b\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := start(t, func(o *Options) { o.OnConfigChange = config.Keep(file) })
	s.must(protocol.UpdateBrokerConfig, nil, []byte("traceOn=false\nshortPollingTimeMills=77\n"), nil)
	data, err := os.ReadFile(file)
	if err != nil || string(data) != "# mine\ntraceOn=false\nbrokerName=b\nshortPollingTimeMills=77\n" {
		t.Errorf("the file is %q, %v", data, err)
	}
	s.wantCode(s.call(protocol.UpdateBrokerConfig, nil, []byte("traceOn=perhaps\n")), protocol.InvalidParameter)
	if again, _ := os.ReadFile(file); string(again) != string(data) {
		t.Errorf("a refused change is kept: %q", again)
	}
}
