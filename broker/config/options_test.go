package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/internal/properties"
)

// The defaults are Java's, as reflection on the classes of 5.5.0 gave them.
func TestDefaultsAreJavas(t *testing.T) {
	data, err := os.ReadFile("testdata/defaults.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	ours := map[string]bool{"maxPullHolds": true, "maxColdPulls": true, "maxPendingPuts": true, "maxPutWait": true, "maxPopInFlight": true, "maxLogBytes": true, "scrubBytesPerSecond": true, "scrubInterval": true, "coldBytesPerSecond": true, "bindAddress": true,
		"enableAutoSwitchHA": true, "haEpoch": true}
	checked := 0
	for _, e := range properties.Entries(Default()) {
		v, ok := want[e.Key]
		if !ok {
			if !ours[e.Key] {
				t.Errorf("%s is no property of RocketMQ's", e.Key)
			}
			continue
		}
		if number, ok := v.(float64); ok {
			v = fmt.Sprintf("%.0f", number)
		}
		switch e.Key {
		case "brokerName", "brokerIP1", "brokerIP2", "storePathRootDir", "namesrvAddr", "storePathCommitLog", "haMasterAddress":
			continue // of the machine
		case "enablePropertyFilter":
			v = "true" // a subscription that is refused helps nobody: the switch is for who wants none
		case "listenPort":
			v = "10911" // the start-up's, not the class's
		case "haListenPort":
			v = "0" // one above the other
		}
		if fmt.Sprint(v) != e.Value {
			t.Errorf("default of %s is %s, Java's %v", e.Key, e.Value, v)
		}
		checked++
	}
	if checked < 50 {
		t.Errorf("only %d defaults compared", checked)
	}
}

func TestValidateNamesTheProperty(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Fatal(err)
	}
	for property, change := range map[string]func(*Options){
		"brokerName":        func(o *Options) { o.BrokerName = "a b" },
		"brokerClusterName": func(o *Options) { o.BrokerClusterName = "ü" },
		"brokerRole":        func(o *Options) { o.BrokerRole = "LEADER" },
		"brokerId":          func(o *Options) { o.BrokerID = 1 },
		"listenPort":        func(o *Options) { o.ListenPort = 70000 },
		"brokerIP1":         func(o *Options) { o.BrokerIP1 = "10.0.0.1 " },
		"namesrvAddr":       func(o *Options) { o.NamesrvAddr = "localhost" },
		"brokerPermission":  func(o *Options) { o.BrokerPermission = 9 },
		"flushDiskType":     func(o *Options) { o.FlushDiskType = "NEVER" },
		"maxMessageSize":    func(o *Options) { o.MaxMessageSize = 1 << 30 },
		"messageDelayLevel": func(o *Options) { o.MessageDelayLevel = "1 2" },
	} {
		o := Default()
		change(o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), "property "+property+":") {
			t.Errorf("%s: %v", property, err)
		}
	}
}

func TestAddressRank(t *testing.T) {
	order := []string{"127.0.0.1", "169.254.1.1", "2001:db8::1", "10.0.0.1"}
	for i := 1; i < len(order); i++ {
		if addressRank(netip.MustParseAddr(order[i-1])) >= addressRank(netip.MustParseAddr(order[i])) {
			t.Errorf("%s is not better than %s", order[i], order[i-1])
		}
	}
	if a, err := netip.ParseAddr(reachableAddress()); err != nil || a.IsUnspecified() {
		t.Errorf("reachable address %v, %v", a, err)
	}
}

func TestNameServerList(t *testing.T) {
	o := Options{NamesrvAddr: " a:1; b:2;;a:1 "}
	if got := o.NameServers(); len(got) != 2 || got[0] != "a:1" || got[1] != "b:2" {
		t.Errorf("%q", got)
	}
}

func TestDelayLevels(t *testing.T) {
	levels, err := ParseDelayLevels(defaultDelayLevels)
	if err != nil || !slices.Equal(levels, engine.DefaultDelayLevels) {
		t.Errorf("%v, %v", levels, err)
	}
	for _, text := range []string{"1", "s", "1x", "1s -2s", "1s 2.5s", "99999999999s"} {
		if _, err := ParseDelayLevels(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
