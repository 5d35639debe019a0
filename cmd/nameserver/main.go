package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rocketlog/rocketlog/internal/daemon"
	"github.com/rocketlog/rocketlog/internal/properties"
	"github.com/rocketlog/rocketlog/nameserver"
)

func main() {
	os.Exit(run(os.Args, os.Stdout, os.Stderr, daemon.Signals()))
}

const usage = `Usage: %s [flags]

Runs a RocketMQ name server, on port 9876 unless the settings have another.

  -c, --configFile FILE  settings, as namesrv.properties
  -p, --printConfigItem  print all settings and exit
  -h, --help             print this and exit
`

// run is main without the process: it gives the exit code.
func run(args []string, stdout, stderr io.Writer, signals <-chan os.Signal) int {
	var configFile string
	var printConfig bool
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintf(stderr, usage, filepath.Base(args[0])) }
	flags.StringVar(&configFile, "c", "", "")
	flags.StringVar(&configFile, "configFile", "", "")
	flags.BoolVar(&printConfig, "p", false, "")
	flags.BoolVar(&printConfig, "printConfigItem", false, "")
	switch err := flags.Parse(args[1:]); {
	case err == flag.ErrHelp:
		return daemon.ExitOK
	case err != nil:
		return daemon.ExitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "unexpected argument %q\n", flags.Arg(0))
		flags.Usage()
		return daemon.ExitUsage
	}

	log := daemon.NewLogger(stderr)
	options := nameserver.DefaultOptions()
	options.Listener = nameserver.LogEvents(log)
	if configFile != "" {
		options.ConfigStorePath = configFile // as with RocketMQ, settings changed from afar go where they came from
	}
	if err := daemon.LoadConfig(log, configFile, options); err != nil {
		log.Error("name server does not start", "err", err)
		return daemon.ExitFailed
	}
	if printConfig {
		_, _ = stdout.Write(properties.Format(properties.Entries(options)))
		return daemon.ExitOK
	}
	server, err := nameserver.New(options)
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		log.Error("name server does not start", "err", err)
		return daemon.ExitFailed
	}
	log.Info("The Name Server boot success", "addr", server.Addr(), "kvConfig", options.KVConfigPath)
	if server.HTTPAddr().IsValid() {
		log.Info("clients may ask for name servers", "url", "http://"+server.HTTPAddr().String()+"/rocketmq/nsaddr")
	}
	return daemon.Serve(log, signals, server.Close)
}
