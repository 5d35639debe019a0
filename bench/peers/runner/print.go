package runner

import (
	"fmt"
	"io"
	"maps"
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
	{"read/s", "%.0f", func(r measure.Result) float64 { return r.ReadRate }},
	{"CPU µs", "%.2f", func(r measure.Result) float64 { return r.CPU }},
	{"p50 µs", "%.1f", func(r measure.Result) float64 { return r.P50 }},
	{"p99 µs", "%.1f", func(r measure.Result) float64 { return r.P99 }},
	{"p999 µs", "%.1f", func(r measure.Result) float64 { return r.P999 }},
	{"max ms", "%.1f", func(r measure.Result) float64 { return r.Max / 1e3 }},
	{"allocs", "%.3f", func(r measure.Result) float64 { return r.Allocs }},
	{"alloc B", "%.1f", func(r measure.Result) float64 { return r.AllocBytes }},
	{"files", "%.0f", func(r measure.Result) float64 { return r.Files }},
	{"anon MiB", "%.0f", func(r measure.Result) float64 { return r.Anonymous }},
	{"idle %", "%.2f", func(r measure.Result) float64 { return r.Idle }},
	{"load CPU µs", "%.2f", func(r measure.Result) float64 { return r.LoadCPU }},
	{"stolen ms", "%.0f", func(r measure.Result) float64 { return r.Stolen }},
	{"failed", "%.0f", func(r measure.Result) float64 { return float64(r.Failed) }},
	{"messages", "%.0f", func(r measure.Result) float64 { return float64(r.Messages) }},
	{"seconds", "%.3f", func(r measure.Result) float64 { return r.Seconds }},
}

// figures returns the titles of the columns that a study fills, and a row for each side and thing measured.
func figures(s Study, m Medians) (titles []string, rows [][]string) {
	var results []measure.Result
	for _, side := range s.Sides {
		names := slices.Sorted(maps.Keys(m[side.Name]))
		for _, name := range names {
			title := side.Name
			if len(names) > 1 {
				title += ", " + name
			}
			rows = append(rows, []string{title})
			results = append(results, m[side.Name][name])
		}
	}
	titles = []string{""}
	for _, c := range columns {
		if !slices.ContainsFunc(results, func(r measure.Result) bool { return c.value(r) != 0 }) {
			continue
		}
		titles = append(titles, c.title)
		for i, r := range results {
			rows[i] = append(rows[i], fmt.Sprintf(c.format, c.value(r)))
		}
	}
	return titles, rows
}

// printFigures prints the medians of a study.
func printFigures(out io.Writer, s Study, m Medians) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer w.Flush()
	titles, rows := figures(s, m)
	for _, row := range append([][]string{titles}, rows...) {
		fmt.Fprintln(w, strings.Join(row, "\t")+"\t")
	}
}

func figure(v float64, unit string) string {
	s := fmt.Sprintf("%.4g", v)
	if v >= 1000 {
		s = fmt.Sprintf("%.0f", v)
	}
	return strings.TrimSpace(s + " " + unit)
}
