package memo_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

func TestStoreDown(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		down := errors.New("connection refused")
		faulty := storetest.Faulty(s, func(storetest.Call) error { return down }, nil)
		f := wrap(t, newMemo(t, faulty, &memo.Options{Trace: seen.trace()}), "f", func(_ context.Context, k int) (int, error) {
			time.Sleep(time.Second)
			return k, nil
		}, nil)
		first, joined := ask(t.Context(), f, 7), ask(t.Context(), f, 7)
		wantAnswer(t, "first", first, 7, time.Second)
		wantAnswer(t, "joined", joined, 7, time.Second)
		seen.want(t, 1, 2, 0, 0) // of each caller; what cannot be asked for is not written
		for _, info := range seen.storeErrors {
			if info.Func != "f" || info.Op != "get" || !errors.Is(info.Err, down) {
				t.Errorf("reported %+v", info)
			}
		}
		_, hasErr := f.Has(t.Context(), 7)
		_, ttlErr := f.TTL(t.Context(), 7)
		for _, err := range []error{hasErr, ttlErr} {
			if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, down) {
				t.Errorf("got %v", err)
			}
		}
		seen.want(t, 1, 4, 0, 0)
	})
}

func TestMissIsNoError(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		f := wrap(t, newMemo(t, s, &memo.Options{Trace: seen.trace()}), "f", echo, nil)
		_, _ = f.Has(t.Context(), 1)
		_, _ = f.TTL(t.Context(), 1)
		get(t, f, 1)
		mustDelete(t, f, 1)
		mustDelete(t, f, 1)
		seen.want(t, 1, 0, 0, 0)
	})
}

// A store that does not answer keeps nobody longer than its own context.
func TestStoreHangs(t *testing.T) {
	for _, op := range []string{"get", "set"} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var seen events
			hangs := false
			hanging := storetest.Intercept(s, func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
				if hangs && strings.HasPrefix(c.Op, op) {
					select {
					case <-ctx.Done():
						return &store.Error{Op: c.Op, Key: c.Key(), Err: ctx.Err()}
					case <-time.After(time.Hour):
						return store.Errorf(c.Op, c.Key(), store.ErrUnavailable, "no answer")
					}
				}
				return next(ctx)
			})
			f := wrap(t, newMemo(t, hanging, &memo.Options{Trace: seen.trace()}), "f", echo, nil)
			get(t, f, 1)
			hangs = true
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if op == "get" {
				wantFailure(t, op, ask(ctx, f, 7), context.DeadlineExceeded, time.Second)
				seen.want(t, 1, 1, 0, 0) // else an operator would not see why all calls fail
				cancelled, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				wantFailure(t, op, ask(cancelled, f, 7), context.Canceled, time.Second)
				wantFailure(t, op, ask(ctx, f, 7), context.DeadlineExceeded, 0)
				seen.want(t, 1, 1, 0, 0)
				return
			}
			wantAnswer(t, "who waits for the write no longer", ask(ctx, f, 7), 7, time.Second)
			wantAnswer(t, "who waits on", ask(t.Context(), f, 7), 7, time.Hour-time.Second)
			seen.want(t, 2, 1, 0, 0)
		})
	}
}

func TestResultThatCannotBeEncoded(t *testing.T) {
	type odd struct {
		N int
		C chan int
	}
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		m := newMemo(t, s, &memo.Options{Trace: seen.trace()})
		f := wrap(t, m, "f", func(_ context.Context, n int) (*odd, error) {
			time.Sleep(time.Second)
			return &odd{N: n}, nil
		}, nil)
		first, joined := ask(t.Context(), f, 7), ask(t.Context(), f, 7)
		a, b := <-first, <-joined
		if a.err != nil || b.err != nil || a.value.N != 7 || b.value.N != 7 {
			t.Fatalf("got %+v and %+v", a, b)
		}
		if a.value == b.value {
			t.Error("two callers got the same value")
		}
		seen.want(t, 2, 0, 1, 0)
		var unsupported *json.UnsupportedTypeError
		if info := seen.encodeErrors[0]; info.Func != "f" || !errors.As(info.Err, &unsupported) {
			t.Errorf("reported %+v", info)
		}
		if has, err := f.Has(t.Context(), 7); has || err != nil {
			t.Errorf("Has: %v, %v", has, err)
		}
	})
}

// Shared values need no encoding, unless the store wants bytes.
func TestSharedResultThatCannotBeEncoded(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		m := newMemo(t, s, &memo.Options{Trace: seen.trace()})
		f := wrap(t, m, "f", func(context.Context, int) (chan int, error) { return make(chan int), nil },
			&memo.FuncOptions[int, chan int]{Shared: true})
		a, b := get(t, f, 7), get(t, f, 7)
		if store.Supports[store.LiveStore](s) {
			if a != b {
				t.Error("a live value was loaded twice")
			}
			seen.want(t, 1, 0, 0, 0)
		} else {
			seen.want(t, 2, 0, 2, 0)
		}
	})
}

// A value that can be encoded but not decoded is of use to nobody else.
func TestResultThatCannotBeDecoded(t *testing.T) {
	type odd struct{ Err error }
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		m := newMemo(t, s, &memo.Options{Trace: seen.trace()})
		f := wrap(t, m, "f", func(context.Context, int) (odd, error) {
			time.Sleep(time.Second)
			return odd{errors.New("x")}, nil
		}, nil)
		for _, c := range []<-chan answer[odd]{ask(t.Context(), f, 7), ask(t.Context(), f, 7), ask(t.Context(), f, 7)} {
			if a := <-c; a.err != nil || a.value.Err == nil {
				t.Errorf("got %+v", a)
			}
		}
		seen.want(t, 3, 0, 0, 2)
		if v := get(t, f, 7); v.Err == nil {
			t.Errorf("got %+v", v)
		}
		seen.want(t, 4, 0, 0, 3)
	})
}

// What cannot be read is a miss that is told of, and overwritten.
func TestEntryThatCannotBeRead(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		m := newMemo(t, s, &memo.Options{Trace: seen.trace()})
		var good []byte
		for _, shared := range []bool{false, true} {
			seen = events{}
			f := wrap(t, m, map[bool]string{false: "own", true: "shared"}[shared], echo, &memo.FuncOptions[int, int]{Shared: shared})
			key, err := f.Key(7)
			if err != nil {
				t.Fatal(err)
			}
			get(t, f, 7)
			if good, err = s.Get(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			change := func(i int, b byte) []byte {
				bad := append([]byte(nil), good...)
				bad[i] = b
				return bad
			}
			bad := map[string][]byte{
				"not written by package memo": []byte(`{"a":1}`),
				"by package memo":             {},
				"magic":                       change(0, 'x'),
				"version 200":                 change(2, 200),
				"flags 0x80":                  change(3, 0x80),
				"codec 9":                     change(4, 9),
				"another type":                change(5, good[5]+1),
				"cut":                         good[:20],
				"JSON":                        change(len(good)-1, 'x'),
				"end of JSON":                 good[:len(good)-1],
			}
			for why, entry := range bad {
				if err := s.Set(t.Context(), key, entry, store.Forever); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if v := get(t, f, 7); v != 7 {
						t.Errorf("%s: got %d", why, v)
					}
				}
			}
			seen.want(t, len(bad)+1, 0, 0, len(bad))
		}
	})
}

// Two functions whose keys are the same, since they are of two programs, or of
// one before and after an edit, never take each other's values for their own.
func TestValueOfAnotherType(t *testing.T) {
	type before struct{ Name, Mail string }
	type after struct{ Name, Email string }
	onEachStore(t, func(t *testing.T, s store.Store) {
		for _, shared := range []bool{false, true} {
			var seen events
			old := wrap(t, newMemo(t, s, nil), "user", func(context.Context, int) (before, error) {
				return before{"Ada", "ada@example.org"}, nil
			}, &memo.FuncOptions[int, before]{Shared: shared})
			users := wrap(t, newMemo(t, s, &memo.Options{Trace: seen.trace()}), "user", func(context.Context, int) (after, error) {
				return after{"Ada", "ada@example.org"}, nil
			}, &memo.FuncOptions[int, after]{Shared: shared})
			get(t, old, 1)
			for range 2 {
				if u := get(t, users, 1); u.Email == "" {
					t.Errorf("got %+v, half a value", u)
				}
			}
			seen.want(t, 1, 0, 0, 1)
			mustDelete(t, users, 1)
		}
	})
}

func TestTooLargeForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen events
		small := storetest.Intercept(newLiveStore(), func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
			if c.Op == "setlive" {
				return store.Errorf("set", c.Key(), store.ErrTooLarge, "more than 1 MB")
			}
			return next(ctx)
		})
		f := wrap(t, newMemo(t, small, &memo.Options{Trace: seen.trace()}), "f", echo, nil)
		get(t, f, 1)
		get(t, f, 1)
		seen.want(t, 2, 2, 0, 0)
		if !errors.Is(seen.storeErrors[0].Err, store.ErrTooLarge) {
			t.Errorf("reported %v", seen.storeErrors[0].Err)
		}
	})
}

// A result says whether it was stored, to who loads and who joins: what is in
// the store may be older, and be answered next.
func TestResultThatIsNotStored(t *testing.T) {
	for op, fails := range map[string]func(storetest.Call) bool{
		"read":  func(storetest.Call) bool { return true },
		"write": func(c storetest.Call) bool { return c.Op == "setlive" || c.Op == "fill" },
		"none":  func(storetest.Call) bool { return false },
	} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				faulty := storetest.Faulty(newMemory(t), func(c storetest.Call) error {
					if fails(c) {
						return errors.New("connection refused")
					}
					return nil
				}, nil)
				f := wrap(t, newMemo(t, faulty, nil), "f", func(_ context.Context, k int) (int, error) {
					time.Sleep(time.Second)
					return k, nil
				}, policy(memo.Policy{TTL: time.Minute}))
				want := time.Duration(0)
				if op == "none" {
					want = time.Minute
				}
				var callers sync.WaitGroup
				for range 2 {
					callers.Go(func() {
						r, err := f.Lookup(t.Context(), 7)
						if r.Value != 7 || r.TTL != want || r.Source != memo.SourceLoaded && r.Source != memo.SourceShared || err != nil {
							t.Errorf("got %+v, %v, want a TTL of %v", r, err, want)
						}
					})
				}
				callers.Wait()
			})
		})
	}
}
