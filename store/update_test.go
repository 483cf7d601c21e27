package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

func fields(calls []string, i int) (all []string) {
	for _, call := range calls {
		all = append(all, strings.Fields(call)[i])
	}
	return all
}

func TestUpdateHoldsWhileItCommits(t *testing.T) {
	l := newLeased()
	must(t, store.Update(t.Context(), l, "k", time.Minute, func(context.Context) error {
		l.calls = append(l.calls, "commit k none")
		return nil
	}))
	if ops := fields(l.calls, 0); !slices.Equal(ops, []string{"hold", "commit", "delete"}) {
		t.Errorf("the calls are %v", ops)
	}
}

func TestUpdateErrors(t *testing.T) {
	broken, down := errors.New("the database is away"), errors.New("the store is away")
	for _, test := range []struct {
		name         string
		hold, delete error
		commit       error
		want         []error
		ops          []string
	}{
		{"hold", down, nil, nil, []error{down}, []string{"hold"}},
		{"commit", nil, nil, broken, []error{broken}, []string{"hold", "commit", "delete"}},
		{"delete", nil, down, nil, []error{down}, []string{"hold", "commit", "delete"}},
		{"commit and delete", nil, down, broken, []error{broken, down}, []string{"hold", "commit", "delete"}},
	} {
		l := newLeased()
		l.errs["hold"], l.errs["delete"] = test.hold, test.delete
		err := store.Update(t.Context(), l, "k", time.Minute, func(context.Context) error {
			l.calls = append(l.calls, "commit")
			return test.commit
		})
		for _, want := range test.want {
			if !errors.Is(err, want) {
				t.Errorf("%s: %v; want %v", test.name, err, want)
			}
		}
		if ops := fields(l.calls, 0); !slices.Equal(ops, test.ops) {
			t.Errorf("%s: the calls are %v", test.name, ops)
		}
	}
}

func TestUpdateDeletesAfterPanic(t *testing.T) {
	l := newLeased()
	defer func() {
		if p := recover(); p != "broken" {
			t.Errorf("recovered %v", p)
		}
		if ops := fields(l.calls, 0); !slices.Equal(ops, []string{"hold", "delete"}) {
			t.Errorf("the calls are %v", ops)
		}
	}()
	_ = store.Update(t.Context(), l, "k", time.Minute, func(context.Context) error { panic("broken") })
}

func TestUpdateDeletesAfterItsContext(t *testing.T) {
	l := newLeased()
	ctx, cancel := context.WithCancel(t.Context())
	err := store.Update(ctx, l, "k", time.Minute, func(ctx context.Context) error {
		cancel()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v; want the error of commit", err)
	}
	if ops := fields(l.calls, 0); !slices.Equal(ops, []string{"hold", "delete"}) {
		t.Errorf("the calls are %v", ops)
	}
}

func TestUpdateEndsCommitInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := store.Update(t.Context(), newLeased(), "k", time.Minute, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 54*time.Second {
			t.Errorf("%v after %v; want the context of commit to end a tenth before the life", err, took)
		}
	})
}

func TestUpdateWithoutLeases(t *testing.T) {
	for name, make := range withoutAbilities() {
		s, _ := make()
		err := store.Update(t.Context(), s, "k", time.Minute, func(context.Context) error {
			t.Errorf("%s: commit was called", name)
			return nil
		})
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
