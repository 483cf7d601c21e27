package main

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// A page is what a plot is drawn on. A plain one takes ASCII alone, as a file
// or a program may read it.
type page struct {
	width int
	plain bool
}

var (
	blocks      = []rune("▁▂▃▄▅▆▇█")
	plainBlocks = []rune("_.:-=+*#")
	parts       = []rune("▏▎▍▌▋▊▉█") // of a column
)

func (p page) columns() int { return min(p.width, maxColumns) }

// clip cuts a text that is wider than the page, unless the page is plain.
func (p page) clip(text string) string {
	if p.plain {
		return text
	}
	return clip(text, p.width)
}

// took is a duration for a table; a dash if nothing took it.
func (p page) took(d time.Duration, calls uint64) string {
	switch text := format(d); {
	case calls == 0:
		return "-"
	case p.plain:
		return strings.Replace(text, "µ", "u", 1)
	default:
		return text
	}
}

// line draws values as one line of blocks that stand on 0. If they are more
// than the page has columns, each block is the mean of some.
func (p page) line(values []float64) string {
	glyphs := blocks
	if p.plain {
		glyphs = plainBlocks
	}
	means := make([]float64, min(len(values), p.columns()))
	most := 0.0
	for i := range means {
		some := values[i*len(values)/len(means) : (i+1)*len(values)/len(means)]
		for _, v := range some {
			means[i] += v / float64(len(some))
		}
		most = max(most, means[i])
	}
	var b strings.Builder
	for _, v := range means {
		level := 0
		if most > 0 {
			level = int(math.Round(v / most * float64(len(glyphs)-1)))
		}
		b.WriteRune(glyphs[level])
	}
	return b.String()
}

// A bar is a row of a bar chart.
type bar struct {
	label string
	n     uint64
}

// bars draws a row for each bar: its label, its part of the total as a bar, of
// which the longest fills the page, and in percent.
func (p page) bars(rows []bar, total uint64) string {
	const percent = len(" 100.00 %")
	label, most := 0, uint64(1)
	for i := range rows {
		if p.plain {
			rows[i].label = strings.Replace(rows[i].label, "µ", "u", 1)
		}
		label = max(label, utf8.RuneCountInString(rows[i].label))
		most = max(most, rows[i].n)
	}
	width := p.columns() - label - len(" ") - percent
	var b strings.Builder
	for _, r := range rows {
		bar := p.bar(float64(r.n) / float64(most) * float64(width))
		fmt.Fprintf(&b, "%*s %-*s %6.2f %%\n", label, r.label, width, bar, 100*float64(r.n)/float64(total))
	}
	return b.String()
}

// bar is as long as that many columns, and seen if it is longer than nothing.
func (p page) bar(columns float64) string {
	if p.plain {
		return strings.Repeat("#", int(math.Ceil(columns-0.5)))
	}
	eighths := int(math.Ceil(columns * 8))
	text := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		text += string(parts[rest-1])
	}
	return text
}
