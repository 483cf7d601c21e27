package layered_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// wire is the way of one process to L2, and back what L2 tells it.
type wire struct {
	everything
	fault atomic.Pointer[fault] // what becomes of calls; nil is nothing

	mu     sync.Mutex
	silent bool
	to     store.Watcher
}

type fault func(ctx context.Context, c storetest.Call, next func(context.Context) error) error

func refuse(_ context.Context, c storetest.Call, _ func(context.Context) error) error {
	return store.Errorf(c.Op, c.Key(), store.ErrUnavailable, "connection refused")
}

func hang(ctx context.Context, c storetest.Call, _ func(context.Context) error) error {
	<-ctx.Done()
	return &store.Error{Op: c.Op, Key: c.Key(), Err: ctx.Err()}
}

const slowness = 100 * time.Millisecond

func dawdle(ctx context.Context, _ storetest.Call, next func(context.Context) error) error {
	time.Sleep(slowness)
	return next(ctx)
}

func newWire(l2 store.Store) *wire {
	w := new(wire)
	w.everything = storetest.Intercept(l2, func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
		if f := w.fault.Load(); f != nil {
			return (*f)(ctx, c, next)
		}
		return next(ctx)
	}).(everything)
	return w
}

// Watch tells what L2 does, with a proof ten times a second.
func (w *wire) Watch(ctx context.Context, to store.Watcher) error {
	w.to = to
	if err := w.everything.Watch(ctx, w); err != nil {
		return err
	}
	go func() {
		beat := time.NewTicker(time.Second / 10)
		defer beat.Stop()
		for ctx.Err() == nil {
			w.tell(func(to store.Watcher) { to.Proven(time.Now()) })
			select {
			case <-beat.C:
			case <-ctx.Done():
			}
		}
	}()
	return nil
}

func (w *wire) Invalidate(keys ...string) {
	w.tell(func(to store.Watcher) { to.Invalidate(keys...) })
}
func (w *wire) Flush()           { w.tell(store.Watcher.Flush) }
func (w *wire) Proven(time.Time) {}

func (w *wire) tell(what func(store.Watcher)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.silent {
		what(w.to)
	}
}

func (w *wire) fail(f fault, silent bool) {
	if f != nil {
		w.fault.Store(&f)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent = silent
}

// mend ends what fail began. As a watch does that was interrupted, it says so.
func (w *wire) mend() {
	w.fault.Store(nil)
	w.mu.Lock()
	was := w.silent
	w.silent = false
	w.mu.Unlock()
	if was {
		w.Flush()
	}
}

// source is what is memoized: the version of everything.
type source struct {
	version, loads atomic.Int64
	load           func(context.Context) error // besides; nil is nothing
}

// process is a memoized function with layers of its own.
type process struct {
	t    *testing.T
	wire *wire // nil if L2 is a server
	s    *layered.Store
	f    *memo.Func[string, int64]
}

func newProcess(t *testing.T, l2 store.Store, src *source) *process {
	t.Helper()
	w := newWire(l2)
	p := memoize(t, newLayered(t, newMemory(t), w, watchSecond), src)
	p.wire = w
	synctest.Wait() // for the first proof
	return p
}

func memoize(t *testing.T, s *layered.Store, src *source) *process {
	t.Helper()
	m, err := memo.New(s, &memo.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(context.Background()) })
	f, err := memo.Wrap(m, "f", func(ctx context.Context, _ string) (int64, error) {
		src.loads.Add(1)
		v := src.version.Load()
		if src.load != nil {
			return v, src.load(ctx)
		}
		return v, nil
	}, &memo.FuncOptions[string, int64]{Policy: memo.Policy{TTL: time.Minute, Stale: time.Hour, LoadTimeout: 2 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	return &process{t, nil, s, f}
}

// want checks what is answered, from where, and that it takes no longer.
func (p *process) want(key string, version int64, from memo.Source, took time.Duration) {
	p.t.Helper()
	start := time.Now()
	r, err := p.f.Lookup(p.t.Context(), key)
	if d := time.Since(start); r.Value != version || r.Source != from || err != nil || d > took {
		p.t.Errorf("%s: got %d from %v, %v, after %v; want %d from %v within %v", key, r.Value, r.Source, err, d, version, from, took)
	}
}

// onTwo runs a test in a bubble with two processes. The first has an entry
// under "stale" whose ttl has passed, both have one under "fresh" that has its
// ttl before it, and none has "absent"; all of version 1, which is 2 by then.
func onTwo(t *testing.T, test func(t *testing.T, a, b *process, src *source)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l2, src := newMemory(t), new(source)
		a, b := newProcess(t, l2, src), newProcess(t, l2, src)
		src.version.Store(1)
		a.want("stale", 1, memo.SourceLoaded, 0)
		a.want("stale", 1, memo.SourceMemory, 0)
		time.Sleep(2 * time.Minute)
		a.want("fresh", 1, memo.SourceLoaded, 0)
		a.want("fresh", 1, memo.SourceMemory, 0)
		b.want("fresh", 1, memo.SourceMemory, 0)
		src.version.Store(2)
		test(t, a, b, src)
	})
}

// fails checks that a write says that L2 is not available.
func (p *process) fails(what string, err error) {
	p.t.Helper()
	if !errors.Is(err, store.ErrUnavailable) {
		p.t.Errorf("%s: %v, want ErrUnavailable", what, err)
	}
}

// works checks that everything is as usual, with version v.
func (p *process) works(v int64) {
	p.t.Helper()
	ctx := p.t.Context()
	p.want("new", v, memo.SourceLoaded, time.Second)
	hits := p.s.Stats().L1Hits
	p.want("new", v, memo.SourceMemory, 0)
	p.want("new", v, memo.SourceMemory, 0)
	if st := p.s.Stats(); st.L1Hits == hits || !st.L1Open || st.Breaker.State != layered.BreakerClosed {
		p.t.Errorf("Stats: %+v", st)
	}
	if err := errors.Join(p.f.Set(ctx, "new", 9), p.f.Delete(ctx, "new")); err != nil {
		p.t.Error(err)
	}
}
