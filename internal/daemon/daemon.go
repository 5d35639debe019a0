package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rocketlog/rocketlog/internal/properties"
)

// Exit codes of the commands.
const (
	ExitOK     = 0
	ExitFailed = 1 // could not start, or not stop in order
	ExitUsage  = 2 // the command line is wrong, as the flag package has it
	ExitKilled = 3 // the second signal
)

// stopPatience bounds an orderly stop.
const stopPatience = 30 * time.Second

// NewLogger makes the daemons' log: a line an event, key=value.
func NewLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, nil))
}

// LoadConfig reads a .properties file into the targets, as properties.Load does, and logs what in it has no effect. An empty
// name is no file.
func LoadConfig(log *slog.Logger, file string, targets ...any) error {
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("config file: %w", err)
	}
	warnings, err := properties.Load(file, data, targets...)
	for _, w := range warnings {
		log.Warn("config without effect", "file", w.File, "line", w.Line, "key", w.Key, "remark", w.Remark)
	}
	return err
}

// Signals gives the signals that stop a daemon. A hang-up that was ignored when it was started, by nohup, stays ignored.
func Signals() <-chan os.Signal {
	stop := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		stop = append(stop, syscall.SIGHUP)
	}
	c := make(chan os.Signal, 2)
	signal.Notify(c, stop...)
	return c
}

// Serve waits for a signal, then calls stop and gives the exit code. A second signal does not wait for it.
func Serve(log *slog.Logger, signals <-chan os.Signal, stop func(context.Context) error) int {
	log.Info("stopping", "signal", (<-signals).String())
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- stop(ctx) }()
	select {
	case err := <-stopped:
		if err != nil {
			log.Error("stopped", "err", err)
			return ExitFailed
		}
		log.Info("stopped")
		return ExitOK
	case s := <-signals:
		log.Warn("quitting at once", "signal", s.String())
		return ExitKilled
	}
}
