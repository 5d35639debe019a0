package runner

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

// Results are the figures of one run of a side, or their medians, by the name of what was measured.
type Results map[string]measure.Result

// Side is one of those compared.
type Side struct {
	Name string
	// Missing says why the side cannot run here; "" if it can.
	Missing func(*Env) string
	Run     func(*Env) (Results, error)
}

// Study is one comparison.
type Study struct {
	Name, Title string
	Sides       []Side
	// ManyFiles says that a run makes so many files that deleting them would slow the next: ext4 without a
	// journal passes over each inode deleted in the last minutes when it looks for a free one, which took
	// 20 µs a message. They stay until the end then.
	ManyFiles bool
	// Once says that more than one round would tell nothing more.
	Once bool
	// Compare are the figures of ours whose ratios to the other sides' are shown.
	Compare []Figure
	// Bars judges the medians, by side. It is asked only where ours ran.
	Bars func(m Medians) []Bar
}

// Figure is one figure of a study that sides are compared by.
type Figure struct {
	// Name is that of the result, and Other of the other sides' when that is not the same.
	Name, Other string
	Label, Unit string
	// Less says that less of it is better.
	Less  bool
	Value func(measure.Result) float64
}

func rate(name, label string) Figure {
	return Figure{Name: name, Label: label, Unit: "/s", Value: func(r measure.Result) float64 { return r.Rate }}
}

func cpu(name string) Figure {
	return Figure{Name: name, Label: "CPU a message", Unit: "µs", Less: true, Value: func(r measure.Result) float64 { return r.CPU }}
}

func p99(name, label string) Figure {
	return Figure{Name: name, Label: label, Unit: "µs", Less: true, Value: func(r measure.Result) float64 { return r.P99 }}
}

// Comparison is a figure of ours beside one other side's.
type Comparison struct {
	Figure       Figure
	Side         string
	Ours, Theirs float64
}

// Better returns how many times better ours is; below 1 the other is.
func (c Comparison) Better() float64 {
	if c.Figure.Less {
		return c.Theirs / c.Ours
	}
	return c.Ours / c.Theirs
}

// comparisons returns all that both sides have a figure for, by figure and then by side.
func (s Study) comparisons(m Medians) (all []Comparison) {
	for _, f := range s.Compare {
		our := f.Value(m[ours][f.Name])
		for _, side := range s.Sides {
			their := f.Value(m[side.Name][cmp.Or(f.Other, f.Name)])
			if side.Name == ours || our == 0 || their == 0 {
				continue
			}
			all = append(all, Comparison{Figure: f, Side: side.Name, Ours: our, Theirs: their})
		}
	}
	return all
}

// Medians are the medians of each side's runs.
type Medians map[string]Results

// Bar is one thing that must hold.
type Bar struct {
	Text string
	// Ours and Theirs are what is compared; Theirs is 0 where Fixed.
	Ours, Theirs float64
	Unit         string
	// Want is the bound of Ours/Theirs, or of Ours where the bar is Fixed; AtMost tells its side.
	Want          float64
	Fixed, AtMost bool
	// Missing says why it could not be judged.
	Missing string
}

// Value returns what is compared with Want.
func (b Bar) Value() float64 {
	if b.Fixed {
		return b.Ours
	}
	return b.Ours / b.Theirs
}

// Met tells whether the bar holds.
func (b Bar) Met() bool {
	if b.Missing != "" {
		return false
	}
	if b.AtMost {
		return b.Value() <= b.Want
	}
	return b.Value() >= b.Want
}

// atLeast and atMost make a bar of ours against theirs, atMostFixed against a figure.
func atLeast(text, unit string, ours, theirs, want float64) Bar {
	return Bar{Text: text, Unit: unit, Ours: ours, Theirs: theirs, Want: want}.judgeable()
}

func atMost(text, unit string, ours, theirs, want float64) Bar {
	return Bar{Text: text, Unit: unit, Ours: ours, Theirs: theirs, Want: want, AtMost: true}.judgeable()
}

func atMostFixed(text, unit string, ours, want float64) Bar {
	return Bar{Text: text, Unit: unit, Ours: ours, Want: want, Fixed: true, AtMost: true}
}

// judgeable says of a bar without the other side's figure that there is none.
func (b Bar) judgeable() Bar {
	if b.Theirs == 0 {
		b.Missing = "the other side did not run"
	}
	return b
}

// noJava is why a bar against Java is not judged.
const noJava = "no Java"

func missing(text, why string) Bar { return Bar{Text: text, Missing: why} }

// best returns the side with the highest rate among those with the prefix.
func (m Medians) best(prefix, name string) (side string, r measure.Result, ok bool) {
	sides := make([]string, 0, len(m))
	for s := range m {
		sides = append(sides, s)
	}
	slices.Sort(sides)
	for _, s := range sides {
		if len(s) < len(prefix) || s[:len(prefix)] != prefix {
			continue
		}
		if got, has := m[s][name]; has && (!ok || got.Rate > r.Rate) {
			side, r, ok = s, got, true
		}
	}
	return side, r, ok
}

// median takes the median of each field over the runs.
func median(runs []Results) Results {
	out := Results{}
	for name := range runs[0] {
		of := func(field func(measure.Result) float64) float64 {
			var values []float64
			for _, run := range runs {
				values = append(values, field(run[name]))
			}
			slices.Sort(values)
			n := len(values)
			return (values[(n-1)/2] + values[n/2]) / 2
		}
		type result = measure.Result
		r := result{
			Messages: int64(of(func(r result) float64 { return float64(r.Messages) })),
			Failed:   int64(of(func(r result) float64 { return float64(r.Failed) })),
			Bytes:    int64(of(func(r result) float64 { return float64(r.Bytes) })),
			Seconds:  of(func(r result) float64 { return r.Seconds }),
			Rate:     of(func(r result) float64 { return r.Rate }),
			PutRate:  of(func(r result) float64 { return r.PutRate }),
			CPU:      of(func(r result) float64 { return r.CPU }),
			LoadCPU:  of(func(r result) float64 { return r.LoadCPU }),
			P50:      of(func(r result) float64 { return r.P50 }),
			P99:      of(func(r result) float64 { return r.P99 }),
			P999:     of(func(r result) float64 { return r.P999 }),
			Max:      of(func(r result) float64 { return r.Max }),
			Allocs:   of(func(r result) float64 { return r.Allocs }),
			Idle:     of(func(r result) float64 { return r.Idle }),
			Files:    of(func(r result) float64 { return r.Files }),
			ReadRate: of(func(r result) float64 { return r.ReadRate }),
			Stolen:   of(func(r result) float64 { return r.Stolen }),

			Anonymous:  of(func(r result) float64 { return r.Anonymous }),
			AllocBytes: of(func(r result) float64 { return r.AllocBytes }),
		}
		for _, run := range runs {
			if r.FirstFailure == "" {
				r.FirstFailure = run[name].FirstFailure
			}
		}
		out[name] = r
	}
	return out
}

func (b Bar) want() string {
	sign := "≥"
	if b.AtMost {
		sign = "≤"
	}
	if b.Fixed {
		return strings.TrimSpace(fmt.Sprintf("%s %.4g %s", sign, b.Want, b.Unit))
	}
	return fmt.Sprintf("%s %.4gx", sign, b.Want)
}
