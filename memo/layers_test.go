package memo_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// Which layer has answered is for package layered to tell: what a Memo sees is
// a store with a layer in the process.
func TestStatsOverLayers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newMemory(t)
		process := func() (*layered.Store, *memo.Func[int, int]) {
			s, err := layered.New(newMemory(t), far, &layered.Options{Coherence: layered.Bounded(time.Minute)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s, wrap(t, newMemo(t, s, nil), "f", func(_ context.Context, k int) (int, error) { return k, nil }, nil)
		}
		_, a := process()
		layers, b := process()
		if v, err := a.Get(t.Context(), 7); v != 7 || err != nil {
			t.Fatalf("got %v, %v", v, err)
		}
		before := layers.Stats()
		for range 3 {
			if r, err := b.Lookup(t.Context(), 7); r.Source != memo.SourceMemory || err != nil {
				t.Errorf("got %+v, %v", r, err)
			}
		}
		if s := b.Stats(); s.MemoryHits != 3 || s.Hits() != 3 || s.BytesRead != 0 {
			t.Errorf("got %+v", s)
		}
		after := layers.Stats()
		if far, near := after.L2Hits-before.L2Hits, after.L1Hits-before.L1Hits; far != 3 || near != 2 { // two are of the generation
			t.Errorf("the layers have answered %d and %d times", far, near)
		}
	})
}

// Layers have the method of leases whether their last layer has any or not, and
// only the first load shows it. What that brings is stored all the same, and it
// is made under the lock of the Memo's option, which GetMany with FillMany does
// not take.
func TestFirstLoadOverLayersWithoutLeases(t *testing.T) {
	loads := map[string]func(t *testing.T, f *memo.Func[int, int]){
		"Get": func(t *testing.T, f *memo.Func[int, int]) {
			if v, err := f.Get(t.Context(), 7); v != 7 || err != nil {
				t.Fatalf("got %v, %v", v, err)
			}
		},
		"GetMany": func(t *testing.T, f *memo.Func[int, int]) {
			if r, err := f.GetMany(t.Context(), []int{7, 8}); err != nil || r[0].Value != 7 || r[1].Value != 8 {
				t.Fatalf("got %v, %v", r, err)
			}
		},
	}
	fillMany := func(_ context.Context, ks []int, put func(int, int)) error {
		for _, k := range ks {
			put(k, k)
		}
		return nil
	}
	locked := map[string]map[bool]int64{"Get": {false: 1, true: 1}, "GetMany": {false: 2, true: 0}}
	for name, load := range loads {
		for _, o := range []*memo.FuncOptions[int, int]{nil, {FillMany: fillMany}} {
			synctest.Test(t, func(t *testing.T) {
				var l locks
				f := wrap(t, newMemo(t, layersWithoutLeases(t), &memo.Options{Lock: l.lock}), "f", func(_ context.Context, k int) (int, error) {
					if l.acquired.Load() == l.released.Load() {
						t.Errorf("%s: the function is called without the lock", name)
					}
					return k, nil
				}, o)
				load(t, f)
				l.want(t, name, locked[name][o != nil])
				if r, err := f.Lookup(t.Context(), 7); r.Source != memo.SourceMemory || err != nil {
					t.Errorf("after %s, FillMany %v: got %+v, %v", name, o != nil, r, err)
				}
			})
		}
	}
}

// The first load gives the lock back however it ends.
func TestFirstLoadWithoutLeasesUnlocks(t *testing.T) {
	for name, load := range map[string]func() (int, error){
		"an error": func() (int, error) { return 0, errors.New("failed") },
		"a panic":  func() (int, error) { panic("failed") },
		"too long": func() (int, error) { time.Sleep(time.Minute); return 0, nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			var l locks
			m := newMemo(t, layersWithoutLeases(t), &memo.Options{Lock: l.lock, Policy: memo.Policy{LoadTimeout: time.Second}})
			f := wrap(t, m, "f", func(context.Context, int) (int, error) { return load() }, nil)
			func() {
				defer func() { _ = recover() }() // the caller gets the panic
				if v, err := f.Get(t.Context(), 7); err == nil {
					t.Errorf("%s: got %v", name, v)
				}
			}()
			time.Sleep(2 * time.Minute)
			l.want(t, name, 1)
		})
	}
}

func layersWithoutLeases(t *testing.T) *layered.Store {
	t.Helper()
	s, err := layered.New(newMemory(t), storetest.Bare(newMemory(t)), &layered.Options{Coherence: layered.Bounded(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// watchedOnly is a store with a watch, and with nothing else.
type watchedOnly struct {
	store.Store
	watched store.WatchStore
}

func (s watchedOnly) Watch(ctx context.Context, w store.Watcher) error {
	return s.watched.Watch(ctx, w)
}

// What another process deletes while the first load goes on is not stored: the
// watch tells of it, where no lease does.
func TestFirstLoadWithoutLeasesIsOvertaken(t *testing.T) {
	fillMany := func(o *memo.FuncOptions[int, int64], load func(context.Context, int) (int64, error)) {
		o.FillMany = func(ctx context.Context, ks []int, put func(int, int64)) error {
			for _, k := range ks {
				v, _ := load(ctx, k)
				put(k, v)
			}
			return nil
		}
	}
	for name, together := range map[string]bool{"Get": false, "GetMany": true} {
		synctest.Test(t, func(t *testing.T) {
			far := newMemory(t)
			var version atomic.Int64
			load := func(_ context.Context, k int) (int64, error) {
				v := version.Load()
				time.Sleep(2 * time.Second)
				return v, nil
			}
			process := func() *memo.Func[int, int64] {
				s, err := layered.New(newMemory(t), watchedOnly{far, far.(store.WatchStore)}, &layered.Options{Coherence: layered.Watch(time.Second)})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				o := &memo.FuncOptions[int, int64]{Policy: memo.Policy{TTL: time.Hour}}
				if together {
					fillMany(o, load)
				}
				return wrap(t, newMemo(t, s, nil), "f", load, o)
			}
			a, b := process(), process()
			get(t, b, 1)
			go func() {
				if together {
					_, _ = a.GetMany(context.Background(), []int{7, 8})
				} else {
					_, _ = a.Get(context.Background(), 7)
				}
			}()
			time.Sleep(time.Second)
			version.Store(1)
			if err := b.Delete(t.Context(), 7); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if va, vb := get(t, a, 7), get(t, b, 7); va != 1 || vb != 1 {
				t.Errorf("%s: a and b get %d and %d; 0 was deleted", name, va, vb)
			}
			if n := a.Stats().Voided; n != 1 {
				t.Errorf("%s: %d loads are voided, want 1", name, n)
			}
		})
	}
}
