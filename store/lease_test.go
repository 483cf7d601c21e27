package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// leased notes the calls of a LeaseStore, and answers as it is told to.
type leased struct {
	*mapStore
	calls []string
	err   error
	errs  map[string]error // by method
}

func newLeased() *leased { return &leased{mapStore: newMap(), errs: make(map[string]error)} }

func (l *leased) call(op, key, token string, args ...any) error {
	l.calls = append(l.calls, strings.TrimSpace(fmt.Sprintln(append([]any{op, key, token}, args...)...)))
	if err := l.errs[op]; err != nil {
		return err
	}
	return l.err
}

func (l *leased) GetOrLease(_ context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
	if err := l.call("getorlease", key, token, life, despite != nil); err != nil {
		return store.Lookup{}, err
	}
	return store.Lookup{Lease: store.LeaseTaken, TTL: life}, nil
}

func (l *leased) Fill(_ context.Context, key, token string, live *store.Live, ttl time.Duration) (bool, error) {
	err := l.call("fill", key, token, live != nil, ttl)
	return err == nil, err
}

func (l *leased) RenewLease(_ context.Context, key, token string, life time.Duration) (bool, error) {
	err := l.call("renewlease", key, token, life)
	return err == nil, err
}

func (l *leased) Abandon(_ context.Context, key, token string) error {
	return l.call("abandon", key, token)
}

func (l *leased) Hold(_ context.Context, key string, life time.Duration) error {
	return l.call("hold", key, "-", life)
}

func (l *leased) Delete(ctx context.Context, key string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return l.call("delete", key, "-")
}

// leaseCalls are the five functions, with whether they have returned something.
func leaseCalls(ctx context.Context, s store.Store) map[string]func(key string) (bool, error) {
	l := store.LiveBytes([]byte("v"))
	return map[string]func(key string) (bool, error){
		"getorlease": func(key string) (bool, error) {
			found, err := store.GetOrLease(ctx, s, key, "token", time.Minute, l)
			return found != store.Lookup{}, err
		},
		"fill":       func(key string) (bool, error) { return store.Fill(ctx, s, key, "token", l, time.Hour) },
		"renewlease": func(key string) (bool, error) { return store.RenewLease(ctx, s, key, "token", time.Minute) },
		"abandon":    func(key string) (bool, error) { return false, store.Abandon(ctx, s, key, "token") },
		"hold":       func(key string) (bool, error) { return false, store.Hold(ctx, s, key, time.Minute) },
	}
}

var wantCalls = []string{
	"abandon p:k token", "fill p:k token true 1h0m0s", "getorlease p:k token 1m0s true", "hold p:k - 1m0s", "renewlease p:k token 1m0s",
}

func TestLeaseFunctionsReachTheStore(t *testing.T) {
	l := newLeased()
	r := storetest.NewRecorder(store.Prefix(l, "p:"))
	for op, call := range leaseCalls(t.Context(), r) {
		something, err := call("k")
		if want := op == "getorlease" || op == "fill" || op == "renewlease"; err != nil || something != want {
			t.Errorf("%s: %v, %v; want %v", op, something, err, want)
		}
		if r.Count(op) != 1 || r.Calls()[0].Key() != "k" {
			t.Errorf("%s: the calls %v were recorded", op, r.Calls())
		}
		r.Reset()
	}
	slices.Sort(l.calls)
	if !slices.Equal(l.calls, wantCalls) {
		t.Errorf("the store was called with\n%s\nwant\n%s", strings.Join(l.calls, "\n"), strings.Join(wantCalls, "\n"))
	}
	if !store.Supports[store.LeaseStore](r) || store.Supports[store.WatchStore](r) {
		t.Error("the abilities are not those of the store below")
	}
	if store.Supports[store.LeaseStore](store.Prefix(storetest.Bare(l), "p:")) {
		t.Error("Bare shows leases")
	}
}

func TestLeaseErrorsNameTheViewsKey(t *testing.T) {
	l := newLeased()
	view := store.Prefix(l, "p:")
	for op, call := range leaseCalls(t.Context(), view) {
		l.err = store.Errorf(op, "p:k", store.ErrUnavailable, "down")
		something, err := call("k")
		var e *store.Error
		if something || !errors.Is(err, store.ErrUnavailable) || !errors.As(err, &e) || e.Op != op || e.Key != "k" {
			t.Errorf("%s: %v, %v; want an error with the view's own key alone", op, something, err)
		}
		l.calls = nil
		long := strings.Repeat("k", store.MaxKeyLen)
		for _, key := range []string{"", long} {
			if something, err := call(key); something || !errors.Is(err, store.ErrInvalid) || len(l.calls) > 0 {
				t.Errorf("%s of a key of %d bytes: %v, %v, and the store was called with %q", op, len(key), something, err, l.calls)
			}
		}
	}
}

func TestCheckLeaseAndCheckHold(t *testing.T) {
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		ctx   context.Context
		key   string
		token string
		life  time.Duration
		want  error
		text  string
	}{
		{t.Context(), "k", "t", 1, nil, ""},
		{t.Context(), "k", strings.Repeat("\x00", 64), time.Hour, nil, ""},
		{nil, "k", "t", 1, store.ErrInvalid, "the context is nil"},
		{done, "k", "t", 1, context.Canceled, "context canceled"},
		{t.Context(), "", "t", 1, store.ErrInvalid, "the key is empty"},
		{t.Context(), "k", "", 1, store.ErrInvalid, `store: op "k": the token has 0 bytes; give 1 to 64, of rand.Text for example`},
		{t.Context(), "k", strings.Repeat("t", 65), 1, store.ErrInvalid, "the token has 65 bytes"},
		{t.Context(), "k", "t", 0, store.ErrInvalid, `store: op "k": the life 0s is not positive`},
		{t.Context(), "k", "t", -time.Second, store.ErrInvalid, "the life -1s is not positive"},
	} {
		err := store.CheckLease(test.ctx, "op", test.key, test.token, test.life)
		if !errors.Is(err, test.want) || err != nil && !strings.Contains(err.Error(), test.text) {
			t.Errorf("CheckLease(%q, %.5q, %v) = %v, want %q", test.key, test.token, test.life, err, test.text)
		}
		if strings.Contains(test.text, "the token") {
			continue
		}
		err = store.CheckHold(test.ctx, "op", test.key, test.life)
		if !errors.Is(err, test.want) || err != nil && !strings.Contains(err.Error(), test.text) {
			t.Errorf("CheckHold(%q, %v) = %v, want %q", test.key, test.life, err, test.text)
		}
	}
}

func TestLeaseStateString(t *testing.T) {
	want := []string{"none", "granted", "taken", "blocked", "unknown"}
	for i, state := range []store.LeaseState{store.LeaseNone, store.LeaseGranted, store.LeaseTaken, store.LeaseBlocked, 99} {
		if got := state.String(); got != want[i] {
			t.Errorf("LeaseState(%d) is %q, want %q", state, got, want[i])
		}
	}
}
