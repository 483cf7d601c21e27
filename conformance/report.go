package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Report tells what a run has tried, and with what result.
type Report struct {
	Store     string        `json:"store"`     // the type of the store
	Abilities []string      `json:"abilities"` // those that it offers itself
	Missing   []string      `json:"missing"`   // those that it does not
	TTLStep   time.Duration `json:"ttl_step_ns"`
	TellsTTL  bool          `json:"tells_ttl"` // TTL answers more than UnknownTTL
	NotTried  int           `json:"not_tried"` // cases of the suite that are not in Cases, as ctx has ended or go test was told so
	Cases     []Case        `json:"cases"`
}

// A Case is one case of a Report.
type Case struct {
	ID       string        `json:"id"`
	Rule     string        `json:"rule"`
	Status   Status        `json:"status"`
	Reason   string        `json:"reason,omitempty"`   // why it was skipped
	Failures []string      `json:"failures,omitempty"` // the texts that were printed, one for each way of calling an ability
	Elapsed  time.Duration `json:"elapsed_ns"`
}

// A Status is how a case has ended.
type Status string

// The ways in which a case ends.
const (
	Passed  Status = "passed"
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// Count returns how many cases have ended so.
func (r Report) Count(status Status) int {
	n := 0
	for _, c := range r.Cases {
		if c.Status == status {
			n++
		}
	}
	return n
}

// Text is the report as lines for a terminal: the counts, the abilities, what
// was skipped and why, and the failures in full.
func (r Report) Text() string {
	var b strings.Builder
	b.WriteString(r.summary())
	for _, c := range r.Cases {
		for _, failure := range c.Failures {
			fmt.Fprintf(&b, "failed:    %s\n", failure)
		}
	}
	return b.String()
}

// summary is the text without the failures.
func (r Report) summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "conformance of %s: %s\n", r.Store, r.counts())
	fmt.Fprintf(&b, "abilities: %s\n", orNone(r.Abilities))
	fmt.Fprintf(&b, "without:   %s\n", orNone(r.Missing))
	fmt.Fprintf(&b, "expiry:    %s\n", r.expiry())
	for reason, ids := range r.bySkip() {
		fmt.Fprintf(&b, "skipped:   %s: %s\n", reason, strings.Join(ids, " "))
	}
	return b.String()
}

// Markdown is the report for an adapter's README.
func (r Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Conformance of `%s`: %s.\n\n", r.Store, r.counts())
	fmt.Fprintf(&b, "| Abilities | %s |\n|---|---|\n", orNone(r.Abilities))
	fmt.Fprintf(&b, "| Without | %s |\n", orNone(r.Missing))
	fmt.Fprintf(&b, "| Expiry | %s |\n", r.expiry())
	for reason, ids := range r.bySkip() {
		fmt.Fprintf(&b, "| Skipped: %s | %s |\n", escapeCell(reason), strings.Join(ids, ", "))
	}
	for _, c := range r.Cases {
		if c.Status == Failed {
			fmt.Fprintf(&b, "| Failed: %s | %s |\n", c.ID, escapeCell(c.Rule))
		}
	}
	return b.String()
}

// JSON is the report for programs, indented.
func (r Report) JSON() ([]byte, error) { return json.MarshalIndent(r, "", "  ") }

func (r Report) counts() string {
	counts := fmt.Sprintf("%d cases passed, %d failed, %d skipped", r.Count(Passed), r.Count(Failed), r.Count(Skipped))
	slow := 0
	for _, c := range r.Cases {
		if c.Status == Skipped && strings.HasPrefix(c.Reason, tooSlow) {
			slow++
		}
	}
	if slow > 0 {
		counts += fmt.Sprintf(" (%d as %s)", slow, tooSlow)
	}
	if r.NotTried > 0 {
		counts += fmt.Sprintf(", %d of %d cases not tried", r.NotTried, r.NotTried+len(r.Cases))
	}
	return counts
}

// tooSlow begins the reason of a case that another run may prove.
const tooSlow = "the machine or the network was too slow"

func (r Report) expiry() string {
	if !r.TellsTTL {
		return fmt.Sprintf("in steps of %v; the time left is not known", r.TTLStep)
	}
	return fmt.Sprintf("in steps of %v", r.TTLStep)
}

// bySkip yields each reason with the cases that it skipped, in their order.
func (r Report) bySkip() func(yield func(string, []string) bool) {
	var reasons []string
	ids := make(map[string][]string)
	for _, c := range r.Cases {
		if c.Status != Skipped {
			continue
		}
		if ids[c.Reason] == nil {
			reasons = append(reasons, c.Reason)
		}
		ids[c.Reason] = append(ids[c.Reason], c.ID)
	}
	return func(yield func(string, []string) bool) {
		for _, reason := range reasons {
			if !yield(reason, ids[reason]) {
				return
			}
		}
	}
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " ")
}

func escapeCell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s)
}

// A collector puts the report together while cases run.
type collector struct {
	mu    sync.Mutex
	cases map[string]*Case
	done  int // cases that Options.Progress was told of
	Report
}

func newReport(s *suite) *collector {
	r := &collector{cases: make(map[string]*Case)}
	r.Store, r.TTLStep, r.TellsTTL = s.storeType, s.opts.TTLStep, s.knowsTTL
	for _, a := range abilities {
		if s.offers(a.name) {
			r.Abilities = append(r.Abilities, a.name)
		} else {
			r.Missing = append(r.Missing, a.name)
		}
	}
	return r
}

// add takes the verdict of one way of trying a case.
func (r *collector) add(c testCase, v verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.cases[c.id]
	if known == nil {
		known = &Case{ID: c.id, Rule: c.rule, Status: Passed}
		r.cases[c.id] = known
	}
	known.Elapsed += v.elapsed
	if v.failure != "" {
		known.Failures = append(known.Failures, v.failure)
	}
	switch {
	case len(known.Failures) > 0:
		known.Status, known.Reason = Failed, ""
	case v.skipped != "":
		known.Status, known.Reason = Skipped, v.skipped
	}
}

// finish puts the cases into their order. Cases that go test was told not to
// run are not in the report.
func (r *collector) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Cases = nil
	for _, c := range allCases {
		if known := r.cases[c.id]; known != nil {
			r.Cases = append(r.Cases, *known)
		}
	}
	r.NotTried = len(allCases) - len(r.Cases)
	slices.Sort(r.Missing)
	slices.Sort(r.Abilities)
}
