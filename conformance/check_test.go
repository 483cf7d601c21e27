package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

// filter is the -run pattern of this test run.
func filter() string { return flag.Lookup("test.run").Value.String() }

func openReference(context.Context) (store.Store, error) { return newReference(), nil }

func TestCheckPasses(t *testing.T) {
	t.Parallel()
	b := new(backend)
	var reported Report
	told := make(map[string]Status)
	report, err := Check(t.Context(), func(context.Context) (store.Store, error) {
		r := newReference()
		r.backend = b
		return r, nil
	}, &Options{
		Want:        abilityNames(),
		Fault:       b.fault(),
		CheckReopen: func(_ context.Context, s store.Store) (store.Store, error) { return s.(*reference).second(), nil },
		Skip:        map[string]string{"Value/Large": "to see it in the report"},
		Report:      func(r Report) { reported = r },
		Progress: func(done, total int, c Case) {
			told[c.ID] = c.Status
			if done != len(told) || total != len(allCases) {
				t.Errorf("Progress was told %d of %d, and should have %d of %d", done, total, len(told), len(allCases))
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Cases) != len(allCases) || report.Count(Failed) != 0 || report.Count(Passed)+report.Count(Skipped) != len(allCases) {
		t.Errorf("the report is\n%s", report.Text())
	}
	if len(reported.Cases) != len(report.Cases) {
		t.Error("Options.Report got another report than Check returned")
	}
	for _, c := range report.Cases {
		if told[c.ID] != c.Status {
			t.Errorf("Progress was told that %s has %s, and it has %s", c.ID, told[c.ID], c.Status)
		}
		if c.ID == "Value/Large" && (c.Status != Skipped || c.Reason != "to see it in the report") {
			t.Errorf("the skipped case is %+v", c)
		}
	}
}

// A tidy run leaves entries only where a case has closed the store itself.
func TestCheckTidies(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var opened []*reference
	report, err := Check(t.Context(), func(context.Context) (store.Store, error) {
		r := newReference()
		mu.Lock()
		defer mu.Unlock()
		opened = append(opened, r)
		return r, nil
	}, &Options{Tidy: true})
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	for _, r := range opened {
		r.mu.Lock()
		if len(r.entries) > 0 {
			left++
		}
		r.mu.Unlock()
	}
	if left > len(opened)/20 {
		t.Errorf("%d of %d stores have entries left:\n%s", left, len(opened), report.Text())
	}
}

func TestCheckFails(t *testing.T) {
	t.Parallel()
	report, err := Check(t.Context(), func(context.Context) (store.Store, error) {
		f := newFaulty(newReference(), nil)
		f.mapTTL(finite(func(time.Duration) time.Duration { return store.Forever }))
		return f, nil
	}, &Options{Skip: map[string]string{"Watch/Expiry": "it waits long for what does not come"}})
	if err == nil || !strings.Contains(err.Error(), "Expiry/LivesItsTTL") {
		t.Fatalf("the error is %v", err)
	}
	if report.Count(Failed) < 10 || report.Count(Passed) < 50 {
		t.Errorf("one fault should fail the cases it breaks and no others:\n%s", report.Text())
	}
}

// TestCheckSurvives: no store brings the suite down, or holds it for ever.
func TestCheckSurvives(t *testing.T) {
	defer func(d time.Duration) { caseLimit = d }(caseLimit)
	caseLimit = 300 * time.Millisecond
	refused := errors.New("connection refused")
	for _, x := range []struct {
		name string
		open func(context.Context) (store.Store, error)
		want string
	}{
		{"open fails", func(context.Context) (store.Store, error) { return nil, refused }, "connection refused"},
		{"open returns nil", func(context.Context) (store.Store, error) { return nil, nil }, "the store is nil"},
		{"open panics", func(context.Context) (store.Store, error) { panic("no driver") }, "panic: no driver"},
		{"open hangs", func(context.Context) (store.Store, error) { select {} }, "no end after"},
		{"the nil map", func(context.Context) (store.Store, error) {
			r := newReference()
			r.entries = nil
			return r, nil
		}, "assignment to entry in nil map"},
		{"Set fails", func(context.Context) (store.Store, error) {
			f := newFaulty(newReference(), nil)
			f.set = func(_ context.Context, key string, _ []byte, _ time.Duration) error {
				return store.Errorf("set", key, store.ErrUnavailable, "read only")
			}
			return f, nil
		}, "read only"},
	} {
		t.Run(x.name, func(t *testing.T) {
			if _, err := Check(t.Context(), x.open, nil); err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("the error is %v, and should have %q", err, x.want)
			}
		})
	}
	t.Run("one method hangs", func(t *testing.T) {
		report, err := Check(t.Context(), func(context.Context) (store.Store, error) {
			f := newFaulty(newReference(), nil)
			f.getMany = func(_ context.Context, keys []string) (map[string][]byte, error) {
				if len(keys) == 0 {
					select {}
				}
				return f.ref.GetMany(bg, keys)
			}
			return f, nil
		}, &Options{Skip: map[string]string{"Expiry/WholeSeconds": "longer than this test's limit", "Expiry/HalfASecond": "the same"}})
		if err == nil || !strings.Contains(err.Error(), "GetMany/NoKeys") || !strings.Contains(err.Error(), "no end after 330ms") {
			t.Errorf("the error is %v", err)
		}
		if report.Count(Passed) < 50 {
			t.Errorf("the other cases were not tried:\n%s", report.Text())
		}
	})
}

func TestCheckHeedsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	report, err := Check(ctx, openReference, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v", err)
	}
	if report.Count(Failed) > 0 {
		t.Errorf("what was cut short counts as failed:\n%s", report.Text())
	}
	want := fmt.Sprintf(", %d of %d cases not tried", len(allCases)-len(report.Cases), len(allCases))
	if head, _, _ := strings.Cut(report.Text(), "\n"); len(report.Cases) == len(allCases) || !strings.HasSuffix(head, want) {
		t.Errorf("the headline is %q, and should end with %q", head, want)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Check returned after %v", took)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := Check(ctx, openReference, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with a done context the error is %v", err)
	}
}

func TestBadOptions(t *testing.T) {
	for _, x := range []struct {
		opts Options
		want string
	}{
		{Options{Want: []string{"GetMany", "AddStore"}}, `Want: no ability is called "AddStore"`},
		{Options{Skip: map[string]string{"Expiry/Nothing": "because"}}, `Skip: no case has the id "Expiry/Nothing"`},
		{Options{Skip: map[string]string{"Expiry/Month": " "}}, "Skip: Expiry/Month has no reason"},
		{Options{TTLStep: -1}, "TTLStep: -1ns is negative"},
		{Options{DefaultTTL: -1}, "DefaultTTL: -1ns is negative"},
		{Options{MaxValue: -1}, "MaxValue: -1 is negative"},
		{Options{MaxKey: 100}, "MaxKey: 100 is not between 512 and store.MaxKeyLen (4096)"},
		{Options{MaxKey: 5000}, "MaxKey: 5000"},
		{Options{Bubble: true, Advance: func(time.Duration) {}}, "Bubble and Advance exclude each other"},
		{Options{Bubble: true}, "Bubble: a bubble needs a *testing.T"},
		{Options{Fault: &Fault{}}, "Fault: Restore is nil"},
	} {
		_, err := Check(t.Context(), openReference, &x.opts)
		if err == nil || !strings.Contains(err.Error(), "conformance: Options."+x.want) {
			t.Errorf("for %+v the error is %v, and should have %q", x.opts, err, x.want)
		}
	}
}

func TestReport(t *testing.T) {
	r := Report{
		Store: "*my.Store", Abilities: []string{"Add", "GetMany"}, Missing: []string{"Touch"}, TTLStep: time.Second, TellsTTL: true,
		Cases: []Case{
			{ID: "A/One", Rule: "One.", Status: Passed, Elapsed: time.Second},
			{ID: "A/Two", Rule: "Two | 2.", Status: Failed, Failures: []string{"A/Two\n    call: Get"}},
			{ID: "A/Three", Rule: "Three.", Status: Skipped, Reason: "no | bars"},
			{ID: "B/Four", Rule: "Four.", Status: Skipped, Reason: "no | bars"},
			{ID: "B/Five", Rule: "Five.", Status: Skipped, Reason: "another"},
		},
	}
	text := `conformance of *my.Store: 1 cases passed, 1 failed, 3 skipped
abilities: Add GetMany
without:   Touch
expiry:    in steps of 1s
skipped:   no | bars: A/Three B/Four
skipped:   another: B/Five
failed:    A/Two
    call: Get
`
	if got := r.Text(); got != text {
		t.Errorf("Text is\n%s\nand should be\n%s", got, text)
	}
	markdown := `Conformance of ` + "`*my.Store`" + `: 1 cases passed, 1 failed, 3 skipped.

| Abilities | Add GetMany |
|---|---|
| Without | Touch |
| Expiry | in steps of 1s |
| Skipped: no \| bars | A/Three, B/Four |
| Skipped: another | B/Five |
| Failed: A/Two | Two \| 2. |
`
	if got := r.Markdown(); got != markdown {
		t.Errorf("Markdown is\n%s\nand should be\n%s", got, markdown)
	}
	b, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(b, &back); err != nil || back.Text() != text || back.Cases[0].Elapsed != time.Second {
		t.Errorf("JSON does not read back (%v):\n%s", err, b)
	}
	r.NotTried = 2
	r.Cases[4].Reason = tooSlow + " for it"
	for _, got := range []string{r.Text(), r.Markdown()} {
		if !strings.Contains(got, "3 skipped (1 as the machine or the network was too slow), 2 of 7 cases not tried") {
			t.Errorf("the report is\n%s", got)
		}
	}
	if b, err := r.JSON(); err != nil || !strings.Contains(string(b), `"not_tried": 2,`) {
		t.Errorf("JSON is\n%s (%v)", b, err)
	}
	r.TellsTTL, r.Abilities = false, nil
	if got := r.Text(); !strings.Contains(got, "abilities: none\n") || !strings.Contains(got, "the time left is not known") {
		t.Errorf("Text is\n%s", got)
	}
}
