package memo_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// locks are what several processes have in common.
type locks struct {
	mu                 sync.Mutex
	held               map[string]chan struct{}
	acquired, released atomic.Int64
	twice              atomic.Int64 // releases of what was released
}

func (l *locks) lock(ctx context.Context, key string) (func(), error) {
	for {
		l.mu.Lock()
		free, ok := l.held[key]
		if !ok {
			free = make(chan struct{})
			if l.held == nil {
				l.held = make(map[string]chan struct{})
			}
			l.held[key] = free
			l.mu.Unlock()
			l.acquired.Add(1)
			return func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				if l.held[key] != free {
					l.twice.Add(1)
					return
				}
				delete(l.held, key)
				close(free)
				l.released.Add(1)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-free:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// want checks that all that was acquired was released, once.
func (l *locks) want(t *testing.T, what string, acquired int64) {
	t.Helper()
	if l.acquired.Load() != acquired || l.released.Load() != acquired || l.twice.Load() != 0 {
		t.Errorf("%s: acquired %d times, want %d; released %d times, and %d times again", what, l.acquired.Load(), acquired, l.released.Load(), l.twice.Load())
	}
}

// Those who wait for the lock look again when they have it: many processes
// load once.
func TestLockLoadsOnce(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		for name, policy := range map[string]memo.Policy{"plain": {TTL: time.Minute}, "stale": {TTL: time.Minute, Stale: time.Hour}} {
			var l locks
			var loads atomic.Int64
			const processes, callers = 8, 5
			var fs []*memo.Func[int, int64]
			for range processes {
				m := newMemo(t, s, &memo.Options{Lock: l.lock, Namespace: name})
				f := wrap(t, m, "f", func(_ context.Context, k int) (int64, error) {
					if k == 0 {
						return 0, nil
					}
					time.Sleep(time.Second)
					return loads.Add(1), nil
				}, &memo.FuncOptions[int, int64]{Policy: policy})
				get(t, f, 0) // without Add, who begin at the same time would begin generations of their own
				fs = append(fs, f)
			}
			l.acquired.Store(0)
			l.released.Store(0)
			all := func(want int64, took time.Duration) {
				t.Helper()
				start := time.Now()
				var group sync.WaitGroup
				for _, f := range fs {
					for range callers {
						group.Go(func() {
							if v := get(t, f, 7); v != want {
								t.Errorf("%s: got %d, want %d", name, v, want)
							}
						})
					}
				}
				group.Wait()
				if d := time.Since(start); d != took {
					t.Errorf("%s: took %v, want %v", name, d, took)
				}
			}
			all(1, time.Second)
			l.want(t, name, processes)
			all(1, 0)
			time.Sleep(2 * time.Minute)
			if policy.Stale == 0 {
				all(2, time.Second)
			} else {
				all(1, 0)
				time.Sleep(2 * time.Second)
				all(2, 0)
			}
			l.want(t, name, 2*processes)
			if n := loads.Load(); n != 2 {
				t.Errorf("%s: %d loads, want 2", name, n)
			}
			start := time.Now()
			for _, f := range fs {
				if _, err := f.Refresh(t.Context(), 7); err != nil {
					t.Error(err)
				}
			}
			if n := loads.Load(); n != 2+processes || time.Since(start) != processes*time.Second {
				t.Errorf("%s: %d loads; a Refresh takes no other's value", name, n)
			}
		}
	})
}

// However a load ends, the lock is released, once, and after the value was
// stored.
func TestLockIsReleased(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var l locks
		var how string
		var f *memo.Func[int, int]
		slow := storetest.Intercept(s, func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
			if (c.Op == "setlive" || c.Op == "set") && !ofVersions(c) {
				time.Sleep(time.Second)
				if l.acquired.Load() == l.released.Load() && how != "Set" {
					t.Errorf("%s: the lock was released before the value was stored", how)
				}
				if how == "store fails" {
					return store.Errorf(c.Op, c.Key(), store.ErrUnavailable, "down")
				}
			}
			return next(ctx)
		})
		m := newMemo(t, slow, &memo.Options{Lock: l.lock})
		f = wrap(t, m, "f", func(ctx context.Context, k int) (int, error) {
			switch time.Sleep(time.Second); how {
			case "error":
				return 0, errQuota
			case "absent":
				return 0, store.ErrNotFound
			case "panic":
				panic("boom")
			case "Goexit":
				runtime.Goexit()
			case "cannot be encoded":
				return -1, nil
			case "NoStore":
				memo.NoStore(ctx)
			case "timeout heeded", "left":
				<-ctx.Done()
				return 0, ctx.Err()
			case "timeout ignored":
				time.Sleep(time.Minute)
			}
			return k, nil
		}, &memo.FuncOptions[int, int]{Codec: noNegatives{}})
		acquired := int64(0)
		for _, how = range []string{
			"value", "hit", "error", "absent", "panic", "Goexit", "cannot be encoded", "NoStore", "timeout heeded", "timeout ignored",
			"left", "Delete", "store fails", "background",
		} {
			call := memo.Call{}
			ctx, cancel := context.WithCancel(t.Context())
			switch how {
			case "timeout heeded", "timeout ignored":
				call.Policy.LoadTimeout = 2 * time.Second
			case "left":
				time.AfterFunc(2*time.Second, cancel)
			case "Delete":
				time.AfterFunc(time.Second/2, func() { mustDelete(t, f, 7) })
			case "background":
				how = "Set"
				if err := f.Set(t.Context(), 7, 7); err != nil {
					t.Error(err)
				}
				how = "background"
				call.StaleOK, call.MaxAge = true, 1
				time.Sleep(time.Second)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				defer func() { _ = recover() }()
				_, _ = f.Lookup(ctx, 7, call)
			}()
			<-ended
			time.Sleep(time.Hour)
			cancel()
			if how != "hit" {
				acquired++
			}
			l.want(t, how, acquired)
			if how != "value" {
				mustDelete(t, f, 7)
			}
		}
	})
}

// noNegatives is a codec that refuses negative numbers.
type noNegatives struct{}

func (noNegatives) Append(b []byte, v int) ([]byte, error) {
	if v < 0 {
		return nil, errors.New("negative")
	}
	return append(b, byte(v)), nil
}

func (noNegatives) Decode(b []byte) (int, error) { return int(b[0]), nil }

// A lock that cannot be had does not keep anybody from loading.
func TestLockFails(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		refused := errors.New("refused")
		m := newMemo(t, s, &memo.Options{Trace: seen.trace(), Lock: func(context.Context, string) (func(), error) {
			return func() { t.Error("a lock that was not had was released") }, refused
		}})
		f := wrap(t, m, "f", echo, nil)
		get(t, f, 7)
		get(t, f, 7)
		seen.want(t, 1, 1, 0, 0)
		if info := seen.storeErrors[0]; info.Op != "lock" || info.Func != "f" || !errors.Is(info.Err, refused) {
			t.Errorf("told %+v", info)
		}
		none := newMemo(t, s, &memo.Options{Namespace: "none", Lock: func(context.Context, string) (func(), error) { return nil, nil }})
		get(t, wrap(t, none, "f", echo, nil), 7)
	})
}

// Who waits for the lock is not held longer than he would wait for the load,
// and nobody loads for nobody.
func TestLockIsWaitedFor(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var l locks
		var keys []string
		m := newMemo(t, s, &memo.Options{Lock: func(ctx context.Context, key string) (func(), error) {
			keys = append(keys, key)
			return l.lock(ctx, key)
		}})
		f := wrap(t, m, "f", echo, &memo.FuncOptions[int, int]{Policy: memo.Policy{LoadTimeout: time.Hour}})
		release, err := l.lock(t.Context(), theKeyOf(t, f, 7))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantFailure(t, "his own deadline", ask(ctx, f, 7), context.DeadlineExceeded, time.Second)
		synctest.Wait()
		wantFailure(t, "LoadTimeout", ask(t.Context(), f, 7), memo.ErrTimeout, time.Hour)
		synctest.Wait()
		if n := m.Stats().Loads(); n != 0 {
			t.Errorf("%d loads for nobody", n)
		}
		waits := ask(t.Context(), f, 7)
		time.Sleep(time.Minute)
		release()
		wantAnswer(t, "when it is free", waits, 7, time.Minute)
		l.want(t, "all", 2)
		for _, key := range keys {
			if key != theKeyOf(t, f, 7) {
				t.Errorf("locked %q", key)
			}
		}
	})
}
