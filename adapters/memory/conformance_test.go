package memory

import (
	"testing"
	"time"

	"github.com/cairncache/cairn/conformance"
	"github.com/cairncache/cairn/internal/testreport"
	"github.com/cairncache/cairn/store"
)

var abilities = []string{
	"GetMany", "SetMany", "DeleteMany", "GetWithTTL", "GetManyWithTTL", "Add", "CompareAndSwap",
	"CompareAndDelete", "Touch", "Keys", "Live", "LiveAt", "Watch", "Lease", "Lock", "WatchLock",
}

func TestConformance(t *testing.T) {
	t.Parallel()
	options := map[string]*Options{
		"Default":    nil,
		"DefaultTTL": {TTL: time.Hour},
		"MaxBytes":   {MaxBytes: 1 << 20},
		"Hooks": {
			OnGet:    func(string, *store.Live, bool) {},
			OnSet:    func(string, *store.Live, *store.Live, bool) {},
			OnRemove: func(string, *store.Live, Cause) {},
		},
	}
	for p := TinyLFU + 1; p.Valid(); p++ {
		options[p.String()] = &Options{Policy: p}
	}
	for name, o := range options {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			suite := &conformance.Options{Bubble: true, TTLStep: 1, Want: append([]string{"Clear"}, abilities...)}
			if o == nil {
				suite.Report = testreport.Check(t)
			} else {
				suite.DefaultTTL = o.TTL
				if o.MaxBytes > 0 {
					suite.MaxValue = int(o.MaxBytes * 3 / 4)
					suite.Skip = map[string]string{"Live/NeverEncodes": "MaxBytes needs the size of a live value"}
				}
			}
			conformance.Run(t, func(t *testing.T) store.Store { return newStore(t, o) }, suite)
		})
	}
}

func TestConformanceBehindPrefix(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(t *testing.T) store.Store { return store.Prefix(newStore(t, nil), "p:") }, &conformance.Options{
		Bubble: true,
		Want:   abilities,
		MaxKey: store.MaxKeyLen - len("p:"),
	})
}

func TestConformanceOpened(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(t *testing.T) store.Store {
		s, err := store.Open(t.Context(), "memory:?max_entries=10000&ttl=5m")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close(s) })
		return s
	}, &conformance.Options{Bubble: true, DefaultTTL: 5 * time.Minute})
}
