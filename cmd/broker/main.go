package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/rocketlog/rocketlog/broker"
	"github.com/rocketlog/rocketlog/internal/daemon"
	"github.com/rocketlog/rocketlog/internal/properties"
	"github.com/rocketlog/rocketlog/nameserver"
)

func main() {
	os.Exit(run(os.Args, os.Stdout, os.Stderr, daemon.Signals()))
}

// run is main without the process: it gives the exit code.
func run(args []string, stdout, stderr io.Writer, signals <-chan os.Signal) int {
	line, code := parseFlags(args, stderr)
	if line == nil {
		return code
	}
	log := daemon.NewLogger(stderr)
	config, err := loadSettings(log, line)
	if err != nil {
		log.Error("broker does not start", "err", err)
		return daemon.ExitFailed
	}
	if line.printAll || line.printImportant {
		_, _ = stdout.Write(properties.Format(config.entries(line.printImportant)))
		return daemon.ExitOK
	}
	stopProfile, err := startProfile(line.profile)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return daemon.ExitUsage
	}
	defer stopProfile()
	running, err := start(log, config)
	if err != nil {
		log.Error("broker does not start", "err", err)
		return daemon.ExitFailed
	}
	return daemon.Serve(log, signals, running.stop)
}

// commandLine is what the flags say.
type commandLine struct {
	configFile     string
	nameServers    string
	storeDir       string
	printAll       bool
	printImportant bool
	profile        string
}

const usage = `Usage: %s [flags]

Runs a RocketMQ broker. Told of no name server, by flag, config file or the
environment variable NAMESRV_ADDR, it brings its own on port 9876.

  -c, --configFile FILE       settings, as broker.conf
  -n, --namesrvAddr ADDRS     name servers, as '192.168.0.1:9876;192.168.0.2:9876'
  -d, --storePathRootDir DIR  the data, in place of the folder in the settings
  -p, --printConfigItem       print all settings and exit
  -m, --printImportantConfig  print the important settings and exit
  --profile KIND[=DIR]        write a profile to DIR, or the working folder, when
                              it stops: cpu, mem, mutex, block, trace or goroutine
  -h, --help                  print this and exit
`

// parseFlags gives nil and an exit code when there is nothing more to do.
func parseFlags(args []string, stderr io.Writer) (*commandLine, int) {
	line := new(commandLine)
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintf(stderr, usage, filepath.Base(args[0])) }
	text := func(value *string, short, long string) {
		flags.StringVar(value, short, "", "")
		flags.StringVar(value, long, "", "")
	}
	text(&line.configFile, "c", "configFile")
	text(&line.nameServers, "n", "namesrvAddr")
	text(&line.storeDir, "d", "storePathRootDir")
	on := func(value *bool, short, long string) {
		flags.BoolVar(value, short, false, "")
		flags.BoolVar(value, long, false, "")
	}
	on(&line.printAll, "p", "printConfigItem")
	on(&line.printImportant, "m", "printImportantConfig")
	flags.StringVar(&line.profile, "profile", "", "")
	switch err := flags.Parse(args[1:]); {
	case err == flag.ErrHelp:
		return nil, daemon.ExitOK
	case err != nil:
		return nil, daemon.ExitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "unexpected argument %q\n", flags.Arg(0))
		flags.Usage()
		return nil, daemon.ExitUsage
	}
	return line, daemon.ExitOK
}

// services are what runs: a broker, and a name server or nil.
type services struct {
	broker     *broker.Host
	nameServer *nameserver.Server
}

func start(log *slog.Logger, config *settings) (*services, error) {
	running := new(services)
	if config.embed {
		server, err := nameserver.New(config.nameServer)
		if err == nil {
			err = server.Start()
		}
		if err != nil {
			return nil, fmt.Errorf("%w (if one runs already, name it with -n)", err)
		}
		running.nameServer = server
		config.broker.NamesrvAddr = config.localAddr(server)
		log.Info("The Name Server boot success", "addr", server.Addr(), "kvConfig", config.nameServer.KVConfigPath)
		if server.HTTPAddr().IsValid() {
			log.Info("clients may ask for name servers", "url", "http://"+server.HTTPAddr().String()+"/rocketmq/nsaddr")
		}
	}
	host, err := broker.OpenHost(config.broker)
	if err != nil {
		if running.nameServer != nil {
			err = errors.Join(err, running.nameServer.Close(context.Background()))
		}
		return nil, err
	}
	running.broker = host
	b := host.Broker()
	dir, err := filepath.Abs(config.broker.StorePathRootDir)
	if err != nil {
		dir = config.broker.StorePathRootDir
	}
	log.Info(fmt.Sprintf("The broker[%s, %s] boot success", config.broker.BrokerName, b.Addr()),
		"vip", b.FastAddr(), "store", dir, "flush", config.broker.FlushDiskType, "namesrv", config.broker.NamesrvAddr)
	return running, nil
}

// stop ends the broker first, so that it can take its leave of the name server.
func (s *services) stop(ctx context.Context) error {
	err := s.broker.Close()
	if s.nameServer != nil {
		err = errors.Join(err, s.nameServer.Close(ctx))
	}
	return err
}
