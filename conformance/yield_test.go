package conformance

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

// twoSteps makes the conditional abilities of a Get and a write, as an author
// might who does not think of other callers. Nothing in it waits.
type twoSteps struct{ *reference }

func (s twoSteps) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	_, err := s.Get(ctx, key)
	if !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	return true, s.Set(ctx, key, value, ttl)
}

func (s twoSteps) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (bool, error) {
	if value, err := s.Get(ctx, key); err != nil || !bytes.Equal(value, old) {
		return false, nil
	}
	return true, s.Set(ctx, key, new, ttl)
}

func (s twoSteps) CompareAndDelete(ctx context.Context, key string, old []byte) (bool, error) {
	if value, err := s.Get(ctx, key); err != nil || !bytes.Equal(value, old) {
		return false, nil
	}
	return true, s.Delete(ctx, key)
}

func TestTwoStepsAreNotAtomic(t *testing.T) {
	open := func(context.Context) (store.Store, error) { return twoSteps{newReference()}, nil }
	want := []string{"Add/OneWinner", "CompareAndSwap/Counter", "CompareAndDelete/OneWinner"}
	others := make(map[string]string)
	for _, c := range allCases {
		if !slices.Contains(want, c.id) {
			others[c.id] = "not about atomicity"
		}
	}
	report, _ := Check(t.Context(), open, &Options{Skip: others})
	for _, c := range report.Cases {
		if slices.Contains(want, c.ID) && c.Status != Failed {
			t.Errorf("%s has %s, though a Get is followed by a write", c.ID, c.Status)
		}
	}
	if n := report.Count(Failed); n != len(want) {
		t.Errorf("%d cases have failed, want %d", n, len(want))
	}
}
