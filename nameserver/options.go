package nameserver

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
)

// Options say where a name server listens and how it behaves. The fields with a property tag are RocketMQ's keys of
// namesrv.properties, with its meanings, units and, from DefaultOptions, its defaults; those of our own say so. Numbers and
// texts that are zero take the default; switches are taken as they are, so start from DefaultOptions.
type Options struct {
	BindAddress string `property:"bindAddress"` // address to listen on; default 0.0.0.0
	ListenPort  int    `property:"listenPort"`  // default 9876; -1 any free port (for tests)

	KVConfigPath    string `property:"kvConfigPath"`    // file of the KV config; default $HOME/namesrv/kvConfig.json
	ConfigStorePath string `property:"configStorePath"` // file that changed settings are written to; default $HOME/namesrv/namesrv.properties
	ConfigBlackList string `property:"configBlackList"` // keys that cannot be changed while it runs, with ";" between; default configBlackList;configStorePath;kvConfigPath

	OrderMessageEnable             bool `property:"orderMessageEnable"`             // tell clients the order of ordered topics; default false
	ReturnOrderTopicConfigToBroker bool `property:"returnOrderTopicConfigToBroker"` // tell brokers the ordered topics; default true
	EnableAllTopicList             bool `property:"enableAllTopicList"`             // list all topics; default true
	EnableTopicList                bool `property:"enableTopicList"`                // list topics by cluster and flag; default true

	ScanNotActiveBrokerInterval       int64 `property:"scanNotActiveBrokerInterval"`       // ms between looks for silent brokers; default 5000
	DeleteTopicWithBrokerRegistration bool  `property:"deleteTopicWithBrokerRegistration"` // drop topics that a registration lacks; default false
	SupportActingMaster               bool  `property:"supportActingMaster"`               // answer the smallest slave as master when a group lost its own; default false
	NotifyMinBrokerIDChanged          bool  `property:"notifyMinBrokerIdChanged"`          // tell a group's members that its smallest id is another; default false
	NeedWaitForService                bool  `property:"needWaitForService"`                // refuse routes at first, so that brokers can register; default false
	WaitSecondsForService             int64 `property:"waitSecondsForService"`             // s of that; default 45

	ServerChannelMaxIdleTimeSeconds int64 `property:"serverChannelMaxIdleTimeSeconds"` // s after which a silent connection is closed; default 120

	// AddressServerPort serves the HTTP endpoint that clients without a configured name server ask,
	// http://<rocketmq.namesrv.domain>:8080/rocketmq/nsaddr. Zero does not serve it, since other programs like port 8080
	// as well; -1 is any free port. Not RocketMQ's.
	AddressServerPort int `property:"addressServerPort"`
	// AddressServerAddrs is what the endpoint answers: host:port of all name servers, with ";" between. Empty: this one
	// alone, at the address where the client reached the endpoint. Not RocketMQ's.
	AddressServerAddrs string `property:"addressServerAddrs"`

	BrokersMax int `property:"brokersMax"` // registered brokers at most; default 10000. Not RocketMQ's
	TopicsMax  int `property:"topicsMax"`  // topics at most, each counted once a broker name; default 4000000. Not RocketMQ's

	FS       vfs.FS           // default the operating system's
	Now      func() time.Time // default time.Now
	Listener EventListener    // told what happens; its functions may be nil
}

// DefaultOptions returns the options with RocketMQ's defaults.
func DefaultOptions() *Options {
	o := &Options{ReturnOrderTopicConfigToBroker: true, EnableAllTopicList: true, EnableTopicList: true}
	o.ensureDefaults()
	return o
}

func (o *Options) ensureDefaults() {
	o.BindAddress = cmp.Or(o.BindAddress, "0.0.0.0")
	o.ListenPort = cmp.Or(o.ListenPort, 9876)
	o.KVConfigPath = cmp.Or(o.KVConfigPath, homeFile("kvConfig.json"))
	o.ConfigStorePath = cmp.Or(o.ConfigStorePath, homeFile("namesrv.properties"))
	o.ConfigBlackList = cmp.Or(o.ConfigBlackList, "configBlackList;configStorePath;kvConfigPath")
	o.ScanNotActiveBrokerInterval = cmp.Or(o.ScanNotActiveBrokerInterval, 5000)
	o.WaitSecondsForService = cmp.Or(o.WaitSecondsForService, 45)
	o.ServerChannelMaxIdleTimeSeconds = cmp.Or(o.ServerChannelMaxIdleTimeSeconds, 120)
	o.BrokersMax = cmp.Or(o.BrokersMax, defaultBrokersMax)
	o.TopicsMax = cmp.Or(o.TopicsMax, defaultTopicsMax)
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

func homeFile(name string) string {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	return filepath.Join(home, "namesrv", name)
}

// Validate says everything that is wrong with the options, each complaint naming the property.
func (o *Options) Validate() error {
	var faults []error
	fault := func(property, format string, args ...any) {
		faults = append(faults, fmt.Errorf("property %s: %s", property, fmt.Sprintf(format, args...)))
	}
	if o.ListenPort != -1 && (o.ListenPort < 1 || o.ListenPort > 65535) {
		fault("listenPort", "%d is no port", o.ListenPort)
	}
	if o.AddressServerPort < -1 || o.AddressServerPort > 65535 {
		fault("addressServerPort", "%d is no port", o.AddressServerPort)
	}
	for _, addr := range splitList(o.AddressServerAddrs) {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			fault("addressServerAddrs", "%q is not host:port", addr)
		}
	}
	for _, c := range []struct {
		property string
		value    int64
	}{
		{"scanNotActiveBrokerInterval", o.ScanNotActiveBrokerInterval},
		{"serverChannelMaxIdleTimeSeconds", o.ServerChannelMaxIdleTimeSeconds},
		{"brokersMax", int64(o.BrokersMax)},
		{"topicsMax", int64(o.TopicsMax)},
	} {
		if c.value < 1 || c.value > 1<<31 {
			fault(c.property, "%d is not between 1 and %d", c.value, int64(1<<31))
		}
	}
	if o.WaitSecondsForService < 0 || o.WaitSecondsForService > 1<<31 {
		fault("waitSecondsForService", "%d is not between 0 and %d", o.WaitSecondsForService, int64(1<<31))
	}
	return errors.Join(faults...)
}

// tableOptions are those of the route table.
func (o *Options) tableOptions() TableOptions {
	return TableOptions{
		SupportActingMaster:               o.SupportActingMaster,
		DeleteTopicWithBrokerRegistration: o.DeleteTopicWithBrokerRegistration,
		BrokersMax:                        o.BrokersMax,
		TopicsMax:                         o.TopicsMax,
	}
}

// fixed says whether a key cannot be changed while the name server runs. The list itself and the files never can.
func (o *Options) fixed(key string) bool {
	return slices.Contains([]string{"configBlackList", "configStorePath", "kvConfigPath", "rocketmqHome"}, key) ||
		slices.Contains(splitList(o.ConfigBlackList), key)
}

func splitList(text string) (list []string) {
	for part := range strings.SplitSeq(text, ";") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}
