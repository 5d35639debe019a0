package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/internal/daemon"
)

func runRepair(a *arguments, stdout, stderr io.Writer) (int, error) {
	options, parts, err := a.options(stderr)
	if err != nil {
		return 0, err
	}
	var failed error
	say := func(format string, args ...any) {
		if _, err := fmt.Fprintf(stdout, format, args...); err != nil && failed == nil {
			failed = err
		}
	}
	before, after, err := engine.Repair(a.dir, options, func(r *engine.Report, steps []engine.RepairStep) bool {
		failed = printReport(stdout, a.dir, r)
		for _, step := range steps {
			say("step     %v\n", step)
		}
		switch {
		case !slices.ContainsFunc(steps, func(s engine.RepairStep) bool { return s.Path != "" }):
			say("nothing is to be done\n")
		case !a.apply:
			say("nothing was done; --apply does it\n")
		}
		return a.apply && failed == nil
	}, progress(stderr), parts...)
	if err != nil {
		return 0, err
	}
	if after != nil {
		say("\nafter the repair\n")
		if err := printReport(stdout, a.dir, after); err != nil {
			return 0, err
		}
		before = after
	}
	if before.Found > 0 {
		return daemon.ExitFailed, failed
	}
	return daemon.ExitOK, failed
}
