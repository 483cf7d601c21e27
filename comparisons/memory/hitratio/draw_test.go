package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cairncache/cairn/comparisons/memory"
	"github.com/cairncache/cairn/store"
)

// measured is of a short trace, and of the library that has the same ratios in
// each run: it works on one goroutine and chooses nothing at random.
func measured() []panel {
	lru := slices.DeleteFunc(memory.Live(), func(l memory.Library[*store.Live]) bool { return l.Name != "golang-lru" })
	trace := memory.Trace{Name: "short & <sweet>", About: `"quoted"`, Requests: memory.Zipf(1, 1000, 10_000), Keys: 1000}
	return measure([]memory.Trace{trace}, lru, 1)
}

func TestPictureIsWellFormed(t *testing.T) {
	svg := draw(measured())
	texts := make(map[string]bool)
	element := ""
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			element = token.Name.Local
		case xml.CharData:
			if element == "text" {
				texts[strings.TrimSpace(string(token))] = true
			}
		}
	}
	for _, want := range []string{"golang-lru", "optimal", "short & <sweet>", `"quoted"`, "room for 10% of the keys", "0%"} {
		if !texts[want] {
			t.Errorf("the picture does not say %q", want)
		}
	}
}

func TestPictureIsTheSameInEveryRun(t *testing.T) {
	if first, second := draw(measured()), draw(measured()); !bytes.Equal(first, second) {
		t.Errorf("two runs differ:\n%s\n%s", first, second)
	}
}

func TestNoLibraryIsBetterThanOptimal(t *testing.T) {
	trace := memory.Traces()[0]
	trace.Requests = trace.Requests[:20_000]
	for _, g := range measure([]memory.Trace{trace}, memory.Live(), 1)[0].groups {
		limit := g.ratios[len(g.ratios)-1].value
		for _, r := range g.ratios {
			if r.value > limit || r.value <= 0 {
				t.Errorf("%s has %v with room for %d entries, and %v is possible", r.name, r.value, g.capacity, limit)
			}
		}
	}
}
