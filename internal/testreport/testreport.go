// Package testreport keeps what the conformance suite found out about each
// adapter in a file beside the adapter, from which the README's table is made.
package testreport

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/conformance"
)

// File is where an adapter's summary stands, relative to its folder.
const File = "testdata/conformance.json"

// Summary is what does not change from one run to the next.
type Summary struct {
	Store     string            `json:"store"`
	Abilities []string          `json:"abilities"`
	TTLStep   time.Duration     `json:"ttl_step_ns"`
	TellsTTL  bool              `json:"tells_ttl"`
	Passed    int               `json:"passed"`
	Skipped   map[string]string `json:"skipped,omitempty"` // by id, the reason
}

// Check returns a function for conformance.Options.Report. It compares the
// report of a whole run with File, and fails t if they differ. If CAIRN_UPDATE
// is set in the environment it writes File instead.
func Check(t *testing.T) func(conformance.Report) {
	return func(r conformance.Report) {
		if isSet("test.run") || isSet("test.skip") || r.Count(conformance.Failed) > 0 {
			return // some cases are missing, or it has failed already
		}
		got, err := json.MarshalIndent(summarize(r), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
		if os.Getenv("CAIRN_UPDATE") != "" {
			if err := os.WriteFile(File, got, 0o666); err != nil {
				t.Fatal(err)
			}
			return
		}
		want, err := os.ReadFile(File)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the suite reports (%v); run this test and the README's with CAIRN_UPDATE=1 in the environment\ngot:\n%s", File, err, got)
		}
	}
}

func isSet(name string) bool { return flag.Lookup(name).Value.String() != "" }

func summarize(r conformance.Report) Summary {
	s := Summary{Store: r.Store, Abilities: r.Abilities, TTLStep: r.TTLStep, TellsTTL: r.TellsTTL, Skipped: make(map[string]string)}
	for _, c := range r.Cases {
		// A case that was tried on a machine that is too slow to prove it is one
		// that passes elsewhere.
		if c.Status == conformance.Skipped && !strings.Contains(c.Reason, "too slow") {
			s.Skipped[c.ID] = c.Reason
		} else {
			s.Passed++
		}
	}
	return s
}
