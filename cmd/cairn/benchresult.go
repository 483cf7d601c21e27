package main

import (
	"slices"
	"time"
)

// A benchResult is what a benchmark prints. Its JSON is documented by the
// fields' names; times are in nanoseconds.
type benchResult struct {
	Load        load          `json:"load"`
	Interrupted bool          `json:"interrupted"`
	Stores      []storeResult `json:"stores"`
	Ratios      []ratio       `json:"ratios,omitempty"` // of the first store to the second
}

type storeResult struct {
	Store      string        `json:"store"` // without secrets
	Elapsed    time.Duration `json:"elapsed_ns"`
	Calls      uint64        `json:"calls"`
	PerSecond  float64       `json:"per_second"` // those that succeeded
	Hits       uint64        `json:"hits"`
	Misses     uint64        `json:"misses"`
	HitRatio   float64       `json:"hit_ratio"` // 0 without reads
	Errors     uint64        `json:"errors"`
	FirstError string        `json:"first_error,omitempty"`
	Get        latencies     `json:"get"`
	Set        latencies     `json:"set"`
	Throughput []throughput  `json:"throughput"`
}

// latencies are of the calls that succeeded. All but Max are at most 1 % off.
type latencies struct {
	Calls   uint64        `json:"calls"`
	P50     time.Duration `json:"p50_ns"`
	P90     time.Duration `json:"p90_ns"`
	P99     time.Duration `json:"p99_ns"`
	P999    time.Duration `json:"p999_ns"`
	Max     time.Duration `json:"max_ns"`
	Octaves []octave      `json:"octaves"`
}

// An octave counts the calls that took less than Below, but at least half of
// it.
type octave struct {
	Below time.Duration `json:"below_ns"`
	Calls uint64        `json:"calls"`
}

// A throughput is that of a part of the run.
type throughput struct {
	At        time.Duration `json:"at_ns"` // when it ended
	PerSecond float64       `json:"per_second"`
}

// A ratio compares two stores by their rounds.
type ratio struct {
	Of     string  `json:"of"`
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Rounds int     `json:"rounds"`
}

func newBenchResult(l *load, targets []*target, ratios [][]float64, interrupted bool) *benchResult {
	r := &benchResult{Load: *l, Interrupted: interrupted}
	for _, t := range targets {
		s := storeResult{
			Store: t.name, Elapsed: t.elapsed, Calls: t.get.total + t.set.total + t.failed, PerSecond: t.perSecond(),
			Hits: t.hits, Misses: t.misses, Errors: t.failed,
			Get: newLatencies(&t.get), Set: newLatencies(&t.set), Throughput: throughputs(t.samples),
		}
		if t.first != nil {
			s.FirstError = t.first.Error()
		}
		if reads := t.hits + t.misses; reads > 0 {
			s.HitRatio = float64(t.hits) / float64(reads)
		}
		r.Stores = append(r.Stores, s)
	}
	for i, rounds := range ratios {
		if len(rounds) > 0 {
			slices.Sort(rounds)
			r.Ratios = append(r.Ratios, ratio{ratioNames[i], median(rounds), rounds[0], rounds[len(rounds)-1], len(rounds)})
		}
	}
	return r
}

func newLatencies(h *histogram) latencies {
	l := latencies{
		Calls: h.total, P50: h.quantile(0.5), P90: h.quantile(0.9), P99: h.quantile(0.99), P999: h.quantile(0.999), Max: h.max,
		Octaves: []octave{},
	}
	for i, n := range h.octaves() {
		if n > 0 {
			l.Octaves = append(l.Octaves, octave{1 << i, n})
		}
	}
	return l
}

// throughputs makes at most maxColumns parts of the run.
func throughputs(samples []sample) []throughput {
	parts := make([]throughput, min(len(samples), maxColumns))
	at := time.Duration(0)
	for i := range parts {
		var sum sample
		for _, s := range samples[i*len(samples)/len(parts) : (i+1)*len(samples)/len(parts)] {
			sum.elapsed += s.elapsed
			sum.calls += s.calls
		}
		at += sum.elapsed
		parts[i] = throughput{at, rate(sum.calls, sum.elapsed)}
	}
	return parts
}

// ratioNames are what two stores are compared by.
var ratioNames = []string{"calls/s", "get p50", "get p99", "set p50", "set p99"}

// addRatios compares two neighbouring rounds. What one of them has not measured
// is left out.
func addRatios(ratios [][]float64, a, b *measured) {
	of := func(m *measured) []float64 {
		return []float64{
			m.perSecond(),
			float64(m.get.quantile(0.5)), float64(m.get.quantile(0.99)),
			float64(m.set.quantile(0.5)), float64(m.set.quantile(0.99)),
		}
	}
	over, under := of(a), of(b)
	for i := range ratios {
		if over[i] > 0 && under[i] > 0 {
			ratios[i] = append(ratios[i], over[i]/under[i])
		}
	}
}

// median is that of sorted numbers.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
