package runner

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rocketlog/rocketlog/bench/peers/measure"
)

// everyStudy is a record in which each side of each study has run, ours at twice the others' speed.
func everyStudy() record {
	rec := record{}
	for _, s := range Studies() {
		rec[s.Name] = map[string][]Results{}
		for _, side := range s.Sides {
			r := measure.Result{Rate: 1000, ReadRate: 10, CPU: 2, P50: 2, P99: 2, P999: 2, Seconds: 2, Idle: 2, Anonymous: 2}
			if side.Name == ours {
				r = measure.Result{Rate: 2000, ReadRate: 20, CPU: 1, P50: 1, P99: 1, P999: 1, Seconds: 1, Idle: 1, Anonymous: 1}
			}
			results := Results{}
			for _, f := range s.Compare {
				results[f.Name] = r
				if f.Other != "" {
					results[f.Other] = r
				}
			}
			rec[s.Name][side.Name] = []Results{results}
		}
	}
	return rec
}

func TestEveryRivalIsComparedWithOurs(t *testing.T) {
	for _, s := range everyStudy().sections() {
		compared := map[string]bool{}
		for _, c := range s.comparisons {
			if c.Better() != 2 {
				t.Errorf("%s: ours is %v times better than %s in %s, want 2", s.study.Name, c.Better(), c.Side, c.Figure.Label)
			}
			compared[c.Side] = true
		}
		for _, side := range s.study.Sides {
			if side.Name != ours && !compared[side.Name] {
				t.Errorf("%s: %s is compared with nothing", s.study.Name, side.Name)
			}
		}
	}
}

// TestReportFromRecords writes the record of a run in two files, and has the report made from both.
func TestReportFromRecords(t *testing.T) {
	dir := t.TempDir()
	var files []string
	first, second := record{}, record{}
	for name, runs := range everyStudy() {
		if strings.HasPrefix(name, "put-") {
			first[name] = runs
		} else {
			second[name] = runs
		}
	}
	for i, rec := range []record{first, second} {
		b, err := json.Marshal(rec)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, filepath.Join(dir, string(rune('a'+i))+".json"))
		if err := os.WriteFile(files[i], b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	err := Run(t.Context(), &Options{From: strings.Join(files, ","), Out: filepath.Join(dir, "out")}, &out, io.Discard)
	if !errors.Is(err, ErrMissed) { // ours is not good enough for all bars
		t.Fatalf("error %v", err)
	}
	table, err := os.ReadFile(filepath.Join(dir, "out", "table.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Studies() {
		if !strings.Contains(out.String(), s.Title) || !strings.Contains(string(table), "**"+s.Name+"**") {
			t.Errorf("%s is not in the report", s.Name)
		}
	}
	svg, err := os.Open(filepath.Join(dir, "out", "picture.svg"))
	if err != nil {
		t.Fatal(err)
	}
	defer svg.Close()
	rectangles := 0
	for d := xml.NewDecoder(svg); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the picture is not XML: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			rectangles++
		}
	}
	want := 1 // the background
	for _, s := range everyStudy().sections() {
		want += len(s.comparisons)
		for _, b := range s.bars {
			if b.Missing == "" {
				want++
			}
		}
	}
	if rectangles != want {
		t.Errorf("the picture has %d rectangles, want %d", rectangles, want)
	}
}
