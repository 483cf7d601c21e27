package main

import (
	"bytes"
	"fmt"
	"html"
	"strconv"
)

// The picture has a column for each trace and a block of rows for each capacity.
const (
	width      = 900
	margin     = 24
	names      = 96 // width of the names on the left
	gap        = 24 // between columns
	number     = 60 // width of the numbers to the right of the bars
	firstBlock = 116
	heading    = 22
	rowHeight  = 19
	barHeight  = 13
	blockGap   = 14
)

// Browsers take the colours from the scheme of the reader. Others draw the light
// ones, which is why the background is drawn too.
const style = `
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
.page { fill: #ffffff }
.title { font-size: 19px; font-weight: 600 }
.name { font-size: 15px; font-weight: 600 }
.strong { font-weight: 700 }
.quiet { fill: #59636e; font-size: 12px }
.end { text-anchor: end }
.middle { text-anchor: middle }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.limit { stroke: #59636e; stroke-width: 1.2; stroke-dasharray: 3 3; fill: none }
.cairn { fill: #0a5fd6 }
.otter { fill: #c99a5b }
.theine { fill: #7fae8e }
.ristretto { fill: #b294c7 }
.golang-lru { fill: #a4abb3 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.page { fill: #0d1117 }
.quiet { fill: #9198a1 }
.grid { stroke: #3d444d }
.limit { stroke: #9198a1 }
.cairn { fill: #58a6ff }
.otter { fill: #a47c45 }
.theine { fill: #5f8a6d }
.ristretto { fill: #8c6fa3 }
.golang-lru { fill: #6e7681 }
}
`

// A picture is an SVG that is being written.
type picture struct{ bytes.Buffer }

// draw returns the SVG. Bars have their names and numbers beside them, so that no
// colour has to be told from another.
func draw(panels []panel) []byte {
	groups := panels[0].groups
	block := heading + rowHeight*len(groups[0].ratios) + blockGap
	bottom := firstBlock + block*len(groups)
	height := bottom + 48
	column := (width - 2*margin - names) / len(panels)

	var p picture
	p.element(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="title desc">`,
		width, height, width, height)
	p.element(`<title id="title">Hit ratio of in-process caches</title>`)
	p.element(`<desc id="desc">%s</desc>`, html.EscapeString(describe(panels)))
	p.element(`<style>%s</style>`, style)
	p.element(`<rect class="page" width="%d" height="%d"/>`, width, height)
	p.text(margin, 36, "title", "Hit ratio of in-process caches")
	p.text(margin, 58, "quiet", "Share of the requests that the cache answers: more is better. Each trace has a scale of its own.")
	for i, g := range groups {
		top := firstBlock + block*i
		p.text(margin, top+13, "strong", "room for "+percent(g.share, 0)+" of the keys")
		for row, r := range g.ratios {
			class := "end"
			if row == 0 {
				class = "end strong"
			}
			p.text(margin+names-10, top+heading+rowHeight*row+11, class, r.name)
		}
	}
	for i, panel := range panels {
		left := margin + names + column*i
		p.panel(panel, left, column-gap-number, bottom, block)
	}
	p.text(margin, height-14, "quiet", fmt.Sprintf("%s requests each; the key of a miss is set. Optimal knows the future (Belady's algorithm). Versions: comparisons/go.mod.",
		thousands(len(panels[0].trace.Requests))))
	p.element(`</svg>`)
	return p.Bytes()
}

// panel draws a column. Its bars are up to so many pixels long, its axis is at
// the bottom.
func (p *picture) panel(panel panel, left, length, bottom, block int) {
	step, top := scale(panel)
	x := func(ratio float64) float64 { return float64(left) + float64(length)*ratio/top }
	p.text(left, firstBlock-32, "name", panel.trace.Name)
	p.text(left, firstBlock-14, "quiet", panel.trace.About)
	for i, g := range panel.groups {
		y := firstBlock + block*i + heading
		for tick := 0.0; tick <= top; tick += step {
			p.element(`<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, x(tick), x(tick), y-4, y+block-heading-blockGap)
		}
		for row, r := range g.ratios {
			p.bar(panel, g, r, left, y+rowHeight*row, x(r.value)-float64(left))
			class := "end"
			if row == 0 {
				class = "end strong"
			}
			p.text(left+length+number, y+rowHeight*row+11, class, percent(r.value, 1))
		}
		limit := x(g.ratios[len(g.ratios)-1].value)
		p.element(`<line class="limit" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, limit, limit, y-4, y+rowHeight*(len(g.ratios)-1))
	}
	for tick := 0.0; tick <= top; tick += step {
		p.text(int(x(tick)), bottom+4, "quiet middle", percent(tick, 0))
	}
}

func (p *picture) bar(panel panel, g group, r ratio, left, y int, length float64) {
	class := r.name
	if r.name == optimal {
		class = "limit"
	}
	p.element(`<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"><title>%s</title></rect>`, html.EscapeString(class), left, y, length, barHeight,
		html.EscapeString(fmt.Sprintf("%s, %s of %s keys: %s %s", panel.trace.Name, percent(g.share, 0), thousands(panel.trace.Keys), r.name, percent(r.value, 1))))
}

// scale returns the distance of the ticks of an axis and its end.
func scale(p panel) (step, top float64) {
	for _, g := range p.groups {
		for _, r := range g.ratios {
			top = max(top, r.value)
		}
	}
	for _, step = range []float64{0.02, 0.05, 0.10, 0.20} {
		if top/step <= 5 {
			break
		}
	}
	return step, top * 1.02 // room for the line of the greatest
}

// describe says in words what the picture shows, for who cannot see it.
func describe(panels []panel) string {
	var b bytes.Buffer
	for _, p := range panels {
		for _, g := range p.groups {
			fmt.Fprintf(&b, "Trace %s, room for %s of the keys:", p.trace.Name, percent(g.share, 0))
			for _, r := range g.ratios {
				fmt.Fprintf(&b, " %s %s,", r.name, percent(r.value, 1))
			}
			b.Truncate(b.Len() - 1)
			b.WriteString(". ")
		}
	}
	return b.String()
}

func (p *picture) element(format string, args ...any) {
	fmt.Fprintf(p, format+"\n", args...)
}

func (p *picture) text(x, y int, class, text string) {
	p.element(`<text x="%d" y="%d" class="%s">%s</text>`, x, y, class, html.EscapeString(text))
}

func percent(ratio float64, digits int) string {
	return strconv.FormatFloat(100*ratio, 'f', digits, 64) + "%"
}

// thousands writes n with a comma before each three digits.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
