package memo_test

import (
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

// TestStress lets many goroutines do all that can be done to a function, with
// random delays before and after each call of the store and in each load. It
// holds whatever the order:
//
//   - No answer is older than the last invalidation that had returned before
//     the call began; one that is stale may be older than an Expire.
//   - Two loads of a key are under way at a time only if there was an
//     invalidation of it in between, or nobody waited for the first any more.
//   - When all is done and the Memo is closed, no goroutine is left, or the
//     bubble would say so.
func TestStress(t *testing.T) {
	policies := map[string]memo.Policy{
		"fresh": {TTL: time.Hour},
		"short": {TTL: 20 * time.Millisecond},
		"stale": {TTL: 20 * time.Millisecond, Stale: time.Second, Absent: 10 * time.Millisecond, Retry: 5 * time.Millisecond},
		"soft":  {TTL: 20 * time.Millisecond, Stale: time.Second, SoftTimeout: 5 * time.Millisecond, WaitTimeout: 30 * time.Millisecond, Jitter: 0.5},
		"ahead": {TTL: 40 * time.Millisecond, Stale: 10 * time.Millisecond, RefreshAhead: 0.3, EarlyRefresh: 2, SoftTimeout: memo.Off},
	}
	for name, policy := range policies {
		for seed := range uint64(3) {
			t.Run(fmt.Sprint(name, seed), func(t *testing.T) {
				onEachStore(t, func(t *testing.T, s store.Store) {
					newStress(t, s, policy, newChance(seed)).run(64, 40)
				})
			})
		}
	}
}

// The same at full speed, where the scheduler decides.
func TestStressRace(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	for _, s := range []store.Store{newLiveStore(), storetest.Bare(newLiveStore())} {
		newStress(t, s, memo.Policy{TTL: time.Millisecond, Stale: time.Second, Retry: time.Millisecond}, nil).run(16, 300)
	}
}

const stressKeys = 4

type stress struct {
	t      *testing.T
	memo   *memo.Memo
	f      *memo.Func[int, int64]
	chance *chance // nil for no delays

	keys [stressKeys]struct {
		data    atomic.Int64 // the source
		floor   atomic.Int64 // what no answer may be older than
		expired atomic.Pointer[expiry]
		touches atomic.Int64 // that have begun
		touched atomic.Int64 // that have ended
		begun   atomic.Int64 // invalidations that have
		ended   atomic.Int64
		writing chan struct{}
		mu      sync.Mutex
		loads   map[*stressLoad]bool
	}
}

// expiry is what no fresh answer may be older than, unless there was a Touch
// since, which makes fresh what was stale.
type expiry struct{ v, touches int64 }

// fresh returns what a fresh answer may not be older than.
func (st *stress) fresh(k int, e *expiry) int64 {
	if e == nil || e.touches != st.keys[k].touches.Load() {
		return 0
	}
	return e.v
}

type stressLoad struct {
	ctx   context.Context
	ended int64 // invalidations, when the call began that led to it
}

// stressCall is a key of contexts: the number of invalidations that had ended,
// by key, when a call began.
type stressCall struct{}

var errStress = errors.New("the source is down")

func newStress(t *testing.T, s store.Store, policy memo.Policy, c *chance) *stress {
	st := &stress{t: t, chance: c}
	for k := range st.keys {
		st.keys[k].writing = make(chan struct{}, 1)
		st.keys[k].loads = make(map[*stressLoad]bool)
	}
	slow := storetest.Intercept(s, func(ctx context.Context, _ storetest.Call, next func(context.Context) error) error {
		st.pause()
		err := next(ctx)
		st.pause()
		return err
	})
	st.memo = newMemo(t, slow, nil)
	st.f = wrap(t, st.memo, "f", func(ctx context.Context, k int) (int64, error) {
		v := st.load(ctx, k)
		switch st.intN(20) {
		case 0:
			return 0, errStress
		case 1:
			panic(errStress)
		case 2:
			return 0, fmt.Errorf("number %d: %w", k, store.ErrNotFound)
		}
		return v, nil
	}, &memo.FuncOptions[int, int64]{
		Policy: policy,
		Tags:   func(k int) []string { return []string{fmt.Sprint("odd-", k%2)} },
		FillMany: func(ctx context.Context, ks []int, put func(int, int64)) error {
			for _, k := range ks {
				if v := st.load(ctx, k); st.intN(10) > 0 {
					put(k, v)
				}
			}
			if st.intN(10) == 0 {
				return errStress
			}
			return nil
		},
	})
	return st
}

// load reads the source, and sees to it that nobody else does.
func (st *stress) load(ctx context.Context, k int) int64 {
	key := &st.keys[k]
	own := &stressLoad{ctx, ctx.Value(stressCall{}).([stressKeys]int64)[k]}
	key.mu.Lock()
	for other := range key.loads {
		if other.ctx.Err() == nil && ctx.Err() == nil && min(own.ended, other.ended) == key.begun.Load() {
			st.t.Errorf("two loads of %d at a time", k)
		}
	}
	key.loads[own] = true
	key.mu.Unlock()
	st.pause()
	v := key.data.Load()
	st.pause()
	if st.intN(3) == 0 {
		memo.Tag(ctx, "late")
	}
	key.mu.Lock()
	delete(key.loads, own)
	key.mu.Unlock()
	return v
}

func (st *stress) pause() {
	if st.chance != nil {
		st.chance.pause()
	}
}

var unseeded = newChance(0)

func (st *stress) intN(n int) int {
	c := st.chance
	if c == nil {
		c = unseeded
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.IntN(n)
}

func (st *stress) run(goroutines, calls int) {
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range calls {
				st.step()
				st.pause()
			}
		})
	}
	wg.Wait()
}

func (st *stress) step() {
	ctx := context.Background()
	if st.intN(4) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(st.intN(30))*time.Millisecond)
		defer cancel()
	}
	var ended [stressKeys]int64
	for k := range ended {
		ended[k] = st.keys[k].ended.Load()
	}
	ctx = context.WithValue(ctx, stressCall{}, ended)
	k := st.intN(stressKeys)
	switch n := st.intN(100); {
	case n < 50:
		st.read(ctx, k, memo.Call{})
	case n < 55:
		st.read(ctx, k, memo.Call{Refresh: true})
	case n < 60:
		st.read(ctx, k, memo.Call{MaxAge: time.Millisecond})
	case n < 70:
		st.readMany(ctx)
	case n < 78:
		st.write(ctx, k, func(int64) error { return st.f.Delete(ctx, k) })
	case n < 84:
		st.write(ctx, k, func(v int64) error { return st.f.Set(ctx, k, v) })
	case n < 88:
		st.expire(ctx, k)
	case n < 91:
		st.touch(ctx, k)
	case n < 95:
		st.invalidate([]int{k % 2, k%2 + 2}, func() error { return st.memo.InvalidateTags(ctx, fmt.Sprint("odd-", k%2), "late") })
	case n < 97:
		st.invalidate([]int{0, 1, 2, 3}, func() error { return st.f.Clear(ctx) })
	default:
		st.write(ctx, k, func(int64) error { return st.f.DeleteMany(ctx, []int{k}) })
	}
}

func (st *stress) read(ctx context.Context, k int, call memo.Call) {
	floor, expired := st.keys[k].floor.Load(), st.keys[k].expired.Load()
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); !ok || !errors.Is(err, errStress) {
				panic(p)
			}
		}
	}()
	r, err := st.f.Lookup(ctx, k, call)
	if err == nil {
		st.check(k, r, floor, st.fresh(k, expired))
	} else {
		st.checkError(ctx, err)
	}
}

func (st *stress) readMany(ctx context.Context) {
	var floor [stressKeys]int64
	var expired [stressKeys]*expiry
	for k := range st.keys {
		floor[k], expired[k] = st.keys[k].floor.Load(), st.keys[k].expired.Load()
	}
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); !ok || !errors.Is(err, errStress) {
				panic(p)
			}
		}
	}()
	results, err := st.f.GetMany(ctx, []int{0, 1, 2, 3})
	if results == nil {
		st.checkError(ctx, err)
		return
	}
	for k, r := range results {
		if r.Err == nil || r.Source == memo.SourceStale {
			st.check(k, r, floor[k], st.fresh(k, expired[k]))
		} else {
			st.checkError(ctx, r.Err)
		}
	}
}

func (st *stress) check(k int, r memo.Result[int64], floor, fresh int64) {
	if r.Source != memo.SourceStale {
		floor = max(floor, fresh)
	}
	if r.Value < floor {
		st.t.Errorf("key %d: %d from %v, after all before %d was invalidated", k, r.Value, r.Source, floor)
	}
}

func (st *stress) checkError(ctx context.Context, err error) {
	if ctx.Err() == nil && !errors.Is(err, errStress) && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, memo.ErrTimeout) {
		st.t.Errorf("unexpected error %v", err)
	}
}

// write changes the source and then does what makes it known.
func (st *stress) write(ctx context.Context, k int, tell func(v int64) error) {
	key := &st.keys[k]
	key.writing <- struct{}{} // one at a time, or the later of two could be told first
	defer func() { <-key.writing }()
	v := key.data.Add(1)
	st.pause()
	key.begun.Add(1)
	defer key.ended.Add(1)
	st.told(ctx, tell(v), func() { raise(&key.floor, v) })
}

func (st *stress) expire(ctx context.Context, k int) {
	key := &st.keys[k]
	key.writing <- struct{}{}
	defer func() { <-key.writing }()
	touched := key.touched.Load()
	e := &expiry{key.data.Load(), touched} // one that is under way may come after this
	key.begun.Add(1)
	defer key.ended.Add(1)
	st.told(ctx, st.f.Expire(ctx, k), func() { key.expired.Store(e) })
}

// touch is an invalidation of loads, too, though not of values.
func (st *stress) touch(ctx context.Context, k int) {
	key := &st.keys[k]
	key.touches.Add(1)
	defer key.touched.Add(1)
	key.begun.Add(1)
	defer key.ended.Add(1)
	if err := st.f.Touch(ctx, k); err != nil && ctx.Err() == nil && err != store.ErrNotFound {
		st.t.Errorf("Touch: %v", err)
	}
}

// invalidate does what concerns several keys.
func (st *stress) invalidate(keys []int, do func() error) {
	var v [stressKeys]int64
	for _, k := range keys { // in the order of the keys, or two could wait for each other
		st.keys[k].writing <- struct{}{}
		defer func() { <-st.keys[k].writing }()
		v[k] = st.keys[k].data.Add(1)
	}
	st.pause()
	for k := range st.keys {
		st.keys[k].begun.Add(1)
		defer st.keys[k].ended.Add(1)
	}
	st.told(context.Background(), do(), func() {
		for _, k := range keys {
			raise(&st.keys[k].floor, v[k])
		}
	})
}

func (st *stress) told(ctx context.Context, err error, done func()) {
	switch {
	case err == nil:
		done()
	case !errors.Is(err, context.DeadlineExceeded):
		st.t.Errorf("invalidation failed: %v", err)
	}
}

func raise(floor *atomic.Int64, v int64) {
	for old := floor.Load(); old < v && !floor.CompareAndSwap(old, v); old = floor.Load() {
	}
}
