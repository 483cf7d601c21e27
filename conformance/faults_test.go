package conformance

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/cairncache/cairn/store"
)

// A fault is one that a store can have, with the case that must catch it.
type fault struct {
	what   string
	caught string // the id of the case
	plant  func(f *faulty)
	second func(f *faulty)  // planted in second handles, besides
	opts   func(o *Options) // what it needs the suite to be told
}

var allFaults = slices.Concat(basicFaults, valueFaults, keyFaults, expiryFaults, batchFaults, manyTTLFaults, conditionalFaults, listFaults, liveFaults, watchFaults, leaseFaults, holdFaults, processFaults, lockFaults, watchLockFaults)

// TestFaults proves the suite: each fault is caught by the case that is there
// for it, and by its own words, not by an accident.
func TestFaults(t *testing.T) {
	for _, x := range allFaults {
		t.Run(x.caught+"/"+x.what, func(t *testing.T) {
			t.Parallel()
			var failures []string
			err := inBubble(t, func(t *testing.T) { failures = x.try(t) })
			if err != nil {
				t.Fatal(err)
			}
			if len(failures) == 0 {
				t.Fatalf("the case %s did not catch a store in which %s", x.caught, x.what)
			}
			for _, text := range failures {
				for _, want := range []string{x.caught, "call:", "got:", "want:", "rule:", "where:  conformance/"} {
					if !strings.Contains(text, want) {
						t.Errorf("the failure lacks %q:\n%s", want, text)
					}
				}
				if testing.Verbose() {
					t.Log(text)
				}
			}
		})
	}
}

// TestEveryCaseHasFault keeps cases out that nothing has been seen to break.
func TestEveryCaseHasFault(t *testing.T) {
	caught := make(map[string]bool)
	for _, x := range allFaults {
		caught[x.caught] = true
		if !slices.ContainsFunc(allCases, func(c testCase) bool { return c.id == x.caught }) {
			t.Errorf("the fault %q names a case that is not there: %s", x.what, x.caught)
		}
	}
	for _, c := range allCases {
		if !caught[c.id] {
			t.Errorf("no fault is planted for the case %s", c.id)
		}
	}
}

// TestCaseIDs keeps ids unique and rules said.
func TestCaseIDs(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range allCases {
		if seen[c.id] {
			t.Errorf("two cases have the id %s", c.id)
		}
		seen[c.id] = true
		if len(c.rule) < 40 || !strings.HasSuffix(c.rule, ".") {
			t.Errorf("%s: the rule should be a sentence or two, not %q", c.id, c.rule)
		}
		if group, name, ok := strings.Cut(c.id, "/"); !ok || group == "" || name == "" || strings.ContainsAny(name, "/ ") {
			t.Errorf("%q is no id of the form Group/Name", c.id)
		}
	}
}

// A world is the stores of one trial: those with entries of their own, and
// second handles on them.
type world struct {
	backend  *backend
	fault    fault
	maxValue int
	stores   []*faulty
}

func (w *world) open(context.Context) (store.Store, error) {
	r := newReference()
	r.maxValue = w.maxValue
	f := newFaulty(r, w.backend)
	f.world = w
	w.stores = append(w.stores, f)
	if w.fault.plant != nil {
		w.fault.plant(f)
	}
	return f, nil
}

func (w *world) reopen(_ context.Context, s store.Store) (store.Store, error) {
	f := newFaulty(s.(*faulty).ref.second(), w.backend)
	f.world = w
	if w.fault.plant != nil {
		w.fault.plant(f)
	}
	if w.fault.second != nil {
		w.fault.second(f)
	}
	return f, nil
}

const faultMaxValue = 300 << 10

// try runs the case that must catch the fault, and returns what it says.
func (x fault) try(t *testing.T) (failures []string) {
	w := &world{backend: new(backend), fault: x}
	o := Options{Bubble: true, MaxValue: faultMaxValue, Fault: w.backend.fault()}
	if x.opts != nil {
		x.opts(&o)
	}
	opts, err := o.resolve()
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{opts: opts, canReopen: true}
	w.maxValue = opts.MaxValue
	env := environment{w.open, w.reopen}
	if v := s.learn(t.Context(), env); v.failure != "" {
		// A store as broken as that is not tried further by Run; learn from a
		// sound one what there is to know.
		sound := &world{backend: new(backend)}
		if v := s.learn(t.Context(), environment{sound.open, sound.reopen}); v.failure != "" {
			t.Fatal(v.failure)
		}
	}
	i := slices.IndexFunc(allCases, func(c testCase) bool { return c.id == x.caught })
	ways, reason := s.ways(allCases[i])
	if len(ways) == 0 {
		t.Fatalf("the case %s is not tried: %s", x.caught, reason)
	}
	for _, w := range ways {
		if v := s.try(t.Context(), allCases[i], w, env); v.failure != "" {
			failures = append(failures, v.failure)
		}
	}
	return failures
}
