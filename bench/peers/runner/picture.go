package runner

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// The picture is drawn by hand: bars on one scale are rectangles and text, which is less than what a library for plots
// asks to be told, and brings no fonts or rasterizers with it.
const (
	pictureWidth = 980
	labelWidth   = 270 // names end here
	plotWidth    = 560 // of the scale
	rowHeight    = 17
	barHeight    = 11
	headHeight   = 26 // of a study's title
	scaleMin     = 0.1
	scaleMax     = 1000
)

const (
	colorBetter  = "#2b7a78"
	colorWorse   = "#c8553d"
	colorNeutral = "#8d99ae" // ours in another setting, and limits
)

// canvas is an SVG in the making: what is drawn, and the lines of the scales, which lie behind.
type canvas struct {
	bytes.Buffer
	behind bytes.Buffer
	y      float64
}

// scaleX returns where a ratio lies, on a scale of powers.
func scaleX(ratio float64) float64 {
	ratio = min(max(ratio, scaleMin), scaleMax)
	return labelWidth + plotWidth*math.Log(ratio/scaleMin)/math.Log(scaleMax/scaleMin)
}

func (c *canvas) text(x, y float64, class, s string) {
	fmt.Fprintf(c, `<text x="%.1f" y="%.1f" class="%s">`, x, y, class)
	_ = xml.EscapeText(c, []byte(s)) // a buffer takes all
	c.WriteString("</text>\n")
}

// row draws how far a ratio is from 1.
func (c *canvas) row(label string, ratio float64, color, note string) {
	c.text(labelWidth-8, c.y+rowHeight-5, "end", label)
	from, to := scaleX(1), scaleX(ratio)
	fmt.Fprintf(c, `<rect x="%.1f" y="%.1f" width="%.1f" height="%d" fill="%s"/>`+"\n",
		min(from, to), c.y+(rowHeight-barHeight)/2, max(math.Abs(to-from), 1.5), barHeight, color)
	c.text(max(from, to)+6, c.y+rowHeight-5, "note", note)
	c.y += rowHeight
}

func (c *canvas) head(title string) {
	c.text(12, c.y+headHeight-8, "head", title)
	c.y += headHeight
}

// scale draws the lines of the powers of ten over all that was drawn since top, and their names above.
func (c *canvas) scale(top float64, names map[float64]string) {
	for v := scaleMin; v <= scaleMax*1.001; v *= 10 {
		v = math.Round(v*10) / 10
		color := "#e4e4e4"
		if v == 1 {
			color = "#555"
		}
		fmt.Fprintf(&c.behind, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", scaleX(v), top, scaleX(v), c.y, color)
		name := names[v]
		if name == "" {
			name = fmt.Sprintf("%g×", v)
		}
		c.text(scaleX(v), top-5, "middle", name)
	}
}

// picture draws how many times better ours is than each other side, by study and figure, and below how far each bar
// is met.
func picture(sections []section) []byte {
	c := &canvas{y: 66}
	top := c.y
	for _, s := range sections {
		figure := ""
		for _, cmp := range s.comparisons {
			if cmp.Figure.Label != figure {
				figure = cmp.Figure.Label
				c.head(s.study.Name + ": " + figure)
			}
			c.row(cmp.Side, cmp.Better(), cmp.color(), fmt.Sprintf("%.3g×  (%s : %s)", cmp.Better(), short(cmp.Ours, cmp.Figure.Unit), short(cmp.Theirs, cmp.Figure.Unit)))
		}
	}
	c.scale(top, map[float64]string{1: "as good"})
	c.y += 60
	c.text(12, c.y-30, "title", "How far each bar is met")
	barsTop := c.y
	for _, s := range sections {
		headed := false
		for _, b := range s.bars {
			if b.Missing != "" {
				continue
			}
			if !headed {
				c.head(s.study.Name)
				headed = true
			}
			color := colorBetter
			if !b.Met() {
				color = colorWorse
			}
			c.bar(b, color)
		}
	}
	c.scale(barsTop, map[float64]string{1: "the bar"})
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%.0f" viewBox="0 0 %d %.0f">`+"\n", pictureWidth, c.y+16, pictureWidth, c.y+16)
	out.WriteString(`<style>text{font:11px sans-serif;fill:#222}.end{text-anchor:end}.middle{text-anchor:middle;fill:#777}` +
		`.note{fill:#555;paint-order:stroke;stroke:#fff;stroke-width:3px}.head{font-weight:bold}.title{font-size:15px;font-weight:bold}</style>` + "\n")
	out.WriteString(`<rect width="100%" height="100%" fill="#fff"/>` + "\n")
	out.WriteString(`<text x="12" y="24" class="title">How many times better ours is (ours : the other)</text>` + "\n")
	out.Write(c.behind.Bytes())
	out.Write(c.Bytes())
	out.WriteString("</svg>\n")
	return out.Bytes()
}

// bar draws a bar's distance from its bound, under its name without the study's.
func (c *canvas) bar(b Bar, color string) {
	met := b.Value() / b.Want
	if b.AtMost {
		met = b.Want / b.Value()
	}
	e := b.entry()
	value := e.ratio
	if b.Fixed {
		value = e.ours
	}
	_, name, found := strings.Cut(b.Text, ": ")
	if !found {
		name = b.Text
	}
	c.row(shorten(name, 42), met, color, fmt.Sprintf("%s, wanted %s", value, e.wanted))
}

// color tells the better from the worse; a limit is nobody's rival.
func (c Comparison) color() string {
	switch {
	case !rival(c.Side):
		return colorNeutral
	case c.Better() >= 1:
		return colorBetter
	}
	return colorWorse
}

// short is a figure in few letters.
func short(v float64, unit string) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3gM%s", v/1e6, unit)
	case v >= 1e4:
		return fmt.Sprintf("%.3gk%s", v/1e3, unit)
	}
	return fmt.Sprintf("%.3g %s", v, unit)
}

func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
