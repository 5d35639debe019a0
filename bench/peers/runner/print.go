package runner

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

// columns of the table of figures; those that no side of a study fills are left out.
var columns = []struct {
	title  string
	format string
	value  func(measure.Result) float64
}{
	{"msgs/s", "%.0f", func(r measure.Result) float64 { return r.Rate }},
	{"put/s", "%.0f", func(r measure.Result) float64 { return r.PutRate }},
	{"CPU µs", "%.2f", func(r measure.Result) float64 { return r.CPU }},
	{"p50 µs", "%.1f", func(r measure.Result) float64 { return r.P50 }},
	{"p99 µs", "%.1f", func(r measure.Result) float64 { return r.P99 }},
	{"p999 µs", "%.1f", func(r measure.Result) float64 { return r.P999 }},
	{"max ms", "%.1f", func(r measure.Result) float64 { return r.Max / 1e3 }},
	{"allocs", "%.3f", func(r measure.Result) float64 { return r.Allocs }},
	{"anon MiB", "%.0f", func(r measure.Result) float64 { return r.Anonymous }},
	{"idle %", "%.2f", func(r measure.Result) float64 { return r.Idle }},
	{"load CPU µs", "%.2f", func(r measure.Result) float64 { return r.LoadCPU }},
	{"failed", "%.0f", func(r measure.Result) float64 { return float64(r.Failed) }},
	{"messages", "%.0f", func(r measure.Result) float64 { return float64(r.Messages) }},
	{"seconds", "%.3f", func(r measure.Result) float64 { return r.Seconds }},
}

// printFigures prints the medians of a study, one line a side and thing measured.
func printFigures(out io.Writer, s Study, m Medians) {
	type row struct {
		title string
		r     measure.Result
	}
	var rows []row
	for _, side := range s.Sides {
		names := make([]string, 0, len(m[side.Name]))
		for name := range m[side.Name] {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			title := side.Name
			if len(names) > 1 {
				title += ", " + name
			}
			rows = append(rows, row{title, m[side.Name][name]})
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer w.Flush()
	cells := make([]string, len(rows)+1)
	for _, c := range columns {
		if !slices.ContainsFunc(rows, func(r row) bool { return c.value(r.r) != 0 }) {
			continue
		}
		cells[0] += c.title + "\t"
		for i, r := range rows {
			cells[i+1] += fmt.Sprintf(c.format, c.value(r.r)) + "\t"
		}
	}
	fmt.Fprintln(w, "\t"+cells[0])
	for i, r := range rows {
		fmt.Fprintln(w, r.title+"\t"+cells[i+1])
	}
}

// printBars prints what must hold and whether it does.
func printBars(out io.Writer, bars []Bar) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "bar\tours\tother\tratio\twanted\tmet")
	missed := 0
	for _, b := range bars {
		if b.Missing != "" {
			fmt.Fprintf(w, "%s\t\t\t\t\tnot judged: %s\n", b.Text, b.Missing)
			continue
		}
		other, ratio, met := "", "", "yes"
		if b.Theirs != 0 {
			other, ratio = figure(b.Theirs, b.Unit), fmt.Sprintf("%.3f", b.Value())
		}
		if !b.Met() {
			met = "NO"
			missed++
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", b.Text, figure(b.Ours, b.Unit), other, ratio, b.want(), met)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if missed > 0 {
		return fmt.Errorf("%w: %d of %d", ErrMissed, missed, len(bars))
	}
	return nil
}

func figure(v float64, unit string) string {
	s := fmt.Sprintf("%.4g", v)
	if v >= 1000 {
		s = fmt.Sprintf("%.0f", v)
	}
	return strings.TrimSpace(s + " " + unit)
}
