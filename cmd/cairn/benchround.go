package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/store"
)

// A caller reads and writes one key after another.
type caller struct {
	t             *target
	r             *rand.Rand
	zipf          *rand.Zipf // nil chooses all keys alike
	m             measured
	calls, errors atomic.Uint64 // for sample, while it runs
}

func newCaller(t *target) *caller {
	c := &caller{t: t, r: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
	if t.Zipf > 0 {
		c.zipf = rand.NewZipf(c.r, t.Zipf, 1, uint64(t.Keys-1))
	}
	return c
}

func (c *caller) pick() string {
	if c.zipf == nil {
		return c.t.key(c.r.IntN(c.t.Keys))
	}
	return c.t.key(int(c.zipf.Uint64()))
}

// round loads the store for a while, or until ctx ends.
func (t *target) round(ctx context.Context, d time.Duration, line *progress) *measured {
	if t.callers == nil {
		t.callers = make([]*caller, t.Concurrency)
		for i := range t.callers {
			t.callers[i] = newCaller(t)
		}
	}
	callers := t.callers
	start := time.Now()
	var wg sync.WaitGroup
	for _, c := range callers {
		wg.Go(func() { c.run(ctx, start.Add(d)) })
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	m := &measured{samples: t.sample(start, callers, done, line)}
	m.elapsed = time.Since(start)
	for _, c := range callers {
		m.merge(&c.m)
		c.reset()
	}
	return m
}

// reset makes c ready for another round. It keeps the memory of its histograms,
// which is much if there are thousands of callers.
func (c *caller) reset() {
	get, set := c.m.get, c.m.set
	get.reset()
	set.reset()
	c.m = measured{get: get, set: set}
	c.calls.Store(0)
	c.errors.Store(0)
}

// sample counts the calls that end, in short steps, until done is closed.
func (t *target) sample(start time.Time, callers []*caller, done <-chan struct{}, line *progress) (samples []sample) {
	step := max(t.Duration/maxColumns, 10*time.Millisecond)
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	last, before := start, uint64(0)
	for {
		select {
		case <-ticker.C:
		case <-done:
			return samples
		}
		var calls, failed uint64
		for _, c := range callers {
			calls += c.calls.Load()
			failed += c.errors.Load()
		}
		now := time.Now()
		samples = append(samples, sample{now.Sub(last), calls - before})
		t.show(line, now.Sub(start), rate(calls-before, now.Sub(last)), t.failed+failed)
		last, before = now, calls
	}
}

// show tells how far the target is.
func (t *target) show(line *progress, elapsed time.Duration, perSecond float64, failed uint64) {
	text := fmt.Sprintf("%.1fs of %v  %s calls/s", (t.elapsed + elapsed).Seconds(), t.Duration, short(perSecond))
	if failed > 0 {
		text += fmt.Sprintf(", %d failed", failed)
	}
	line.show(text + "  " + t.name)
}

// run calls the store until end, or ctx ends.
func (c *caller) run(ctx context.Context, end time.Time) {
	for ctx.Err() == nil {
		key, read := c.pick(), c.r.Float64() < c.t.Read
		start := time.Now()
		switch {
		case !start.Before(end):
			return
		case read:
			c.read(ctx, key, start)
		default:
			c.write(ctx, key, start)
		}
	}
}

func (c *caller) read(ctx context.Context, key string, start time.Time) {
	_, err := c.t.s.Get(ctx, key)
	took := time.Since(start)
	missed := errors.Is(err, store.ErrNotFound)
	if err != nil && !missed {
		c.fail(ctx, err)
		return
	}
	c.m.get.add(took)
	c.calls.Add(1)
	if missed {
		c.m.misses++
		c.write(ctx, key, time.Now())
	} else {
		c.m.hits++
	}
}

// write is not cut short by ctx: it could still reach the server after clean.
func (c *caller) write(ctx context.Context, key string, start time.Time) {
	err := c.t.s.Set(context.WithoutCancel(ctx), key, c.t.value, c.t.TTL)
	took := time.Since(start)
	if err != nil {
		c.fail(ctx, err)
		return
	}
	c.m.set.add(took)
	c.calls.Add(1)
}

// fail counts a failure, unless ctx is the reason, and pauses: a server that
// is away is not to be asked as often as the processor can.
func (c *caller) fail(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if c.m.failed++; c.m.first == nil {
		c.m.first = err
	}
	c.errors.Add(1)
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Millisecond):
	}
}
