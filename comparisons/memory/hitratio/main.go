// Hitratio measures the hit ratios of in-process caches and draws them.
//
//	go run ./memory/hitratio -o ../docs/hit-ratio.svg
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/cairncache/cairn/comparisons/memory"
	"github.com/cairncache/cairn/store"
)

// shares are how much of the keys of a trace the caches have room for.
var shares = []float64{0.01, 0.05, 0.10}

// optimal is the name under which the best that is possible stands.
const optimal = "optimal"

// A panel is what was measured on one trace.
type panel struct {
	trace  memory.Trace
	groups []group
}

// A group is what was measured with one capacity: the libraries, and optimal.
type group struct {
	share    float64
	capacity int
	ratios   []ratio
}

type ratio struct {
	name  string
	value float64
}

func main() {
	log.SetFlags(0)
	out := flag.String("o", "", "write a picture to this file, as SVG")
	runs := flag.Int("runs", 3, "give means of so many runs: libraries may choose what to evict at random")
	flag.Parse()
	libraries := slices.DeleteFunc(memory.Live(), func(l memory.Library[*store.Live]) bool {
		return l.Name == memory.Typed || l.Name == memory.LRU // as cairn and golang-lru
	})
	panels := measure(memory.Traces(), libraries, *runs)
	printTable(os.Stdout, panels)
	if *out == "" {
		return
	}
	if err := os.WriteFile(*out, draw(panels), 0o644); err != nil {
		log.Fatal(err)
	}
}

func measure(traces []memory.Trace, libraries []memory.Library[*store.Live], runs int) []panel {
	var panels []panel
	for _, t := range traces {
		p := panel{trace: t}
		for _, share := range shares {
			g := group{share: share, capacity: int(share * float64(t.Keys))}
			for _, l := range libraries {
				var sum float64
				for range runs {
					sum += memory.HitRatio(t, l, g.capacity, store.LiveBytes(nil))
				}
				g.ratios = append(g.ratios, ratio{l.Name, sum / float64(runs)})
			}
			g.ratios = append(g.ratios, ratio{optimal, memory.Optimal(t, g.capacity)})
			p.groups = append(p.groups, g)
		}
		panels = append(panels, p)
	}
	return panels
}

func printTable(out io.Writer, panels []panel) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer w.Flush()
	fmt.Fprint(w, "hit ratio in %\tkeys\tcapacity\t")
	for _, r := range panels[0].groups[0].ratios {
		fmt.Fprint(w, r.name, "\t")
	}
	fmt.Fprintln(w)
	for _, p := range panels {
		for _, g := range p.groups {
			fmt.Fprintf(w, "%s\t%d\t%d\t", p.trace.Name, p.trace.Keys, g.capacity)
			for _, r := range g.ratios {
				fmt.Fprintf(w, "%.2f\t", 100*r.value)
			}
			fmt.Fprintln(w)
		}
	}
}
