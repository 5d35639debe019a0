package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rocketlog/rocketlog/broker"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/internal/daemon"
)

// arguments are what the command line asks for.
type arguments struct {
	dir        string
	configFile string
	json       bool
	only       string
	topic      string
	from       int64
	max        int64
	body       bool
	apply      bool
}

// kinds are what dump can print, in this order.
var kinds = []string{"checkpoint", "records", "queues", "index"}

// wants says whether a kind is to be dumped.
func (a *arguments) wants(kind string) bool {
	return a.only == "" || slices.Contains(strings.Split(a.only, ","), kind)
}

// parseArguments takes flags before and behind the folder. It gives nil and an exit code when there is nothing more to do.
func parseArguments(args []string, stderr io.Writer) (*arguments, int) {
	a := new(arguments)
	flags := flag.NewFlagSet("mqadmin", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	flags.StringVar(&a.configFile, "c", "", "")
	flags.BoolVar(&a.json, "json", false, "")
	flags.StringVar(&a.only, "only", "", "")
	flags.StringVar(&a.topic, "topic", "", "")
	flags.Int64Var(&a.from, "from", 0, "")
	flags.Int64Var(&a.max, "max", -1, "")
	flags.BoolVar(&a.body, "body", false, "")
	flags.BoolVar(&a.apply, "apply", false, "")
	var dirs []string
	for len(args) > 0 {
		if err := flags.Parse(args); err == flag.ErrHelp {
			return nil, daemon.ExitOK
		} else if err != nil {
			return nil, daemon.ExitUsage
		}
		if args = flags.Args(); len(args) > 0 {
			dirs, args = append(dirs, args[0]), args[1:]
		}
	}
	complaint := ""
	for kind := range strings.SplitSeq(a.only, ",") {
		if a.only != "" && !slices.Contains(kinds, kind) {
			complaint = fmt.Sprintf("%q is none of %s", kind, strings.Join(kinds, ","))
		}
	}
	if len(dirs) != 1 {
		complaint = "one store folder, please"
	}
	if complaint != "" {
		fmt.Fprintf(stderr, "mqadmin: %s\n%s", complaint, usage)
		return nil, daemon.ExitUsage
	}
	a.dir = dirs[0]
	return a, daemon.ExitOK
}

// options are the store's, and its other parts, from the config file and, for the sizes that the files show, from these.
func (a *arguments) options(stderr io.Writer) (*engine.Options, []engine.Part, error) {
	if info, err := os.Stat(a.dir); err != nil {
		return nil, nil, err
	} else if !info.IsDir() {
		return nil, nil, fmt.Errorf("%s is no folder", a.dir)
	}
	settings := broker.DefaultOptions()
	settings.MappedFileSizeCommitLog, settings.MappedFileSizeConsumeQueue, settings.MappedFileSizeTimerLog = 0, 0, 0
	if err := daemon.LoadConfig(daemon.NewLogger(stderr), a.configFile, settings); err != nil {
		return nil, nil, err
	}
	logDir := cmp.Or(settings.StorePathCommitLog, filepath.Join(a.dir, "commitlog"))
	if _, err := os.Stat(logDir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s holds no store: there is no %s", a.dir, logDir)
	} else if err != nil {
		return nil, nil, err
	}
	logSize, err := usualFileSize(filepath.Join(logDir, "*"))
	if err != nil {
		return nil, nil, err
	}
	queueSize, err := usualFileSize(filepath.Join(a.dir, "consumequeue", "*", "*", "*"))
	if err != nil {
		return nil, nil, err
	}
	timerSize, err := usualFileSize(filepath.Join(a.dir, "timerlog", "*"))
	if err != nil {
		return nil, nil, err
	}
	settings.MappedFileSizeCommitLog = cmp.Or(settings.MappedFileSizeCommitLog, logSize)
	settings.MappedFileSizeConsumeQueue = cmp.Or(settings.MappedFileSizeConsumeQueue, queueSize)
	settings.MappedFileSizeTimerLog = cmp.Or(settings.MappedFileSizeTimerLog, timerSize)
	options, err := settings.Engine()
	if err != nil {
		return nil, nil, err
	}
	options.EnsureDefaults()
	return options, broker.StoreParts(&settings.StoreOptions, options.FS, a.dir), nil
}

// usualFileSize gives the size of most files that fit the pattern and are named by an offset, of two that are as frequent the
// larger one: a file that was cut must not be taken for what all are to be. It is 0 when there is none.
func usualFileSize(pattern string) (usual int64, err error) {
	names, err := filepath.Glob(pattern)
	if err != nil {
		return 0, err
	}
	files := map[int64]int{}
	for _, name := range names {
		if strings.Trim(filepath.Base(name), "0123456789") != "" {
			continue
		}
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if info.Mode().IsRegular() {
			files[info.Size()]++
		}
	}
	for size, n := range files {
		if most := files[usual]; n > most || n == most && size > usual {
			usual = size
		}
	}
	return usual, nil
}
