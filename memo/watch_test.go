package memo_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// What another process clears is known at once, and not when the generation is
// read the next time.
func TestWatchGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleetStore(true)
		one := func() *memo.Func[int, int64] {
			return wrap(t, newMemo(t, s, nil), "f", func(context.Context, int) (int64, error) { return time.Now().Unix(), nil }, nil)
		}
		a, b := one(), one()
		first := get(t, a, 7)
		time.Sleep(time.Minute)
		if v := get(t, b, 7); v != first {
			t.Errorf("b: got %d, want %d", v, first)
		}
		get(t, a, 7) // knows the generation for a while
		cleared := make(chan error)
		go func() { cleared <- b.Clear(context.Background()) }()
		synctest.Wait()
		if v := get(t, a, 7); v == first {
			t.Error("a: got what was cleared")
		}
		if err := <-cleared; err != nil {
			t.Error(err)
		}
	})
}

// After a gap nothing that is being loaded is joined any more.
func TestWatchFlush(t *testing.T) {
	onFleet(t, memo.Policy{TTL: time.Hour}, lasting(2*time.Second), func(t *testing.T, f *fleet) {
		if f.fake == nil || !f.fake.watched {
			return
		}
		first := begin(f.a, f.a.Get)
		waiting := begin(f.b, f.b.Get)
		time.Sleep(time.Second)
		asked := f.fake.asked.Load()
		for _, w := range f.fake.watchers {
			w.Flush()
		}
		synctest.Wait()
		if n := f.fake.asked.Load() - asked; n != 1 {
			t.Errorf("who waits asked %d times, want once", n)
		}
		later := begin(f.a, f.a.Get)
		if n := f.fake.asked.Load() - asked; n != 2 {
			t.Errorf("%d requests; who comes later must not join", n)
		}
		f.want(t, "first", first, 1, 2*time.Second)
		f.want(t, "waiting", waiting, 1, 2*time.Second)
		f.want(t, "later", later, 1, time.Second)
		f.wantLoads(t, 1) // as the lease was still there
	})
}

// Functions are told whose keys have changed, however their keys look, and
// those of a region's store, of Bind, and of Get, too.
func TestWatchFindsFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stores := map[string]*fleetStore{"root": newFleetStore(true), "region": newFleetStore(true), "func": newFleetStore(true), "late": newFleetStore(true)}
		m := newMemo(t, stores["root"], &memo.Options{Namespace: "a:b", Regions: map[string]memo.Region{
			"region": {Store: stores["region"]}, "late": {Store: memo.Later},
		}})
		if err := m.Bind(stores["late"], "late"); err != nil {
			t.Fatal(err)
		}
		var loads atomic.Int64
		slow := func(context.Context, string) (int, error) {
			loads.Add(1)
			time.Sleep(time.Second)
			return 1, nil
		}
		calls := map[string]func(context.Context, string) (int, error){
			"root":   wrap(t, m, "x@y:z", slow, &memo.FuncOptions[string, int]{Version: "1:2"}).Get,
			"region": wrap(t, m, "r", slow, &memo.FuncOptions[string, int]{Region: "region"}).Get,
			"late":   wrap(t, m, "l", slow, &memo.FuncOptions[string, int]{Region: "late", Namespace: "n"}).Get,
			"func":   wrap(t, m, "f", slow, &memo.FuncOptions[string, int]{Store: stores["func"]}).Get,
			"get": func(ctx context.Context, k string) (int, error) {
				return memo.Get(ctx, m, k, func(ctx context.Context) (int, error) { return slow(ctx, k) }, nil)
			},
		}
		long := string(make([]byte, 300))
		for name, call := range calls {
			s := stores[name]
			if s == nil {
				s = stores["root"]
			}
			for _, k := range []string{"k", long} {
				loads.Store(0)
				go func() { _, _ = call(t.Context(), k) }()
				synctest.Wait()
				s.changedAll()
				if _, err := call(t.Context(), k); err != nil || loads.Load() != 2 {
					t.Errorf("%s: %d loads, %v", name, loads.Load(), err)
				}
			}
		}
	})
}

// A Memo that is not closed has no goroutine.
func TestWatchHasNoGoroutine(t *testing.T) {
	n := runtime.NumGoroutine()
	m, err := memo.New(newFleetStore(true), nil)
	if err != nil {
		t.Fatal(err)
	}
	if now := runtime.NumGoroutine(); now > n {
		t.Errorf("%d goroutines more", now-n)
	}
	closeMemos(t, m)
}

// A closed Memo is not told any more.
func TestWatchEndsWithClose(t *testing.T) {
	s := newFleetStore(true)
	m, err := memo.New(store.Prefix(s, "p:"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.watchers); n != 1 {
		t.Fatalf("%d watchers", n)
	}
	closeMemos(t, m)
	deadline := time.Now().Add(time.Second)
	for s.watched && time.Now().Before(deadline) {
		s.write.Lock()
		n := len(s.watchers)
		s.write.Unlock()
		if n == 0 {
			return
		}
		runtime.Gosched()
	}
	t.Error("still watched")
}
