package memo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

func mustClear(t *testing.T, c interface{ Clear(context.Context) error }) {
	t.Helper()
	if err := c.Clear(t.Context()); err != nil {
		t.Errorf("Clear: %v", err)
	}
}

// generationKey is where the generation of a function without a version is.
func generationKey(namespace, name string) string { return namespace + ":" + name + ":#" }

func mustForget(t *testing.T, s store.Store, key string) {
	t.Helper()
	if err := s.Delete(t.Context(), key); err != nil {
		t.Error(err)
	}
}

// A load, a Clear in the same process or in another, and a store that loses
// the generation once or twice, in each order of their steps: what was read
// before is not answered afterwards.
func TestClearDuringLoad(t *testing.T) {
	for _, by := range []string{"itself", "another"} {
		for losses := range 3 {
			t.Run(fmt.Sprintf("by %s, %d losses", by, losses), func(t *testing.T) {
				eachStoreAnew(t, func(t *testing.T, open func() store.Store) {
					valid, old := 0, 0
					interleave(t, func(st *stage) scene { return clearScene(t, st, open(), by == "another", losses, &valid, &old) })
					if valid == 0 || old == 0 {
						t.Errorf("%d entries were valid in the end, and %d loads read what was before; the test tests nothing", valid, old)
					}
				})
			})
		}
	}
}

func clearScene(t *testing.T, st *stage, s store.Store, another bool, losses int, valid, old *int) scene {
	gated := st.gate(s)
	a, b := openMemo(t, gated, nil), openMemo(t, gated, nil)
	var data atomic.Int64
	data.Store(1)
	read := func(ctx context.Context, _ int) (int64, error) {
		st.step(ctx)
		v := data.Load()
		st.step(ctx)
		return v, nil
	}
	fa, fb := wrap(t, a, "f", read, nil), wrap(t, b, "f", read, nil)
	if losses > 0 { // the less to do, the fewer orders
		get(t, fa, 1)
	}
	get(t, fb, 1)
	cleared := fa
	if another {
		cleared = fb
	}
	joined := make(chan int64, 1)
	actors := []func(context.Context){
		func(ctx context.Context) {
			v, err := fa.Get(ctx, 7)
			if err != nil {
				t.Error(err)
			}
			if v != 2 {
				*old++
			}
		},
		func(ctx context.Context) {
			data.Store(2)
			if err := cleared.Clear(ctx); err != nil {
				t.Error(err)
			}
			go func() { joined <- get(t, fa, 7) }()
		},
	}
	for range losses {
		actors = append(actors, func(context.Context) { mustForget(t, s, generationKey("", "f")) })
	}
	return scene{actors, func([]int) {
		if v := <-joined; v != 2 {
			t.Errorf("who came afterwards got %d", v)
		}
		before := a.Stats().Loads() + b.Stats().Loads()
		for range 2 {
			for _, f := range []*memo.Func[int, int64]{fa, fb} {
				if v := get(t, f, 7); v != 2 {
					t.Errorf("%d is stored", v)
				}
			}
			if a.Stats().Loads()+b.Stats().Loads() == before {
				*valid++
			}
			time.Sleep(time.Minute)
			mustForget(t, s, generationKey("", "f")) // what a process knew a minute ago is not so any more
		}
		closeMemos(t, a, b)
	}}
}

// A process that has not looked for a while, after another has cleared and the
// store has lost what that had stored, makes nothing valid again.
func TestClearIsNotUndone(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var data atomic.Int64
		read := func(context.Context, int) (int64, error) { return data.Load(), nil }
		idle, busy := wrap(t, newMemo(t, s, nil), "f", read, nil), wrap(t, newMemo(t, s, nil), "f", read, nil)
		data.Store(1)
		get(t, idle, 7)
		get(t, busy, 7)
		data.Store(2)
		mustClear(t, busy)
		time.Sleep(time.Hour)
		mustForget(t, s, generationKey("", "f"))
		if v := get(t, idle, 7); v != 2 {
			t.Errorf("the idle one got %d", v)
		}
		if v := get(t, busy, 7); v != 2 {
			t.Errorf("the busy one got %d", v)
		}
	})
}

// When Clear has returned nobody answers what was there before, in whichever
// process, and hits are hits again.
func TestClear(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		recorder := storetest.NewRecorder(s)
		var data atomic.Int64
		read := func(context.Context, int) (int64, error) { return data.Load(), nil }
		a, b := wrap(t, newMemo(t, recorder, nil), "f", read, nil), wrap(t, newMemo(t, recorder, nil), "f", read, nil)
		both := []*memo.Func[int, int64]{a, b}
		for i := range int64(5) {
			data.Store(i)
			for k := range 100 {
				get(t, a, k)
				get(t, b, k)
			}
			data.Store(i + 1)
			recorder.Reset()
			start := time.Now()
			mustClear(t, both[i%2])
			if d := time.Since(start); d != 250*time.Millisecond {
				t.Errorf("Clear took %v", d)
			}
			if calls := recorder.Calls(); len(calls) != 1 || calls[0].Op != "set" {
				t.Errorf("%v, want one write", calls)
			}
			for k := range 100 {
				if has, err := both[(i+1)%2].Has(t.Context(), k); has || err != nil {
					t.Fatalf("Has(%d): %v, %v", k, has, err)
				}
				for _, f := range both {
					if v := get(t, f, k); v != i+1 {
						t.Fatalf("got %d of %d", v, k)
					}
				}
			}
			if n := recorder.Count("setlive"); n != 100 {
				t.Errorf("%d writes, want 100: the other process finds what the first has loaded", n)
			}
		}
	})
}

// Those who come after Clear do not join a load that began before, and what it
// brings is not valid.
func TestJoinAfterClear(t *testing.T) {
	for _, another := range []bool{false, true} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var db source
			db.set(1)
			a, b := wrap(t, newMemo(t, s, nil), "f", db.read, nil), wrap(t, newMemo(t, s, nil), "f", db.read, nil)
			first, joined := ask(t.Context(), a, 7), ask(t.Context(), a, 7)
			time.Sleep(time.Second / 2)
			db.set(2)
			cleared := a
			if another {
				cleared = b
			}
			mustClear(t, cleared)
			after := ask(t.Context(), a, 7)
			last := ask(t.Context(), a, 7)
			wantAnswer(t, "first", first, 1, time.Second)
			wantAnswer(t, "joined", joined, 1, time.Second)
			wantAnswer(t, "after", after, 2, time.Second)
			wantAnswer(t, "last", last, 2, time.Second)
			wantStored(t, a, 7, 2)
			wantStored(t, b, 7, 2)
		})
	}
}

// Clear removes the entries of its function, of this version of it, and no
// others, whatever their keys begin with.
func TestClearTouchesNoNeighbour(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		foreign := []string{"app:user", "app:user:", "app:user:y", "#", "app:user:#x", "other"}
		for _, key := range foreign {
			if err := s.Set(t.Context(), key, []byte("theirs"), store.Forever); err != nil {
				t.Fatal(err)
			}
		}
		calls := map[string]int{}
		var funcs []*memo.Func[string, int]
		var names []string
		var cleared *memo.Func[string, int]
		for _, namespace := range []string{"app", "app:user", "ap", "", "tenant1", "tenant10", "tenant", "app:"} {
			m := newMemo(t, s, &memo.Options{Namespace: namespace})
			for _, name := range []string{"user", "user2", "use", "user:", "user:1", "1", "0:user"} {
				for _, version := range []string{"", "1", "2"} {
					at := fmt.Sprintf("%q %q %q", namespace, name, version)
					options := &memo.FuncOptions[string, int]{Version: version}
					target := m
					if version != "" { // a name is taken once in a Memo
						target = newMemo(t, s, &memo.Options{Namespace: namespace})
					}
					f := wrap(t, target, name, func(context.Context, string) (int, error) {
						calls[at]++
						return calls[at], nil
					}, options)
					funcs, names = append(funcs, f), append(names, at)
					if at == `"tenant1" "user" ""` {
						cleared = f
					}
				}
			}
		}
		for _, f := range funcs {
			get(t, f, "x")
		}
		mustClear(t, cleared)
		for i, f := range funcs {
			want := 1
			if f == cleared {
				want = 2
			}
			if n := get(t, f, "x"); n != want {
				t.Errorf("%s was loaded %d times, want %d", names[i], n, want)
			}
		}
		for _, key := range foreign {
			if b, err := s.Get(t.Context(), key); !bytes.Equal(b, []byte("theirs")) || err != nil {
				t.Errorf("the foreign key %q: %q, %v", key, b, err)
			}
		}
	})
}

// Memo.Clear removes what all functions have, and Get, whoever has stored it.
func TestMemoClear(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		far := newLiveStore()
		o := &memo.Options{Namespace: "app", Regions: map[string]memo.Region{
			"far": {Store: far}, "else": {Namespace: "else"}, "unused": {Store: memo.Later},
		}}
		var data atomic.Int64
		a, b := newMemo(t, s, o), newMemo(t, s, o)
		f := wrap(t, a, "f", func(context.Context, int) (int64, error) { return data.Load(), nil }, nil)
		g := wrap(t, a, "g", func(context.Context, int) (int64, error) { return data.Load(), nil }, &memo.FuncOptions[int, int64]{Region: "far"})
		undeclared := func(m *memo.Memo, region string) (int64, string) {
			t.Helper()
			n, err := memo.Get(t.Context(), m, "n", func(context.Context) (int64, error) { return data.Load(), nil }, &memo.GetOptions{Region: region})
			text, err2 := memo.Get(t.Context(), m, "s", func(context.Context) (string, error) { return fmt.Sprint(data.Load()), nil }, &memo.GetOptions{Region: region, Shared: true})
			if err != nil || err2 != nil {
				t.Error(err, err2)
			}
			return n, text
		}
		for i := range int64(4) {
			data.Store(i)
			if v, w := get(t, f, 1), get(t, g, 1); v != i || w != i {
				t.Errorf("got %d and %d, want %d", v, w, i)
			}
			for _, region := range []string{"", "far", "else"} {
				if n, text := undeclared(a, region); n != i || text != fmt.Sprint(i) {
					t.Errorf("region %q: got %d and %s, want %d", region, n, text, i)
				}
			}
			start := time.Now()
			if i%2 == 0 {
				mustClear(t, a)
			} else {
				mustClear(t, b) // which has no functions, and has never called Get
				mustClear(t, f)
				mustClear(t, g)
			}
			if d := time.Since(start); i%2 == 0 && d != 250*time.Millisecond {
				t.Errorf("Clear took %v", d)
			}
		}
	})
}

// Several who clear at a time, and one who reads, with delays everywhere.
func TestClearStress(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s store.Store) { clearStress(t, s, newChance(seed).pause) })
		})
	}
}

func clearStress(t *testing.T, s store.Store, pause func()) {
	slow := storetest.Intercept(s, func(ctx context.Context, _ storetest.Call, next func(context.Context) error) error {
		pause()
		err := next(ctx)
		pause()
		return err
	})
	var data, floor atomic.Int64
	var readers, clearers sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		f := wrap(t, newMemo(t, slow, nil), "f", func(context.Context, int) (int64, error) {
			pause()
			v := data.Load()
			pause()
			return v, nil
		}, nil)
		for range 2 {
			readers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					least := floor.Load()
					if v := get(t, f, 7); v < least {
						t.Errorf("got %d after Clear of all before %d had returned", v, least)
					}
					pause()
				}
			})
			clearers.Go(func() {
				for range 10 {
					v := data.Add(1)
					mustClear(t, f)
					for old := floor.Load(); old < v && !floor.CompareAndSwap(old, v); old = floor.Load() {
					}
					pause()
				}
			})
		}
	}
	readers.Go(func() { // the store loses the generation now and then
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			mustForget(t, s, generationKey("", "f"))
			time.Sleep(time.Duration(i%7) * 20 * time.Millisecond)
			pause()
		}
	})
	clearers.Wait()
	close(stop)
	readers.Wait()
}

func TestFailedClear(t *testing.T) {
	for _, when := range []string{"before", "after"} { // the store has done it
		onEachStore(t, func(t *testing.T, s store.Store) {
			var seen events
			refused := errors.New("refused")
			var fails atomic.Bool
			plan := func(c storetest.Call) error {
				if fails.Load() && c.Op == "set" {
					return refused
				}
				return nil
			}
			faulty := storetest.Faulty(s, plan, nil)
			if when == "after" {
				faulty = storetest.Faulty(s, nil, plan)
			}
			var data atomic.Int64
			f := wrap(t, newMemo(t, faulty, &memo.Options{Trace: seen.trace()}), "f", func(context.Context, int) (int64, error) { return data.Load(), nil }, nil)
			get(t, f, 7)
			data.Store(1)
			fails.Store(true)
			err := f.Clear(t.Context())
			if !errors.Is(err, refused) || !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Clear: %v", err)
			}
			seen.want(t, 1, 1, 0, 0)
			fails.Store(false)
			want := int64(0)
			if when == "after" {
				want = 1
			}
			if v := get(t, f, 7); v != want {
				t.Errorf("got %d, want %d", v, want)
			}
			mustClear(t, f)
			if v := get(t, f, 7); v != 1 {
				t.Errorf("got %d, want 1", v)
			}
		})
	}
}

func TestClearGivesUp(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		f := wrap(t, newMemo(t, s, nil), "f", echo, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		var e *memo.Error
		if err := f.Clear(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) || e.Op != "clear" || e.Func != "f" {
			t.Errorf("Clear: %v", err)
		}
		if d := time.Since(start); d != 100*time.Millisecond {
			t.Errorf("Clear took %v", d)
		}
		if err := f.Clear(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Clear: %v", err)
		}
		var none context.Context
		if err := f.Clear(none); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Clear: %v", err)
		}
	})
}
