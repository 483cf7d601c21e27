package memo_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

var errOrigin = errors.New("origin is away")

// origin is a function that a test gives orders to. Its value is the number of
// the call.
type origin struct {
	mu     sync.Mutex
	took   time.Duration
	heeds  bool // its context
	err    error
	panics bool
	exits  bool
	calls  []time.Time // when each began
}

func (o *origin) load(ctx context.Context, _ int) (int, error) {
	o.mu.Lock()
	o.calls = append(o.calls, time.Now())
	n, took, heeds, err, panics, exits := len(o.calls), o.took, o.heeds, o.err, o.panics, o.exits
	o.mu.Unlock()
	if took > 0 {
		if !heeds {
			ctx = context.Background()
		}
		select {
		case <-time.After(took):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	switch {
	case panics:
		panic("origin panics")
	case exits:
		runtime.Goexit()
	case err != nil:
		return 0, err
	}
	return n, nil
}

// now gives new orders.
func (o *origin) now(order func(o *origin)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	order(o)
}

func (o *origin) fails(err error) { o.now(func(o *origin) { o.err = err }) }

func (o *origin) takes(d time.Duration) { o.now(func(o *origin) { o.took = d }) }

// want checks how often it was called.
func (o *origin) want(t *testing.T, calls int) {
	t.Helper()
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.calls) != calls {
		t.Errorf("%d calls of the function, want %d", len(o.calls), calls)
	}
}

// called returns when each call began.
func (o *origin) called() []time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.calls)
}

// policy are options with a Policy alone.
func policy(p memo.Policy) *memo.FuncOptions[int, int] {
	return &memo.FuncOptions[int, int]{Policy: p}
}

// seen is a Result, but for its ETag, or what there is instead.
type seen struct {
	value    int
	source   memo.Source
	age, ttl time.Duration
	err      error // matched
}

// wantLookup checks what a Lookup returns, which does not take any time unless
// that is said.
func wantLookup(t *testing.T, f *memo.Func[int, int], want seen, call ...memo.Call) {
	t.Helper()
	wantLookupIn(t, 0, f, want, call...)
}

func wantLookupIn(t *testing.T, d time.Duration, f *memo.Func[int, int], want seen, call ...memo.Call) {
	t.Helper()
	start := time.Now()
	r, err := f.Lookup(t.Context(), 7, call...)
	if since := time.Since(start); since != d {
		t.Errorf("Lookup took %v, want %v", since, d)
	}
	if (err == nil) != (want.source != memo.SourceNone && want.source != memo.SourceNegative) || err != nil && r.Err != err {
		t.Errorf("Lookup returned the error %v with %+v", err, r)
	}
	if !errors.Is(r.Err, want.err) {
		t.Errorf("Lookup: Err is %v, want %v", r.Err, want.err)
	}
	if got := (seen{r.Value, r.Source, r.Age, r.TTL, want.err}); got != want {
		t.Errorf("Lookup:\ngot  %+v\nwant %+v", got, want)
	}
	synctest.Wait() // for what it has begun in the background
}

// sourceOf is the Source of what s keeps.
func sourceOf(s store.Store) memo.Source {
	if store.Supports[store.LiveStore](s) {
		return memo.SourceMemory
	}
	return memo.SourceStore
}

// longStore keeps entries for ever, whatever it is asked.
type longStore struct{ *liveStore }

func (s longStore) SetLive(ctx context.Context, key string, l *store.Live, _ time.Duration) error {
	return s.liveStore.SetLive(ctx, key, l, store.Forever)
}

func (s longStore) Set(ctx context.Context, key string, value []byte, _ time.Duration) error {
	return s.liveStore.Set(ctx, key, value, store.Forever)
}

// onExactAndLongStores is onEachStore, and the same over stores that keep
// entries for longer than they are asked to.
func onExactAndLongStores(t *testing.T, test func(t *testing.T, s store.Store)) {
	t.Helper()
	onEachStore(t, test)
	t.Run("long", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, longStore{newLiveStore()}) })
	})
	t.Run("long bytes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, storetest.Bare(longStore{newLiveStore()})) })
	})
}
