package runner

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// entry is a line of the table of all studies: a figure beside another side's, or a bar, which is such a line with a bound.
type entry struct {
	text, ours, other, ratio, wanted, met string
}

var heading = entry{"study", "ours", "other", "ratio", "wanted", "met"}

func (e entry) cells() []string { return []string{e.text, e.ours, e.other, e.ratio, e.wanted, e.met} }

func (c Comparison) entry() entry {
	return entry{
		text: c.Figure.Label + " beside " + c.Side, ours: figure(c.Ours, c.Figure.Unit), other: figure(c.Theirs, c.Figure.Unit),
		ratio: fmt.Sprintf("%.3f", c.Ours/c.Theirs),
	}
}

func (b Bar) entry() entry {
	if b.Missing != "" {
		return entry{text: b.Text, met: "not judged: " + b.Missing}
	}
	e := entry{text: b.Text, ours: figure(b.Ours, b.Unit), wanted: b.want(), met: "yes"}
	if !b.Fixed {
		e.other, e.ratio = figure(b.Theirs, b.Unit), fmt.Sprintf("%.3f", b.Value())
	}
	if !b.Met() {
		e.met = "NO"
	}
	return e
}

// section is a study in the report.
type section struct {
	study       Study
	medians     Medians
	comparisons []Comparison
	bars        []Bar
}

func (rec record) sections() (all []section) {
	for _, s := range Studies() {
		m := rec.medians(s)
		if m[ours] != nil {
			all = append(all, section{s, m, s.comparisons(m), s.Bars(m)})
		}
	}
	return all
}

// report prints the table of all studies to out, and writes it with the figures and the picture to dir unless that is
// empty. The error is ErrMissed when a bar is.
func (rec record) report(dir string, out io.Writer) error {
	sections := rec.sections()
	if err := printTable(out, sections); err != nil {
		return err
	}
	if dir != "" {
		if err := writeReport(dir, sections); err != nil {
			return err
		}
	}
	bars, missed := 0, 0
	for _, s := range sections {
		for _, b := range s.bars {
			bars++
			if b.Missing == "" && !b.Met() {
				missed++
			}
		}
	}
	if missed > 0 {
		return fmt.Errorf("%w: %d of %d", ErrMissed, missed, bars)
	}
	return nil
}

func printTable(out io.Writer, sections []section) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(heading.cells(), "\t"))
	for _, s := range sections {
		fmt.Fprintln(w, s.study.Name+"\t\t\t\t\t")
		for _, e := range s.entries() {
			fmt.Fprintln(w, "  "+strings.Join(e.cells(), "\t"))
		}
	}
	return w.Flush()
}

func (s section) entries() (all []entry) {
	for _, c := range s.comparisons {
		all = append(all, c.entry())
	}
	for _, b := range s.bars {
		all = append(all, b.entry())
	}
	return all
}

func writeReport(dir string, sections []section) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var table strings.Builder
	markdown(&table, sections)
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "table.md"), []byte(table.String()), 0o644),
		os.WriteFile(filepath.Join(dir, "picture.svg"), picture(sections), 0o644))
}

// markdown writes the table of ratios and bars, then the figures of each study.
func markdown(w io.Writer, sections []section) {
	fmt.Fprint(w, "# All studies\n\nRatios are ours by the other's. Lines with a bound are bars.\n\n")
	row := func(cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }
	row(heading.cells())
	fmt.Fprintln(w, "|---|--:|--:|--:|--:|---|")
	for _, s := range sections {
		row([]string{"**" + s.study.Name + "**", "", "", "", "", ""})
		for _, e := range s.entries() {
			row(e.cells())
		}
	}
	for _, s := range sections {
		fmt.Fprintf(w, "\n## %s\n\n%s.\n\n", s.study.Name, s.study.Title)
		titles, rows := figures(s.study, s.medians)
		row(titles)
		fmt.Fprintln(w, "|---|"+strings.Repeat("--:|", len(titles)-1))
		for _, r := range rows {
			row(r)
		}
	}
}
