package memo_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// ofGeneration reports whether a call is about the generation of f.
func ofGeneration(c storetest.Call) bool {
	return strings.Contains(strings.Join(c.Keys, " "), generationKey("", "f"))
}

// The generation is read eight times a second at most, and beside the hits.
func TestGenerationReads(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var reads, errs atomic.Int64
		slow := storetest.Intercept(s, func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
			if ofGeneration(c) {
				reads.Add(1)
				time.Sleep(50 * time.Millisecond)
			}
			return next(ctx)
		})
		m := newMemo(t, slow, &memo.Options{Trace: &memo.Trace{StoreError: func(context.Context, memo.StoreErrorInfo) { errs.Add(1) }}})
		f := wrap(t, m, "f", echo, nil)
		get(t, f, 1)
		reads.Store(0)
		const seconds = 10
		for range seconds * 1000 {
			start := time.Now()
			get(t, f, 1)
			if d := time.Since(start); d != 0 {
				t.Fatalf("a hit took %v", d)
			}
			time.Sleep(time.Millisecond)
		}
		if n := reads.Load(); n > 8*seconds+2 || n == 0 {
			t.Errorf("%d reads of the generation in %d seconds", n, seconds)
		}
		time.Sleep(time.Second)
		reads.Store(0)
		var all sync.WaitGroup
		for k := range 100 {
			all.Go(func() { get(t, f, k) })
		}
		all.Wait()
		if n := reads.Load(); n != 1 {
			t.Errorf("%d reads for 100 callers at a time", n)
		}
		if m.Stats().StoreErrors != 0 || errs.Load() != 0 {
			t.Error("there were errors")
		}
	})
}

// Without the generation nothing is answered from the store nor stored, each
// caller is answered by the function, and each is told of once.
func TestGenerationCannotBeRead(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		var fails atomic.Bool
		recorder := storetest.NewRecorder(s)
		faulty := storetest.Faulty(recorder, func(c storetest.Call) error {
			if fails.Load() && ofGeneration(c) {
				return errors.New("down")
			}
			return nil
		}, nil)
		f := wrap(t, newMemo(t, faulty, &memo.Options{Trace: seen.trace()}), "f", echo, nil)
		get(t, f, 1)
		fails.Store(true)
		time.Sleep(time.Second)
		recorder.Reset()
		get(t, f, 1)
		get(t, f, 2)
		seen.want(t, 3, 2, 0, 0)
		if n := len(recorder.Calls()); n != 0 {
			t.Errorf("the store was asked for: %v", recorder.Calls())
		}
		if err := f.Set(t.Context(), 1, 5); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Set: %v", err)
		}
		fails.Store(false)
		seen = events{}
		get(t, f, 1)
		seen.want(t, 0, 0, 0, 0)
	})
}

// A store that fails in the background fails nobody meanwhile.
func TestGenerationCannotBeReadAhead(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		var fails atomic.Bool
		faulty := storetest.Faulty(s, func(c storetest.Call) error {
			if fails.Load() && ofGeneration(c) {
				return errors.New("down")
			}
			return nil
		}, nil)
		f := wrap(t, newMemo(t, faulty, &memo.Options{Trace: seen.trace()}), "f", echo, nil)
		get(t, f, 1)
		fails.Store(true)
		time.Sleep(200 * time.Millisecond)
		for range 3 {
			get(t, f, 1)
			synctest.Wait()
		}
		seen.want(t, 1, 0, 0, 0)
		fails.Store(false)
		get(t, f, 1)
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		get(t, f, 1)
		seen.want(t, 1, 0, 0, 0)
	})
}

// What is no generation under its key is replaced.
func TestForeignGeneration(t *testing.T) {
	eachStoreAnew(t, func(t *testing.T, open func() store.Store) {
		for _, junk := range []string{"", "0", "hello", "ffffffffffffffffff", "{}"} {
			s := open()
			for _, key := range []string{generationKey("", "f"), "::#tag:#", "::#tag:t"} {
				if err := s.Set(t.Context(), key, []byte(junk), store.Forever); err != nil {
					t.Fatal(err)
				}
			}
			m := openMemo(t, s, nil)
			var seen atomic.Int64
			f := wrap(t, m, "f", func(ctx context.Context, k int) (int, error) {
				seen.Add(1)
				memo.Tag(ctx, "t")
				return k, nil
			}, nil)
			for range 5 {
				get(t, f, 1)
				time.Sleep(time.Second)
			}
			if n := seen.Load(); n != 1 {
				t.Errorf("%q: %d loads", junk, n)
			}
			closeMemos(t, m)
		}
	})
}

// forgetful accepts all and has nothing, or fails to have it.
type forgetful struct{ *liveStore }

func (forgetful) SetLive(context.Context, string, *store.Live, time.Duration) error { return nil }

func (forgetful) Set(context.Context, string, []byte, time.Duration) error { return nil }

// A store that holds nothing costs loads, and is no failure.
func TestStoreThatHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, s := range map[string]store.Store{"live": forgetful{newLiveStore()}, "bytes": storetest.Bare(forgetful{newLiveStore()})} {
			var seen events
			m := newMemo(t, s, &memo.Options{Trace: seen.trace()})
			f := wrap(t, m, "f", func(ctx context.Context, k int) (int, error) {
				memo.Tag(ctx, "t")
				return k, nil
			}, &memo.FuncOptions[int, int]{Tags: func(int) []string { return []string{"u"} }})
			for range 5 {
				if v := get(t, f, 1); v != 1 {
					t.Errorf("%s: got %d", name, v)
				}
				mustInvalidate(t, m, "t", "u")
				mustClear(t, f)
			}
			seen.want(t, 5, 0, 0, 0)
		}
	})
}
