package conformance

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

func FuzzReference(f *testing.F) {
	Fuzz(f, func(*testing.T) store.Store { return newReference() }, &Options{Bubble: true})
}

func FuzzForgetful(f *testing.F) {
	Fuzz(f, func(*testing.T) store.Store {
		s := newFaulty(newReference(), nil)
		forgetful(s)
		return s
	}, &Options{Bubble: true})
}

// forgetful evicts every third entry that is written.
func forgetful(f *faulty) {
	n := 0
	f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
		if n++; n%3 == 0 {
			defer f.ref.Delete(ctx, key)
		}
		return f.ref.Set(ctx, key, value, ttl)
	}
}

// TestFuzzFindsFaults proves the model: random calls find what lies, and let
// pass what forgets.
func TestFuzzFindsFaults(t *testing.T) {
	lies := []fault{
		{what: "nothing expires", plant: func(f *faulty) {
			f.mapTTL(finite(func(time.Duration) time.Duration { return store.Forever }))
		}},
		{what: "entries live a little longer", plant: func(f *faulty) {
			f.mapTTL(finite(func(ttl time.Duration) time.Duration { return ttl + time.Second }))
		}},
		{what: "Delete only marks", plant: func(f *faulty) {
			f.delete = func(context.Context, string) error { return nil }
		}},
		{what: "Set keeps the expiry", plant: keepTTL(func(_, _ time.Duration) bool { return true })},
		{what: "Set does not replace", plant: func(f *faulty) {
			f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
				_, err := f.ref.Add(ctx, key, value, ttl)
				return err
			}
		}},
		{what: "case is folded", plant: func(f *faulty) {
			f.mapKeys(func(key string) string {
				if key == "A" {
					return "a"
				}
				return key
			})
		}},
		{what: "expired entries are returned by GetMany", plant: faultNamed("expired entries are returned").plant},
		{what: "an expired key stays taken", plant: faultNamed("an expired key stays taken").plant},
		{what: "CompareAndSwap does not compare", plant: faultNamed("CompareAndSwap does not compare").plant},
		{what: "CompareAndDelete matches a beginning", plant: removeIf(beginsWith)},
		{what: "Touch revives", plant: faultNamed("Touch revives what has expired").plant},
		{what: "deleted keys are listed", plant: faultNamed("deleted keys are listed").plant},
		{what: "Clear leaves what has no expiry", plant: faultNamed("Clear leaves what has no expiry").plant},
		{what: "decoded values are kept by key", plant: faultNamed("decoded values are kept by key").plant},
		{what: "what was evicted comes back", plant: func(f *faulty) {
			n := 0
			f.get = func(ctx context.Context, key string) ([]byte, error) {
				if n++; n%3 == 0 {
					return nil, store.ErrNotFound
				}
				return f.ref.Get(ctx, key)
			}
		}},
	}
	for _, x := range append(lies, fault{what: "none"}, fault{what: "none, but it forgets", plant: forgetful}) {
		t.Run(x.what, func(t *testing.T) {
			t.Parallel()
			found := ""
			err := inBubble(t, func(t *testing.T) {
				w := &world{backend: new(backend), fault: x}
				opts, _ := (&Options{Bubble: true}).resolve()
				s := &suite{opts: opts}
				sound := &world{backend: new(backend)}
				if v := s.learn(t.Context(), environment{open: sound.open}); v.failure != "" {
					t.Fatal(v.failure)
				}
				for seed := uint64(0); seed < 50 && found == ""; seed++ {
					found = s.try(t.Context(), fuzzCase(randomCalls(seed)), plainly, environment{open: w.open}).failure
				}
			})
			switch lies := x.plant != nil && x.what != "none, but it forgets"; {
			case err != nil:
				t.Fatal(err)
			case lies && found == "":
				t.Errorf("the model did not catch a store in which %s", x.what)
			case !lies && found != "":
				t.Errorf("the model accuses a store that does not lie:\n%s", found)
			}
		})
	}
}

func faultNamed(what string) fault {
	for _, x := range allFaults {
		if x.what == what {
			return x
		}
	}
	panic(errors.New("no fault is called " + what))
}

func BenchmarkReference(b *testing.B) {
	Bench(b, func(*testing.B) store.Store { return newReference() })
}
