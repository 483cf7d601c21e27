package storetest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// answers is a store in which every key has its own name as value.
type answers struct{ closed bool }

func (*answers) Get(_ context.Context, key string) ([]byte, error)        { return []byte(key), nil }
func (*answers) Set(context.Context, string, []byte, time.Duration) error { return nil }
func (*answers) Delete(context.Context, string) error                     { return nil }
func (*answers) TTL(context.Context, string) (time.Duration, error)       { return time.Minute, nil }

func (*answers) Add(context.Context, string, []byte, time.Duration) (bool, error) { return true, nil }

func (a *answers) Close() error { a.closed = true; return nil }

func TestBare(t *testing.T) {
	a := new(answers)
	b := storetest.Bare(a)
	if store.Supports[store.AddStore](b) {
		t.Error("Bare shows Add")
	}
	if v, err := b.Get(t.Context(), "k"); string(v) != "k" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	if err := store.Close(b); err != nil || !a.closed {
		t.Errorf("Close: %v", err)
	}
}

func TestFaulty(t *testing.T) {
	ctx := t.Context()
	down := errors.New("down")
	r := storetest.NewRecorder(new(answers))
	fail := func(op string) func(storetest.Call) error {
		return func(c storetest.Call) error {
			if c.Op == op {
				return down
			}
			return nil
		}
	}
	s := storetest.Faulty(r, fail("get"), fail("add"))

	v, err := s.Get(ctx, "k")
	var e *store.Error
	if v != nil || !errors.Is(err, down) || !errors.Is(err, store.ErrUnavailable) || !errors.As(err, &e) || e.Op != "get" || e.Key != "k" {
		t.Errorf("Get = %q, %v", v, err)
	}
	if added, err := store.Add(ctx, s, "k", nil, 0); added || !errors.Is(err, down) {
		t.Errorf("Add = %v, %v; want a lost answer", added, err)
	}
	if ttl, err := s.TTL(ctx, "k"); ttl != time.Minute || err != nil {
		t.Errorf("TTL = %v, %v", ttl, err)
	}
	if r.Count("get") != 0 || r.Count("add") != 1 {
		t.Errorf("calls that reached the store: %v", r.Calls())
	}
	if !store.Supports[store.AddStore](s) || store.Supports[store.TouchStore](s) {
		t.Error("the abilities are not those of the store below")
	}
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := storetest.NewRecorder(new(answers))
		s := storetest.Slow(r, func(storetest.Call) time.Duration { return time.Second })
		start := time.Now()
		if _, err := s.Get(t.Context(), "k"); err != nil || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := s.Delete(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) || r.Count("delete") != 0 {
			t.Errorf("Delete: %v, %v", err, r.Calls())
		}
	})
}

func TestRecorder(t *testing.T) {
	ctx := t.Context()
	r := storetest.NewRecorder(new(answers))
	keys := []string{"a", "b"}
	if _, err := store.GetMany(ctx, r, keys); err != nil {
		t.Error(err)
	}
	keys[0] = "changed"
	_, _ = r.Get(ctx, "c")
	for range store.Keys(ctx, r, "pre") {
	}
	calls := r.Calls()
	if len(calls) != 3 || !slices.Equal(calls[0].Keys, []string{"a", "b"}) || calls[0].Key() != "" || calls[1].Key() != "c" || calls[2].Key() != "pre" {
		t.Errorf("%v", calls)
	}
	if r.Reset(); r.Count("get") != 0 {
		t.Error("Reset forgot nothing")
	}
}

// batches answers to GetManyWithTTL alone.
type batches struct{ leases }

func (*batches) GetManyWithTTL(context.Context, []string) (map[string]store.Entry, error) {
	return map[string]store.Entry{"a": {TTL: time.Minute}}, nil
}

func TestGetManyWithTTLIsForwarded(t *testing.T) {
	ctx := t.Context()
	r := storetest.NewRecorder(new(batches))
	entries, err := store.GetManyWithTTL(ctx, r, []string{"a", "b"})
	if calls := r.Calls(); len(entries) != 1 || err != nil || len(calls) != 1 || calls[0].Op != "getmanywithttl" || len(calls[0].Keys) != 2 {
		t.Errorf("%v, %v after %v", entries, err, calls)
	}
	lossy := storetest.Faulty(r, nil, func(storetest.Call) error { return errors.New("lost") })
	if entries, err := store.GetManyWithTTL(ctx, lossy, []string{"a"}); entries != nil || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("an answer that was lost: %v, %v", entries, err)
	}
	if !store.Supports[store.GetManyWithTTLStore](lossy) || store.Supports[store.GetManyWithTTLStore](storetest.Bare(r)) {
		t.Error("Faulty hides the ability, or Bare shows it")
	}
}

func TestInterceptKeysEndsEarly(t *testing.T) {
	s := storetest.Intercept(new(answers), func(context.Context, storetest.Call, func(context.Context) error) error {
		return errors.New("refused")
	})
	for key, err := range store.Keys(t.Context(), s, "") {
		if key != "" || err == nil {
			t.Errorf("%q, %v", key, err)
		}
	}
}

// leases answers to GetOrLease and Fill alone.
type leases struct {
	answers
	store.LeaseStore
}

func (*leases) Get(_ context.Context, key string) ([]byte, error)        { return []byte(key), nil }
func (*leases) Set(context.Context, string, []byte, time.Duration) error { return nil }
func (*leases) Delete(context.Context, string) error                     { return nil }
func (*leases) TTL(context.Context, string) (time.Duration, error)       { return time.Minute, nil }

func (*leases) GetOrLease(context.Context, string, string, time.Duration, *store.Live) (store.Lookup, error) {
	return store.Lookup{Lease: store.LeaseGranted, TTL: time.Minute}, nil
}

func (*leases) Fill(context.Context, string, string, *store.Live, time.Duration) (bool, error) {
	return true, nil
}

func TestFaultyLosesAnswersOfLeases(t *testing.T) {
	ctx := t.Context()
	r := storetest.NewRecorder(new(leases))
	s := storetest.Faulty(r, nil, func(storetest.Call) error { return errors.New("lost") })
	if found, err := store.GetOrLease(ctx, s, "k", "token", time.Minute, nil); found != (store.Lookup{}) || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("GetOrLease = %v, %v", found, err)
	}
	if filled, err := store.Fill(ctx, s, "k", "token", store.LiveBytes(nil), 0); filled || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Fill = %v, %v", filled, err)
	}
	if r.Count("getorlease") != 1 || r.Count("fill") != 1 {
		t.Errorf("calls that reached the store: %v", r.Calls())
	}
	if !store.Supports[store.LeaseStore](s) || store.Supports[store.WatchStore](s) {
		t.Error("the abilities are not those of the store below")
	}
	if store.Supports[store.LeaseStore](storetest.Bare(r)) {
		t.Error("Bare shows leases")
	}
}
