package memo_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

var errQuota = errors.New("quota exceeded")

// failing is a function that fails in a way of its own each time.
type failing struct {
	err   error
	calls int
}

func (fl *failing) read(context.Context, int) (int, error) {
	fl.calls++
	if fl.err == nil {
		return fl.calls, nil
	}
	return 0, fmt.Errorf("call %d: %w", fl.calls, fl.err)
}

func forAMinute(err error) time.Duration {
	if errors.Is(err, errQuota) {
		return time.Minute
	}
	return 0
}

func TestCacheError(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		for _, shared := range []bool{false, true} {
			fl := &failing{err: errQuota}
			m := newMemo(t, s, nil)
			o := &memo.FuncOptions[int, int]{CacheError: forAMinute, Shared: shared, Namespace: fmt.Sprint(shared), Policy: memo.Policy{Absent: time.Hour}}
			f, g := wrap(t, m, "f", fl.read, o), wrap(t, newMemo(t, s, nil), "f", fl.read, o)
			want := func(what string, f *memo.Func[int, int], call int, remembered bool) {
				t.Helper()
				_, err := f.Get(t.Context(), 7)
				var r *memo.RememberedError
				switch {
				case errors.As(err, &r) != remembered, errors.Is(err, errQuota) == remembered: // only the text is kept, whatever the store
					t.Errorf("%s: %v", what, err)
				case remembered && (r.Absent || r.Text != fmt.Sprintf("call %d: quota exceeded", call)):
					t.Errorf("%s: %+v", what, r)
				case errors.Is(err, store.ErrNotFound) || fl.calls != call:
					t.Errorf("%s: %v after %d calls, want %d", what, err, fl.calls, call)
				}
				var e *memo.Error
				if !errors.As(err, &e) || e.Op != "load" || e.Func != "f" || e.Key != theKeyOf(t, f, 7) {
					t.Errorf("%s: %#v", what, err)
				}
			}
			want("first", f, 1, false)
			time.Sleep(time.Minute - 1)
			want("again", f, 1, true)
			want("another process", g, 1, true)
			if has, err := f.Has(t.Context(), 7); has || err != nil {
				t.Errorf("Has: %v, %v", has, err)
			}
			if meta, err := f.Meta(t.Context(), 7); meta.Absent || !meta.Failure || err != nil {
				t.Errorf("Meta: %+v, %v", meta, err)
			}
			if st := m.Stats(); st.NegativeHits != 1 || st.LoadErrors != 1 {
				t.Errorf("%+v", st)
			}
			time.Sleep(time.Nanosecond)
			want("when it is over", f, 2, false)
			if err := f.Set(t.Context(), 7, 5); err != nil {
				t.Error(err)
			}
			if v := get(t, f, 7); v != 5 {
				t.Errorf("after Set: %d", v)
			}
			mustDelete(t, f, 7)
			want("after Delete", f, 3, false)
			fl.err = nil
			if v, err := f.Refresh(t.Context(), 7); v != 4 || err != nil {
				t.Errorf("Refresh: %d, %v", v, err)
			}
			if v := get(t, f, 7); v != 4 {
				t.Errorf("after Refresh: %d", v)
			}
		}
	})
}

func TestErrorIsNotRemembered(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		for i, cacheError := range []func(error) time.Duration{
			nil,
			func(error) time.Duration { return 0 },
			func(error) time.Duration { return -time.Hour },
			func(error) time.Duration { return memo.Off },
		} {
			fl := &failing{err: errQuota}
			f := wrap(t, newMemo(t, s, nil), "f", fl.read, &memo.FuncOptions[int, int]{CacheError: cacheError})
			for range 3 {
				if _, err := f.Get(t.Context(), 7); !errors.Is(err, errQuota) {
					t.Errorf("%d: %v", i, err)
				}
			}
			if fl.calls != 3 {
				t.Errorf("%d: %d calls, want 3", i, fl.calls)
			}
		}
	})
}

// CacheError is asked for what the function has returned, and not where there
// is no such thing, for which there is Absent.
func TestCacheErrorIsNotAskedForAbsence(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		asked := 0
		fl := &failing{err: store.ErrNotFound}
		f := wrap(t, newMemo(t, s, nil), "f", fl.read, &memo.FuncOptions[int, int]{CacheError: func(error) time.Duration { asked++; return time.Hour }})
		for range 3 {
			_, _ = f.Get(t.Context(), 7)
		}
		if asked != 0 || fl.calls != 3 {
			t.Errorf("asked %d times, %d calls", asked, fl.calls)
		}
	})
}

// An error does not replace a value that is there to be answered instead.
func TestErrorDoesNotReplaceStaleValue(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		fl := new(failing)
		f := wrap(t, newMemo(t, s, nil), "f", fl.read, &memo.FuncOptions[int, int]{
			CacheError: forAMinute, Policy: memo.Policy{TTL: time.Minute, Stale: time.Hour},
		})
		get(t, f, 7)
		time.Sleep(2 * time.Minute)
		fl.err = errQuota
		for range 10 {
			if v := get(t, f, 7); v != 1 {
				t.Errorf("got %d", v)
			}
			synctest.Wait()
			time.Sleep(time.Second)
		}
		if r, err := f.Lookup(t.Context(), 7, memo.Call{ETag: new("new")}); r.Value != 1 || r.Source != memo.SourceStale || err != nil {
			t.Errorf("another etag: %+v, %v", r, err)
		}
		time.Sleep(time.Hour)
		_, err := f.Get(t.Context(), 7)
		if !errors.Is(err, errQuota) {
			t.Errorf("got %v", err)
		}
		var r *memo.RememberedError
		if _, err = f.Get(t.Context(), 7); !errors.As(err, &r) {
			t.Errorf("without a value the error is remembered: %v", err)
		}
	})
}

// That a load was cancelled, as nobody waited any more, is nobody's error
// afterwards.
func TestCancelledLoadIsNotRemembered(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		f := wrap(t, newMemo(t, s, nil), "f", func(ctx context.Context, k int) (int, error) {
			select {
			case <-time.After(time.Second):
				return k, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}, &memo.FuncOptions[int, int]{CacheError: func(error) time.Duration { return time.Hour }})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		wantFailure(t, "who leaves", ask(ctx, f, 7), context.DeadlineExceeded, time.Millisecond)
		synctest.Wait()
		wantAnswer(t, "next", ask(t.Context(), f, 7), 7, time.Second)

		slow := wrap(t, newMemo(t, s, nil), "slow", func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}, &memo.FuncOptions[int, int]{CacheError: func(error) time.Duration { return time.Hour }, Policy: memo.Policy{LoadTimeout: time.Second}})
		for range 2 {
			wantFailure(t, "too slow", ask(t.Context(), slow, 7), memo.ErrTimeout, time.Second)
		}
	})
}

// A hook that panics is a fault of the program like a function that panics: it
// reaches the callers, and blocks no key.
func TestHookThatPanics(t *testing.T) {
	for _, hook := range []string{"CacheError", "ShouldStore", "Tags"} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			fl := new(failing)
			panics := true
			boom := func() {
				if panics {
					panic("boom")
				}
			}
			o := new(memo.FuncOptions[int, int])
			switch hook {
			case "CacheError":
				fl.err = errQuota
				o.CacheError = func(error) time.Duration { boom(); return 0 }
			case "ShouldStore":
				o.ShouldStore = func(int, int) bool { boom(); return true }
			case "Tags":
				o.Tags = func(int) []string { boom(); return nil }
			}
			released := 0
			m := newMemo(t, s, &memo.Options{Lock: func(context.Context, string) (func(), error) {
				return func() { released++ }, nil
			}})
			f := wrap(t, m, "f", fl.read, o)
			func() {
				defer func() {
					if p, ok := recover().(*memo.PanicError); !ok || p.Value != "boom" {
						t.Errorf("%s: %v", hook, p)
					}
				}()
				_, _ = f.Get(t.Context(), 7)
			}()
			if released != 1 {
				t.Errorf("%s: the lock was released %d times", hook, released)
			}
			panics, fl.err = false, nil
			get(t, f, 7)
		})
	}
}

func TestShouldStore(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		fl := new(failing)
		f := wrap(t, newMemo(t, s, nil), "f", fl.read, &memo.FuncOptions[int, int]{
			ShouldStore: func(k, v int) bool { return k == 7 && v >= 3 },
		})
		for i, want := range []int{1, 2, 3, 3} {
			if v := get(t, f, 7); v != want {
				t.Errorf("call %d: got %d, want %d", i, v, want)
			}
		}
	})
}
