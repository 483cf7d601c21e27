package flight

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Everything at random: single keys and batches, with and without waiting,
// invalidations, ends of contexts, time-outs, patience, errors, panics, and
// Close amid it all.
func TestStress(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				newStorm(t, seed, time.Millisecond).rage(8, 100)
			})
		})
	}
}

// The same at full speed, where goroutines really meet.
func TestStressAtFullSpeed(t *testing.T) {
	before := runtime.NumGoroutine()
	for seed := range uint64(4) {
		newStorm(t, seed, time.Microsecond).rage(16, 200)
	}
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines are left of %d", runtime.NumGoroutine(), before)
		}
	}
}

var errStorm = errors.New("the load failed")

// A drop is what is loaded of a key.
type drop struct {
	version uint64 // of the source
	epoch   uint64 // that of the request
	moment  int64  // when the load began
}

// A storm is a source, a cache and a Group between them, and those who use it.
type storm struct {
	t     *testing.T
	g     *Group[drop]
	step  time.Duration
	seed  uint64
	clock atomic.Int64 // moments
	keys  [6]place
}

// A place is what there is of one key.
type place struct {
	source  atomic.Uint64
	cache   atomic.Uint64
	floor   atomic.Uint64 // nothing older may be seen any more
	epoch   atomic.Uint64
	wished  atomic.Uint64 // the latest epoch of a request
	turning atomic.Int64  // beginnings and ends of invalidations under way
	changes atomic.Int64  // those that are over
	fills   atomic.Int32  // under way
	writers atomic.Int32  // likewise

	mu    sync.Mutex
	loads map[*visit]bool // under way
}

// A visit is the part of a load that belongs to one key.
type visit struct {
	ctx     context.Context
	epoch   uint64
	changes int64 // before it was asked for
}

func newStorm(t *testing.T, seed uint64, step time.Duration) *storm {
	s := &storm{t: t, g: NewGroup[drop](NewScope()), step: step, seed: seed}
	for i := range s.keys {
		s.keys[i].loads = make(map[*visit]bool)
	}
	return s
}

// rage lets callers do something each some times, and checks that they leave
// nothing behind. Every other storm is closed in the middle.
func (s *storm) rage(callers, times int) {
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(s.seed, uint64(i)))
			for n := range times {
				if n == times/2 && i == 0 && s.seed%2 == 1 {
					s.close(random)
				}
				done := make(chan struct{})
				go func() { // of its own, since a Goexit of a load goes on in it
					defer close(done)
					s.act(random)
				}()
				<-done
			}
		})
	}
	wg.Wait()
	if err := s.g.scope.Close(context.Background()); err != nil {
		s.t.Errorf("Close: %v", err)
	}
	for i := range s.g.stripes {
		for key := range s.g.stripes[i].slots {
			s.t.Errorf("%q has a slot although nothing is going on", key)
		}
	}
	for i := range s.keys {
		if n := len(s.keys[i].loads); n > 0 {
			s.t.Errorf("%d loads of key %d go on", n, i)
		}
	}
}

func (s *storm) close(random *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(random.IntN(20))*s.step)
	defer cancel()
	if err := s.g.scope.Close(ctx); err != nil && ctx.Err() == nil {
		s.t.Errorf("Close: %v", err)
	}
}

// act does one thing.
func (s *storm) act(random *rand.Rand) {
	defer func() {
		if v := recover(); v != nil {
			if _, ok := v.(*PanicError); !ok {
				panic(v)
			}
		}
	}()
	pause(random, s.step)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if random.IntN(3) == 0 {
		defer time.AfterFunc(time.Duration(random.IntN(20))*s.step, cancel).Stop()
	}
	switch random.IntN(12) {
	case 0, 1:
		s.change(ctx, random)
	case 2:
		s.keys[random.IntN(len(s.keys))].epoch.Add(1)
	case 3:
		s.g.Start(ctx, s.request(random))
	case 4:
		s.g.StartMany(ctx, s.batch(random))
	case 5, 6, 7:
		_ = s.askMany(ctx, random)
	default:
		_ = s.ask(ctx, random)
	}
}

// pause gives way for a while, or not at all.
func pause(random *rand.Rand, step time.Duration) {
	switch n := random.IntN(10); n {
	case 0:
	case 1, 2, 3:
		runtime.Gosched()
	default:
		time.Sleep(time.Duration(n) * step)
	}
}

// change is a write, as a cache would do it.
func (s *storm) change(ctx context.Context, random *rand.Rand) {
	i := random.IntN(len(s.keys))
	p := &s.keys[i]
	exclude := random.IntN(3) == 0
	var inv *Invalidation
	var err error
	p.change(func() {
		if exclude {
			inv, err = s.g.Exclude(ctx, fmt.Sprint(i))
		} else {
			inv = s.g.Invalidate(fmt.Sprint(i))
		}
	})
	if err != nil {
		return
	}
	done := func() { p.change(inv.Done) }
	if !exclude {
		if err := inv.Wait(ctx); err != nil {
			done()
			return
		}
	}
	if n := p.writers.Add(1) - 1; exclude && n != 0 {
		s.t.Errorf("%d others change key %d, though one excludes them", n, i)
	}
	version := p.source.Add(1)
	p.cache.Store(0)
	pause(random, s.step)
	if n, v := p.fills.Load(), p.cache.Load(); n != 0 || v != 0 {
		s.t.Errorf("key %d is filled while it is invalidated: %d fills, version %d", i, n, v)
	}
	if n := p.writers.Add(-1); exclude && n != 0 {
		s.t.Errorf("%d others change key %d, though one excludes them", n, i)
	}
	done()
	raise(&p.floor, version)
}

func (p *place) change(f func()) {
	p.turning.Add(1)
	f()
	p.changes.Add(1)
	p.turning.Add(-1)
}

// raise makes n at least as great as least.
func raise(n *atomic.Uint64, least uint64) {
	for old := n.Load(); old < least && !n.CompareAndSwap(old, least); old = n.Load() {
	}
}

// A wish is what is the same for one key and for several.
type wish struct {
	*storm
	random            *rand.Rand // of the load
	indices           []int      // of the keys
	epoch             uint64
	after             bool
	timeout, patience time.Duration
	changes           []int64  // of each key, before it was asked for
	floors            []uint64 // likewise
	moment            int64    // likewise
}

// wish makes a wish for up to n keys.
func (s *storm) wish(random *rand.Rand, n int) *wish {
	w := &wish{storm: s, random: rand.New(rand.NewPCG(random.Uint64(), 0)), after: random.IntN(3) == 0}
	if random.IntN(3) == 0 {
		w.timeout = time.Duration(1+random.IntN(30)) * s.step
	}
	if random.IntN(3) == 0 {
		w.patience = time.Duration(1+random.IntN(30)) * s.step
	}
	w.indices = random.Perm(len(s.keys))[:1+random.IntN(n)]
	w.epoch = s.keys[w.indices[0]].epoch.Load()
	for _, i := range w.indices {
		p := &s.keys[i]
		w.changes = append(w.changes, p.changes.Load())
		w.floors = append(w.floors, p.floor.Load())
		raise(&p.wished, w.epoch)
	}
	w.moment = s.clock.Add(1)
	return w
}

func (s *storm) request(random *rand.Rand) Request[drop] { return s.wish(random, 1).request() }

func (w *wish) request() Request[drop] {
	only := []int{0}
	return Request[drop]{
		Key: fmt.Sprint(w.indices[0]), Seen: w.g.Mark(),
		Epoch: w.epoch, After: w.after, Timeout: w.timeout, Patience: w.patience,
		Load: func(ctx context.Context, _ bool) (drop, error) {
			values, errs := w.load(ctx, only)
			return values[0], errs[0]
		},
		Fill: func(_ context.Context, value drop) { w.fill(only, []drop{value}) },
		Void: func() { pause(w.random, w.step) },
	}
}

func (s *storm) batch(random *rand.Rand) Batch[drop] { return s.wish(random, len(s.keys)).batch() }

func (w *wish) batch() Batch[drop] {
	b := Batch[drop]{
		Seen: w.g.Mark(), Epoch: w.epoch, After: w.after, Timeout: w.timeout, Patience: w.patience,
		Load: func(ctx context.Context, keys []int, _ bool) ([]drop, []error) { return w.load(ctx, keys) },
		Fill: func(_ context.Context, keys []int, values []drop) { w.fill(keys, values) },
	}
	for _, i := range w.indices {
		b.Keys = append(b.Keys, fmt.Sprint(i))
	}
	return b
}

func (s *storm) ask(ctx context.Context, random *rand.Rand) error {
	w := s.wish(random, 1)
	value, _, err := s.g.Do(ctx, w.request())
	w.check(ctx, 0, value, err)
	return err
}

func (s *storm) askMany(ctx context.Context, random *rand.Rand) (err error) {
	w := s.wish(random, len(s.keys))
	for i, o := range s.g.DoMany(ctx, w.batch()) {
		w.check(ctx, i, o.Value, o.Err)
		err = errors.Join(err, o.Err)
	}
	return err
}

// check checks what was answered for the i-th of the keys.
func (w *wish) check(ctx context.Context, i int, value drop, err error) {
	var panicked *PanicError
	var exited *GoexitError
	var cycle *CycleError
	switch {
	case err == nil:
		if value.version < w.floors[i] || value.epoch < w.epoch || w.after && value.moment < w.moment {
			w.t.Errorf("key %d: got %+v, which is older than what was asked for at %+v", w.indices[i], value, w)
		}
	case errors.Is(err, ErrTimeout), errors.Is(err, ErrClosed), errors.Is(err, ErrPatience), errors.Is(err, errStorm),
		errors.As(err, &panicked), errors.As(err, &exited), errors.As(err, &cycle):
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
	default: // a load that was cancelled has no waiters
		w.t.Errorf("key %d: got %v", w.indices[i], err)
	}
}

// load loads some of the keys, and may need others for that, in rings even.
func (w *wish) load(ctx context.Context, keys []int) ([]drop, []error) {
	values, errs := make([]drop, len(keys)), make([]error, len(keys))
	for n, k := range keys {
		p := &w.keys[w.indices[k]]
		defer p.enter(w, w.indices[k], &visit{ctx, w.epoch, w.changes[k]})()
		values[n] = drop{epoch: w.epoch, moment: w.clock.Add(1)}
	}
	pause(w.random, w.step)
	for n, k := range keys {
		values[n].version = w.keys[w.indices[k]].source.Load()
		if w.random.IntN(10) == 0 {
			errs[n] = errStorm
		}
	}
	var err error
	switch w.random.IntN(20) {
	case 0:
		panic("storm")
	case 1:
		runtime.Goexit()
	case 2, 3:
		err = w.ask(ctx, w.random)
	case 4:
		err = w.askMany(ctx, w.random)
	case 5:
		w.g.Start(ctx, w.storm.request(w.random))
	case 6, 7, 8, 9:
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(time.Duration(w.random.IntN(20)) * w.step):
		}
	}
	if err != nil {
		for n := range errs {
			errs[n] = err
		}
	}
	pause(w.random, w.step)
	return values, errs
}

// enter notes that a load is under way. Of any two of a key, one must be past.
func (p *place) enter(w *wish, key int, v *visit) (leave func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for other := range p.loads {
		if !p.past(other) && !p.past(v) {
			w.t.Errorf("two loads of key %d", key)
		}
	}
	p.loads[v] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.loads, v)
	}
}

// past reports whether a load may have been left by all or timed out, is void,
// or of an earlier epoch than others want.
func (p *place) past(v *visit) bool {
	return v.ctx.Err() != nil || p.turning.Load() > 0 || v.changes != p.changes.Load() || v.epoch < p.wished.Load()
}

func (w *wish) fill(keys []int, values []drop) {
	for n, k := range keys {
		i := w.indices[k]
		p := &w.keys[i]
		if p.fills.Add(1) != 1 {
			w.t.Errorf("two fills of key %d", i)
		}
		defer p.fills.Add(-1)
		if values[n].version < p.floor.Load() {
			w.t.Errorf("key %d is filled with version %d after %d was invalidated", i, values[n].version, p.floor.Load())
		}
		p.cache.Store(values[n].version)
	}
	pause(w.random, w.step)
	if w.random.IntN(20) == 0 {
		panic("storm")
	}
}
