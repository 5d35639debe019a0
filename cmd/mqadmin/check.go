package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/internal/daemon"
	"github.com/rocketlog/rocketlog/message"
)

// progressInterval is how often a long check says how far it is.
const progressInterval = 3 * time.Second

func runCheck(a *arguments, stdout, stderr io.Writer) (int, error) {
	options, parts, err := a.options(stderr)
	if err != nil {
		return 0, err
	}
	report, err := engine.Check(a.dir, options, progress(stderr), parts...)
	if err != nil {
		return 0, err
	}
	if a.json {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		err = printReport(stdout, a.dir, report)
	}
	if report.Found > 0 && a.configFile == "" {
		fmt.Fprintln(stderr, "If the broker has settings of its own, such as maxHashSlotNum, maxIndexNum or messageDelayLevel, name them with -c.")
	}
	if report.Found > 0 {
		return daemon.ExitFailed, err
	}
	return daemon.ExitOK, err
}

// progress says at intervals how far a check is.
func progress(stderr io.Writer) func(at, end message.PhyOffset) {
	said := time.Now()
	return func(at, end message.PhyOffset) {
		if now := time.Now(); now.Sub(said) >= progressInterval {
			said = now
			fmt.Fprintf(stderr, "checked the log up to %d of %d\n", at, end)
		}
	}
}

func printReport(out io.Writer, dir string, r *engine.Report) error {
	end := "by a clean stop"
	if !r.Clean {
		end = "by a crash: what follows the last checkpoint is for the next start to recover"
	}
	_, err := fmt.Fprintf(out, "store    %s\nended    %s\nlog      %d records in [%d, %d)\nqueues   %d with %d entries\nindex    %d entries\n",
		dir, end, r.Records, r.LogMin, r.LogEnd, r.Queues, r.Units, r.IndexEntries)
	if err != nil {
		return err
	}
	if r.Noted > 0 {
		if err := printProblems(out, "notes   ", r.Notes, r.Noted); err != nil {
			return err
		}
	}
	if r.Found == 0 {
		_, err = fmt.Fprintln(out, "result   no problem found")
		return err
	}
	return printProblems(out, "result   problems found:", r.Problems, r.Found)
}

// printProblems prints how many there are, and those that are listed.
func printProblems(out io.Writer, title string, listed []engine.Problem, count int) error {
	if _, err := fmt.Fprintf(out, "%s %d\n", title, count); err != nil {
		return err
	}
	for _, p := range listed {
		if _, err := fmt.Fprintln(out, " ", p); err != nil {
			return err
		}
	}
	if more := count - len(listed); more > 0 {
		_, err := fmt.Fprintf(out, "  and %d more\n", more)
		return err
	}
	return nil
}
