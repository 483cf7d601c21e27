package memo_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/memo"
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
// only the first load shows it. What that brings is stored all the same.
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
	for name, load := range loads {
		for _, o := range []*memo.FuncOptions[int, int]{nil, {FillMany: fillMany}} {
			synctest.Test(t, func(t *testing.T) {
				far := storetest.Bare(newMemory(t))
				s, err := layered.New(newMemory(t), far, &layered.Options{Coherence: layered.Bounded(time.Minute)})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				f := wrap(t, newMemo(t, s, nil), "f", func(_ context.Context, k int) (int, error) { return k, nil }, o)
				load(t, f)
				if r, err := f.Lookup(t.Context(), 7); r.Source != memo.SourceMemory || err != nil {
					t.Errorf("after %s, FillMany %v: got %+v, %v", name, o != nil, r, err)
				}
			})
		}
	}
}
