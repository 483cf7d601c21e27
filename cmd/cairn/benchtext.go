package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// maxColumns is the widest plot.
const maxColumns = 200

// text is the result for people: a table and two plots for each store, and the
// comparison.
func (r *benchResult) text(p page) string {
	var b strings.Builder
	for _, s := range r.Stores {
		s.write(&b, p)
		b.WriteByte('\n')
	}
	if len(r.Stores) > 1 {
		r.writeRatios(&b, p)
	}
	if r.Interrupted {
		b.WriteString("Interrupted: that is what was measured\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func (s *storeResult) write(b *strings.Builder, p page) {
	fmt.Fprintf(b, "%s\n", p.clip(s.Store))
	row := func(name string, cells ...string) {
		fmt.Fprintf(b, "%-12s", name)
		for _, cell := range cells {
			fmt.Fprintf(b, " %12s", cell)
		}
		b.WriteByte('\n')
	}
	row("", "get", "set")
	row("calls", strconv.FormatUint(s.Get.Calls, 10), strconv.FormatUint(s.Set.Calls, 10))
	row("per second", short(rate(s.Get.Calls, s.Elapsed)), short(rate(s.Set.Calls, s.Elapsed)))
	for _, q := range []struct {
		name     string
		get, set time.Duration
	}{
		{"p50", s.Get.P50, s.Set.P50},
		{"p90", s.Get.P90, s.Set.P90},
		{"p99", s.Get.P99, s.Set.P99},
		{"p99.9", s.Get.P999, s.Set.P999},
		{"max", s.Get.Max, s.Set.Max},
	} {
		row(q.name, p.took(q.get, s.Get.Calls), p.took(q.set, s.Set.Calls))
	}
	if s.Hits+s.Misses > 0 {
		row("hit ratio", fmt.Sprintf("%.2f %%", 100*s.HitRatio))
	}
	row("errors", strconv.FormatUint(s.Errors, 10))
	s.plot(b, p)
}

// plot draws the throughput over time and how long the calls took.
func (s *storeResult) plot(b *strings.Builder, p page) {
	values, most := make([]float64, len(s.Throughput)), 0.0
	for i, t := range s.Throughput {
		values[i] = t.PerSecond
		most = max(most, t.PerSecond)
	}
	if most > 0 {
		fmt.Fprintf(b, "\ncalls/s over %.1fs, up to %s\n%s\n", s.Elapsed.Seconds(), short(most), p.line(values))
	}
	for _, l := range []struct {
		name string
		latencies
	}{{"get", s.Get}, {"set", s.Set}} {
		if l.Calls > 0 {
			fmt.Fprintf(b, "\n%s took less than\n%s", l.name, p.bars(l.rows(), l.Calls))
		}
	}
}

// rows are the octaves, also those without calls that lie between others. Of
// more than maxRows the last ones are taken together.
func (l *latencies) rows() (rows []bar) {
	next := l.Octaves[0].Below
	for _, o := range l.Octaves {
		for ; next < o.Below; next *= 2 {
			rows = append(rows, bar{format(next), 0})
		}
		rows = append(rows, bar{format(o.Below), o.Calls})
		next *= 2
	}
	if len(rows) > maxRows {
		last := bar{label: rows[len(rows)-1].label}
		for _, r := range rows[maxRows-1:] {
			last.n += r.n
		}
		rows = append(rows[:maxRows-1], last)
	}
	return rows
}

const maxRows = 12

// writeRatios compares the first store with the second.
func (r *benchResult) writeRatios(b *strings.Builder, p page) {
	fmt.Fprintf(b, "%s\n", p.clip("first store / second, by rounds"))
	row := func(name string, cells ...any) {
		fmt.Fprintf(b, "%-12s %8s %8s %8s\n", append([]any{name}, cells...)...)
	}
	row("", "median", "min", "max")
	for _, of := range r.Ratios {
		row(of.Of, times(of.Median), times(of.Min), times(of.Max))
	}
	if len(r.Ratios) == 0 {
		b.WriteString("no two rounds were completed\n")
	}
	b.WriteByte('\n')
}

func times(x float64) string {
	if x < 1 {
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
	return short(x)
}

// short is a number in at most three digits and a letter.
func short(x float64) string {
	unit := ""
	for _, next := range []string{"k", "M", "G"} {
		if x < 999.5 {
			break
		}
		x /= 1000
		unit = next
	}
	return digits(x) + unit
}

// format is a duration in at most three digits and a unit.
func format(d time.Duration) string {
	x, unit := float64(d), "ns"
	for _, next := range []string{"µs", "ms", "s"} {
		if x < 999.5 {
			break
		}
		x /= 1000
		unit = next
	}
	return digits(x) + unit
}

// digits is a number below 1000 in three digits, if it has so many.
func digits(x float64) string {
	decimals := max(0, 2-int(math.Log10(max(1, x))))
	text := strconv.FormatFloat(x, 'f', decimals, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
