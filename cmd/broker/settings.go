package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rocketlog/rocketlog/broker"
	"github.com/rocketlog/rocketlog/broker/config"
	"github.com/rocketlog/rocketlog/internal/daemon"
	"github.com/rocketlog/rocketlog/internal/properties"
	"github.com/rocketlog/rocketlog/nameserver"
)

// envNameServers is the environment variable that RocketMQ's programs read.
const envNameServers = "NAMESRV_ADDR"

// settings are what flags, config file and environment come to.
type settings struct {
	broker     *broker.Options
	nameServer *nameserver.Options // only used when embed is true
	embed      bool
	embedded
}

// embedded are the keys that only a broker with its own name server has. The name server's other keys may stand in the
// broker's config file too, but those that the broker has as well are the broker's.
type embedded struct {
	NamesrvListenPort int `property:"namesrvListenPort"` // default 9876; -1 any free port (for tests)
}

// loadSettings joins what is said where: a flag comes before the config file, the file before the environment. A broker
// that is told of no name server brings its own.
func loadSettings(log *slog.Logger, line *commandLine) (*settings, error) {
	s := &settings{broker: broker.DefaultOptions(), nameServer: nameserver.DefaultOptions(), embedded: embedded{NamesrvListenPort: 9876}}
	s.broker.Logger = log
	if line.storeDir != "" {
		s.broker.StorePathRootDir = line.storeDir
	}
	file, kept := configFiles(line, s.broker.StorePathRootDir)
	nameServers, err := nameServersIn(line.nameServers, file)
	if err != nil {
		return nil, err
	}
	s.embed = nameServers == ""
	targets := []any{s.broker}
	if s.embed {
		targets = append(targets, s.nameServer, &s.embedded)
	}
	kvConfig := s.nameServer.KVConfigPath
	if err := daemon.LoadConfig(log, file, targets...); err != nil {
		return nil, err
	}
	s.broker.OnConfigChange = config.Keep(kept)
	s.broker.NamesrvAddr = nameServers
	if line.storeDir != "" {
		s.broker.StorePathRootDir = line.storeDir
	}
	s.prepareNameServer(log, kvConfig)
	return s, nil
}

// configFiles gives the config file to read, if there is one, and the one to keep what an administrator changes: that of the
// flag, or else one in the store that is read at the next start.
func configFiles(line *commandLine, root string) (read, keep string) {
	if line.configFile != "" {
		return line.configFile, line.configFile
	}
	keep = config.Kept(root)
	if _, err := os.Stat(keep); err == nil {
		read = keep
	}
	return read, keep
}

// nameServersIn gives the name servers of the flag, of the config file or of the environment, whichever has them first.
func nameServersIn(flag, file string) (string, error) {
	if addrs := trimAddrs(flag); addrs != "" {
		return addrs, nil
	}
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("config file: %w", err)
		}
		entries, err := properties.Parse(file, data)
		if err != nil {
			return "", err
		}
		for _, e := range slices.Backward(entries) {
			if e.Key == "namesrvAddr" && trimAddrs(e.Value) != "" {
				return trimAddrs(e.Value), nil
			}
		}
	}
	return trimAddrs(os.Getenv(envNameServers)), nil
}

func trimAddrs(list string) string {
	return strings.Trim(list, "; \t")
}

// prepareNameServer keeps the embedded name server's files beside the broker's and its port its own.
func (s *settings) prepareNameServer(log *slog.Logger, defaultKVConfig string) {
	o, defaults := s.nameServer, nameserver.DefaultOptions()
	o.Listener = nameserver.LogEvents(log)
	o.ListenPort = s.NamesrvListenPort
	o.ConfigBlackList = defaults.ConfigBlackList
	o.ConfigStorePath = filepath.Join(s.broker.StorePathRootDir, "config", "namesrv.properties")
	if o.KVConfigPath == defaultKVConfig {
		o.KVConfigPath = filepath.Join(s.broker.StorePathRootDir, "config", "kvConfig.json")
	}
}

// localAddr is where the broker finds the name server in its own process.
func (s *settings) localAddr(server *nameserver.Server) string {
	addr := server.Addr()
	host := addr.Addr().String()
	if addr.Addr().IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(int(addr.Port())))
}

// importantKeys are those that RocketMQ marks so.
var importantKeys = []string{
	"accessMessageInMemoryMaxRatio", "autoCreateSubscriptionGroup", "autoCreateTopicEnable", "brokerClusterName", "brokerIP1",
	"brokerId", "brokerName", "brokerRole", "cleanFileForciblyEnable", "commitIntervalCommitLog", "deleteWhen",
	"fileReservedTime", "flushDiskType", "flushIntervalCommitLog", "listenPort", "maxTransferBytesOnMessageInDisk",
	"maxTransferBytesOnMessageInMemory", "maxTransferCountOnMessageInDisk", "maxTransferCountOnMessageInMemory",
	"messageIndexEnable", "msgTraceTopicName", "namesrvAddr", "rejectTransactionMessage", "storePathCommitLog",
	"storePathRootDir", "traceTopicEnable", "transientStorePoolEnable",
}

// entries are the settings to print.
func (s *settings) entries(important bool) []properties.Entry {
	entries := properties.Entries(s.broker)
	if s.embed {
		entries = append(entries, properties.Entries(s.embedded)...)
	}
	if important {
		entries = slices.DeleteFunc(entries, func(e properties.Entry) bool { return !slices.Contains(importantKeys, e.Key) })
	}
	return entries
}
