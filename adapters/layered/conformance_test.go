package layered_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/conformance"
	"github.com/cairncache/cairn/store"
)

var coherences = map[string]layered.Coherence{
	"Watch":   layered.Watch(time.Second),
	"Bounded": layered.Bounded(time.Hour),
}

// stacks are what the suite is run on, each in a bubble.
var stacks = map[string]func(t *testing.T, c layered.Coherence) store.Store{
	"memory": func(t *testing.T, c layered.Coherence) store.Store {
		return newLayered(t, newMemory(t), newMemory(t), &layered.Options{Coherence: c})
	},
	"a view": func(t *testing.T, c layered.Coherence) store.Store {
		return newLayered(t, store.Prefix(newMemory(t), "1:"), store.Prefix(newMemory(t), "22:"), &layered.Options{Coherence: c})
	},
	"bytes": func(t *testing.T, c layered.Coherence) store.Store {
		return newLayered(t, newMemory(t), onlyBytes(newMemory(t)), &layered.Options{Coherence: c})
	},
	"layers": func(t *testing.T, c layered.Coherence) store.Store {
		inner := newLayered(t, newMemory(t), onlyBytes(newMemory(t)), &layered.Options{Coherence: c})
		return newLayered(t, newMemory(t), inner, &layered.Options{Coherence: c})
	},
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, open := range stacks {
		for coherence, c := range coherences {
			t.Run(name+"/"+coherence, func(t *testing.T) {
				t.Parallel()
				suite := &conformance.Options{Bubble: true, TTLStep: 1, Want: wanted(c)}
				switch name {
				case "a view":
					suite.MaxKey = store.MaxKeyLen - len("22:")
					suite.Want = slices.DeleteFunc(suite.Want, func(ability string) bool { return ability == "Clear" })
				case "bytes", "layers":
					suite.Skip = overBytes
				}
				conformance.Run(t, func(t *testing.T) store.Store { return open(t, c) }, suite)
			})
		}
	}
}

func TestConformanceBehindPrefix(t *testing.T) {
	t.Parallel()
	for name, skip := range map[string]map[string]string{"memory": nil, "bytes": overBytes} {
		for coherence, c := range coherences {
			t.Run(name+"/"+coherence, func(t *testing.T) {
				t.Parallel()
				conformance.Run(t, func(t *testing.T) store.Store {
					return store.Prefix(stacks[name](t, c), "p:")
				}, &conformance.Options{Bubble: true, TTLStep: 1, Skip: skip, MaxKey: store.MaxKeyLen - len("p:")})
			})
		}
	}
}

// Two Stores over one L2 stand for two processes.
func TestConformanceOfTwo(t *testing.T) {
	t.Parallel()
	over := func(t *testing.T, l2 store.Store) store.Store {
		s := newLayered(t, newMemory(t), l2, &layered.Options{Coherence: layered.Watch(time.Second)})
		return &opened{s, l2}
	}
	conformance.Run(t, func(t *testing.T) store.Store { return over(t, onlyBytes(newMemory(t))) }, &conformance.Options{
		Bubble: true, TTLStep: 1, Skip: overBytes,
		Reopen: func(t *testing.T, s store.Store) store.Store { return over(t, s.(*opened).l2) },
	})
}

// opened remembers what it is over.
type opened struct {
	*layered.Store
	l2 store.Store
}

// overBytes are the cases of stores that keep values in the process, while
// what L1 holds was read from L2, as bytes, and is decoded once.
var overBytes = map[string]string{
	"Live/SameValue":    "L2 keeps bytes, and L1 is filled from there",
	"Live/NeverEncodes": "L2 keeps bytes",
	"Lease/FillLive":    "L2 keeps bytes, and L1 is filled from there",
}

func wanted(c layered.Coherence) []string {
	all := []string{
		"GetMany", "SetMany", "DeleteMany", "GetWithTTL", "GetManyWithTTL", "Add", "CompareAndSwap", "CompareAndDelete",
		"Touch", "Keys", "Clear", "Live", "LiveAt", "Ping", "Lease", "Lock", "WatchLock",
	}
	if c == coherences["Watch"] {
		all = append(all, "Watch")
	}
	return all
}
