package memo_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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

// takes returns s with the calls of one kind taking d: before they reach s if
// d is positive, after that if it is negative.
func takes(s store.Store, d time.Duration, ops ...string) store.Store {
	return storetest.Intercept(s, func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
		for _, op := range ops {
			if c.Op == op && !ofVersions(c) {
				time.Sleep(d) // returns at once if d is negative
				err := next(ctx)
				time.Sleep(-d)
				return err
			}
		}
		return next(ctx)
	})
}

// ofVersions tells a call of the store that is about entries from one that is
// about what their validity depends on.
func ofVersions(c storetest.Call) bool { return strings.Contains(c.Keys[0], "#") }

// source is what a function reads: a number that takes a second to read.
type source struct{ atomic.Int64 }

func (s *source) read(context.Context, int) (int64, error) {
	v := s.Load()
	time.Sleep(time.Second)
	return v, nil
}

func (s *source) set(v int64) { s.Store(v) }

func mustDelete[K, V any](t *testing.T, f *memo.Func[K, V], k K) {
	t.Helper()
	if err := f.Delete(t.Context(), k); err != nil {
		t.Errorf("Delete(%v): %v", k, err)
	}
}

// wantStored checks what is in the store; 0 is nothing.
func wantStored(t *testing.T, f *memo.Func[int, int64], k int, want int64) {
	t.Helper()
	has, err := f.Has(t.Context(), k)
	if err != nil {
		t.Error(err)
	}
	if !has {
		if want != 0 {
			t.Errorf("nothing is stored, want %d", want)
		}
		return
	}
	start := time.Now()
	if v := get(t, f, k); v != want || time.Since(start) != 0 {
		t.Errorf("%d is stored, want %d", v, want)
	}
}

func TestDeleteDuringLoad(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var db source
		f := wrap(t, newMemo(t, s, nil), "f", db.read, nil)
		db.set(1)
		before, joined := ask(t.Context(), f, 7), ask(t.Context(), f, 7)
		time.Sleep(time.Second / 2)
		db.set(2)
		mustDelete(t, f, 7)
		after := ask(t.Context(), f, 7)
		wantAnswer(t, "before", before, 1, time.Second)
		wantAnswer(t, "joined", joined, 1, time.Second)
		wantStored(t, f, 7, 0)
		wantAnswer(t, "after", after, 2, time.Second)
		wantStored(t, f, 7, 2)
	})
}

// A load that ends, and one that begins, while Delete waits for the store.
func TestLoadDuringDelete(t *testing.T) {
	for _, d := range []time.Duration{time.Minute, -time.Minute} { // before and after the store has done it
		onEachStore(t, func(t *testing.T, s store.Store) {
			var db source
			f := wrap(t, newMemo(t, takes(s, d, "delete"), nil), "f", db.read, nil)
			db.set(1)
			before := ask(t.Context(), f, 7)
			deleted := make(chan struct{})
			go func() {
				mustDelete(t, f, 7)
				close(deleted)
			}()
			synctest.Wait()
			during := ask(t.Context(), f, 7)
			wantAnswer(t, "before", before, 1, time.Second)
			wantAnswer(t, "during", during, 1, time.Second)
			wantStored(t, f, 7, 0)
			time.Sleep(time.Minute - 3*time.Second/2)
			last := ask(t.Context(), f, 7) // half a second before the end
			<-deleted
			db.set(2)
			after := ask(t.Context(), f, 7)
			wantAnswer(t, "last", last, 1, time.Second)
			wantStored(t, f, 7, 0)
			wantAnswer(t, "after", after, 2, time.Second)
			wantStored(t, f, 7, 2)
		})
	}
}

// A fill that is on its way to the store when Delete begins ends before it.
func TestDeleteDuringFill(t *testing.T) {
	for _, d := range []time.Duration{time.Minute, -time.Minute} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var db source
			f := wrap(t, newMemo(t, takes(s, d, "set", "setlive"), nil), "f", db.read, nil)
			db.set(1)
			before := ask(t.Context(), f, 7)
			time.Sleep(time.Second + time.Second/2)
			db.set(2)
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					start := time.Now()
					mustDelete(t, f, 7)
					if got, want := time.Since(start), time.Minute-time.Second/2; got != want {
						t.Errorf("Delete took %v, want %v: until the fill has ended", got, want)
					}
				})
			}
			wg.Wait()
			wantStored(t, f, 7, 0)
			wantAnswer(t, "before", before, 1, time.Minute+time.Second)
			wantAnswer(t, "after", ask(t.Context(), f, 7), 2, time.Minute+time.Second)
		})
	}
}

func TestDeleteGivesUp(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var db source
		recorder := storetest.NewRecorder(s)
		f := wrap(t, newMemo(t, takes(recorder, time.Minute, "set", "setlive"), nil), "f", db.read, nil)
		before := ask(t.Context(), f, 7)
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.Delete(ctx, 7); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Delete: %v", err)
		}
		if recorder.Count("delete") != 0 {
			t.Error("the store was asked although the fill had not ended")
		}
		wantAnswer(t, "before", before, 0, time.Minute+time.Second)
	})
}

func TestFailedDelete(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var seen events
		refused := errors.New("refused")
		faulty := storetest.Faulty(s, func(c storetest.Call) error {
			if c.Op == "delete" {
				return refused
			}
			return nil
		}, nil)
		var db source
		f := wrap(t, newMemo(t, faulty, &memo.Options{Trace: seen.trace()}), "f", db.read, nil)
		db.set(1)
		get(t, f, 7)
		if err := f.Delete(t.Context(), 7); !errors.Is(err, refused) || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Delete: %v", err)
		}
		seen.want(t, 1, 1, 0, 0)
		if info := seen.storeErrors[0]; info.Func != "f" || info.Op != "delete" || !errors.Is(info.Err, refused) {
			t.Errorf("reported %+v", info)
		}
		wantStored(t, f, 7, 1)
	})
}

// Random readers, writers and delays everywhere: after Delete has returned, no
// Get answers what was read before. In a bubble the delays are what decides.
func TestDeleteStress(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s store.Store) {
				deleteStress(t, s, newChance(seed).pause)
			})
		})
	}
}

// The same at full speed, where the scheduler decides.
func TestDeleteRace(t *testing.T) {
	deleteStress(t, newLiveStore(), func() {})
	deleteStress(t, storetest.Bare(newLiveStore()), func() {})
}

// chance makes random delays that are the same for the same seed.
type chance struct {
	mu     sync.Mutex
	random *rand.Rand
}

func newChance(seed uint64) *chance { return &chance{random: rand.New(rand.NewPCG(seed, 0))} }

func (c *chance) pause() {
	c.mu.Lock()
	d := time.Duration(c.random.IntN(10)) * time.Millisecond
	c.mu.Unlock()
	time.Sleep(d)
}

func deleteStress(t *testing.T, s store.Store, pause func()) {
	const keys = 3
	slow := storetest.Intercept(s, func(ctx context.Context, _ storetest.Call, next func(context.Context) error) error {
		pause()
		err := next(ctx)
		pause()
		return err
	})
	var data, floor [keys]atomic.Int64 // the source, and what no answer may be older than
	f := wrap(t, newMemo(t, slow, nil), "f", func(_ context.Context, k int) (int64, error) {
		pause()
		v := data[k].Load()
		pause()
		return v, nil
	}, nil)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for i := range 100 {
				k := i % keys
				least := floor[k].Load()
				if v := get(t, f, k); v < least {
					t.Errorf("got %d of %d after Delete of all before %d had returned", v, k, least)
				}
				pause()
			}
		})
	}
	for range 3 {
		wg.Go(func() {
			for i := range 40 {
				k := i % keys
				v := data[k].Add(1)
				pause()
				mustDelete(t, f, k)
				for old := floor[k].Load(); old < v && !floor[k].CompareAndSwap(old, v); old = floor[k].Load() {
				}
				pause()
			}
		})
	}
	wg.Wait()
}
