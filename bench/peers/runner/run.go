package runner

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options are the flags of a run.
type Options struct {
	Studies string
	Rounds  int
	Sides   string
	JSON    string
	From    string
	Out     string
	Env     Env
}

// Flags declares the options.
func Flags(f *flag.FlagSet) *Options {
	o := &Options{}
	f.StringVar(&o.Studies, "study", "all", "studies to run, separated by commas: "+strings.Join(names(), ", "))
	f.StringVar(&o.Sides, "side", "", "run only sides whose name begins so, such as ours")
	f.IntVar(&o.Rounds, "rounds", 3, "rounds; the median over them is judged")
	f.DurationVar(&o.Env.Measure, "measure", 3*time.Second, "how long each run measures, after a warm-up of its own")
	f.IntVar(&o.Env.Touch, "touch", 8, "GiB of memory to take before each run and give back in it; 0 is none")
	f.StringVar(&o.Env.Dir, "dir", "", "where stores are made and deleted, on the disk to be measured (default: the temporary directory)")
	f.StringVar(&o.Env.RepoDir, "repo", "../..", "root of the repository")
	f.StringVar(&o.Env.JavaDir, "java", "java", "directory of the Java harness's pom.xml")
	f.StringVar(&o.JSON, "json", "", "also write all runs to this file")
	f.StringVar(&o.From, "from", "", "run nothing, but report what -json wrote to these files, separated by commas; of a study in many the last counts")
	f.StringVar(&o.Out, "out", "", "also write the table and the picture of all studies to this directory: table.md and picture.svg")
	return o
}

// Studies returns all of them, in the order in which they run.
func Studies() []Study {
	return append([]Study{
		putStudy("async", 1), putStudy("async", 8), putStudy("async", 64), bodyStudy(100), bodyStudy(16 << 10), indexStudy(),
		putStudy("sync", 1), putStudy("sync", 8), putStudy("sync", 64), readStudy(), lagStudy(),
		rollStudy(), retentionStudy(), scanStudy(), openStudy(),
		brokerStudy(), filterStudy(), replicationStudy(), catchUpStudy(), idleStudy(), queuesStudy(), manyQueuesStudy(),
	}, messagingStudies()...)
}

func names() (all []string) {
	for _, s := range Studies() {
		all = append(all, s.Name)
	}
	return all
}

// ErrMissed says that a bar was judged and is not met.
var ErrMissed = errors.New("a bar is not met")

// Run runs the studies asked for, prints the tables to out and what it is at to progress. It returns
// ErrMissed when a bar is not met. When ctx ends, it ends its children and leaves nothing behind.
func Run(ctx context.Context, o *Options, out, progress io.Writer) error {
	if o.From != "" {
		rec, err := readRecord(o.From)
		if err != nil {
			return err
		}
		for _, s := range Studies() {
			if rec[s.Name] != nil {
				fmt.Fprintf(out, "\n%s\n", s.Title)
				printFigures(out, s, rec.medians(s))
			}
		}
		fmt.Fprintln(out)
		return rec.report(o.Out, out)
	}
	studies, err := choose(o.Studies)
	if err != nil {
		return err
	}
	e := &o.Env
	e.memory = new(heldMemory)
	if e.Dir, err = os.MkdirTemp(e.Dir, "peers-"); err != nil {
		return err
	}
	defer os.RemoveAll(e.Dir)
	for _, dir := range []*string{&e.RepoDir, &e.JavaDir, &e.Dir} {
		if *dir, err = filepath.Abs(*dir); err != nil {
			return err
		}
	}
	e.ctx = ctx
	begin := time.Now()
	rec, err := runAll(e, studies, o, out, progress)
	if ctx.Err() != nil {
		return cmp.Or(err, ctx.Err())
	}
	fmt.Fprintf(out, "\n%d rounds of %v, medians, in %v\n\n", o.Rounds, e.Measure, time.Since(begin).Round(time.Second))
	return errors.Join(err, rec.report(o.Out, out))
}

// record holds all runs by study and side.
type record map[string]map[string][]Results

// runAll runs studies and prints the figures of each when it has run. One that fails does not keep the others from
// running.
func runAll(e *Env, studies []Study, o *Options, out, progress io.Writer) (record, error) {
	rec := record{}
	if err := e.prepare(studies); err != nil {
		return rec, err
	}
	var failed error
	for _, s := range studies {
		runs, err := runStudy(e, s, o, out, progress)
		if err != nil {
			err = fmt.Errorf("study %s: %w", s.Name, err)
			fmt.Fprintln(progress, err)
			failed = errors.Join(failed, err)
			if e.ctx.Err() != nil {
				break
			}
			continue
		}
		rec[s.Name] = runs
		printFigures(out, s, rec.medians(s))
		if err := rec.write(o.JSON); err != nil {
			return rec, errors.Join(failed, err)
		}
	}
	return rec, failed
}

// write writes it to a file, if that has a name: after each study, as a run takes long.
func (rec record) write(name string) error {
	if name == "" {
		return nil
	}
	b, err := json.MarshalIndent(rec, "", " ")
	return cmp.Or(err, os.WriteFile(name, b, 0o644))
}

// readRecord reads what -json wrote.
func readRecord(names string) (record, error) {
	rec := record{}
	for name := range strings.SplitSeq(names, ",") {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b, &rec); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return rec, nil
}

func (rec record) medians(s Study) Medians {
	m := Medians{}
	for side, runs := range rec[s.Name] {
		m[side] = median(runs)
	}
	return m
}

func choose(names string) ([]Study, error) {
	all := Studies()
	if names == "all" {
		return all, nil
	}
	var chosen []Study
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(s Study) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no study %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// runStudy runs the sides in turns. What one round cannot do, the study cannot.
func runStudy(e *Env, s Study, o *Options, out, progress io.Writer) (map[string][]Results, error) {
	fmt.Fprintf(out, "\n%s\n", s.Title)
	runs := map[string][]Results{}
	rounds := o.Rounds
	if s.Once {
		rounds = min(rounds, 1)
	}
	for round := range rounds {
		for _, side := range s.Sides {
			if !strings.HasPrefix(side.Name, o.Sides) {
				continue
			}
			if side.Missing != nil {
				if why := side.Missing(e); why != "" {
					if round == 0 {
						fmt.Fprintf(out, "  %s: left out, %s\n", side.Name, why)
					}
					continue
				}
			}
			begin := time.Now()
			r, err := runSide(e, s, side)
			fmt.Fprintf(progress, "  round %d of %d, %s: %v\n", round+1, rounds, side.Name, time.Since(begin).Round(100*time.Millisecond))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", side.Name, err)
			}
			runs[side.Name] = append(runs[side.Name], r)
		}
	}
	return runs, nil
}

func runSide(e *Env, s Study, side Side) (Results, error) {
	if err := e.begin(); err != nil {
		return nil, err
	}
	r, err := side.Run(e)
	return r, cmp.Or(err, e.end(s.ManyFiles))
}
