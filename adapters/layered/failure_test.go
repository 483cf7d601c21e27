package layered_test

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/memo"
)

// The tests here are named in docs/failure.md: what a memoized function answers
// over L1 and L2 while one of the parts fails, and what its store does.

// L2 is away for one process, and perhaps the watch as well.
func TestL2Fails(t *testing.T) {
	for name, c := range map[string]struct {
		fault   fault
		silent  bool
		timeout time.Duration // of a call, while the breaker is closed
	}{
		"it refuses":                      {refuse, false, 0},
		"it hangs":                        {hang, false, time.Second / 2},
		"it refuses, the watch is silent": {refuse, true, 0},
		"it hangs, and the watch as well": {hang, true, time.Second / 2},
	} {
		t.Run(name, func(t *testing.T) {
			onTwo(t, func(t *testing.T, a, b *process, src *source) {
				ctx, proven := t.Context(), time.Now()
				a.wire.fail(c.fault, c.silent)
				a.want("fresh", 1, memo.SourceMemory, 0)
				a.want("stale", 1, memo.SourceStale, 0)
				key, err := a.f.Key("fresh")
				if err != nil {
					t.Fatal(err)
				}
				if time.Sleep(time.Until(proven.Add(2 * time.Second))); c.silent {
					_, err := a.s.Get(ctx, key)
					a.fails("Get of the store", err)
					for range 2 { // nothing of it is stored
						a.want("fresh", 2, memo.SourceLoaded, c.timeout)
					}
					a.want("stale", 2, memo.SourceLoaded, c.timeout)
				} else {
					if _, err := a.s.Get(ctx, key); err != nil {
						t.Errorf("Get of the store: %v, though L1 has it", err)
					}
					a.want("fresh", 1, memo.SourceMemory, 0)
					a.want("stale", 1, memo.SourceStale, 0)
				}
				for range 5 {
					a.want("absent", 2, memo.SourceLoaded, c.timeout)
				}
				start := time.Now()
				a.want("absent", 2, memo.SourceLoaded, 0)
				a.fails("Set", a.f.Set(ctx, "set", 7))
				a.fails("Delete", a.f.Delete(ctx, "fresh"))
				if d := time.Since(start); d != 0 {
					t.Errorf("the breaker is open, and calls took %v", d)
				}
				st, ms := a.s.Stats(), a.f.Stats()
				if st.PendingDeletes != 1 || st.L2Errors == 0 || st.Breaker.State != layered.BreakerOpen || c.silent != (st.Bypassed > 0) ||
					st.L1Open == c.silent || (st.Breaker.TimedOut > 0) != (c.timeout > 0) || st.Breaker.Refused == 0 || ms.StoreErrors == 0 {
					t.Errorf("Stats: %+v, %+v", st, ms)
				}
				b.want("fresh", 1, memo.SourceMemory, 0) // as the Delete has failed
				a.wire.mend()
				time.Sleep(6 * time.Second)
				if st := a.s.Stats(); st.PendingDeletes != 0 || c.silent != (st.Flushes > 0) {
					t.Errorf("Stats: %+v", st)
				}
				b.want("fresh", 2, memo.SourceLoaded, 0)
				a.want("fresh", 2, memo.SourceMemory, 0)
				a.works(2)
			})
		})
	}
}

// L2 takes long, but no longer than its time-out.
func TestL2IsSlow(t *testing.T) {
	onTwo(t, func(t *testing.T, a, b *process, src *source) {
		a.wire.fail(dawdle, false)
		a.want("fresh", 1, memo.SourceMemory, 0)
		a.want("stale", 1, memo.SourceStale, 0)
		time.Sleep(time.Minute / 2)
		key, _ := a.f.Key("fresh")
		start := time.Now()
		if _, err := a.s.Get(t.Context(), key); err != nil || time.Since(start) != 0 {
			t.Errorf("Get of the store: %v after %v, though L1 has it", err, time.Since(start))
		}
		a.want("fresh", 1, memo.SourceMemory, 0)
		a.want("stale", 2, memo.SourceMemory, 2*slowness)
		a.want("absent", 2, memo.SourceLoaded, 4*slowness)
		b.want("absent", 2, memo.SourceMemory, 0)
		start = time.Now()
		if err := errors.Join(a.f.Set(t.Context(), "fresh", 3), a.f.Delete(t.Context(), "stale")); err != nil || time.Since(start) > 4*slowness {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		b.want("fresh", 3, memo.SourceMemory, 0)
		b.want("stale", 2, memo.SourceLoaded, 0)
		if st := a.s.Stats(); st.L2Errors != 0 || st.Breaker.Failed != 0 {
			t.Errorf("Stats: %+v", st)
		}
		a.wire.mend()
		time.Sleep(time.Second)
		a.works(2)
	})
}

// The watch of one process tells nothing, and the other writes.
func TestWatchFails(t *testing.T) {
	for name, cut := range map[string]bool{"it is silent": false, "it is cut, and made again": true} {
		t.Run(name, func(t *testing.T) {
			onTwo(t, func(t *testing.T, a, b *process, src *source) {
				ctx := t.Context()
				a.wire.fail(nil, true)
				if err := b.f.Delete(ctx, "fresh"); err != nil {
					t.Error(err)
				}
				a.want("fresh", 1, memo.SourceMemory, 0) // for delta at most
				a.want("stale", 1, memo.SourceStale, 0)
				synctest.Wait()
				if cut {
					a.wire.mend()
				} else {
					time.Sleep(time.Second + 1)
				}
				a.want("fresh", 2, memo.SourceLoaded, 0)
				b.want("fresh", 2, memo.SourceMemory, 0)
				a.want("stale", 2, memo.SourceMemory, 0) // which it has refreshed
				a.want("absent", 2, memo.SourceLoaded, 0)
				if err := errors.Join(a.f.Set(ctx, "fresh", 3), a.f.Delete(ctx, "absent")); err != nil {
					t.Error(err)
				}
				a.want("fresh", 3, memo.SourceMemory, 0)
				b.want("fresh", 3, memo.SourceMemory, 0)
				if st := a.s.Stats(); !cut && (st.Bypassed == 0 || st.L1Open || st.ProofAge <= time.Second) {
					t.Errorf("Stats: %+v", st)
				}
				a.wire.mend()
				time.Sleep(time.Second)
				if st := a.s.Stats(); st.Flushes != 1 {
					t.Errorf("Stats: %+v", st)
				}
				a.works(2)
			})
		})
	}
}

func TestSourceFails(t *testing.T) {
	onTwo(t, func(t *testing.T, a, b *process, src *source) {
		ctx, broken := t.Context(), errors.New("broken")
		src.load = func(context.Context) error { return broken }
		a.want("fresh", 1, memo.SourceMemory, 0)
		a.want("stale", 1, memo.SourceStale, 0)
		synctest.Wait()
		loads := src.loads.Load()
		if r, err := a.f.Lookup(ctx, "stale"); r.Value != 1 || err != nil || !errors.Is(r.Err, broken) || src.loads.Load() != loads {
			t.Errorf("stale: %+v, %v, %d loads more", r, err, src.loads.Load()-loads)
		}
		for _, p := range []*process{a, b} { // none waits for the other's lease
			start := time.Now()
			if _, err := p.f.Get(ctx, "absent"); !errors.Is(err, broken) || time.Since(start) != 0 {
				t.Errorf("absent: %v after %v", err, time.Since(start))
			}
		}
		if st := a.f.Stats(); st.LoadErrors != 2 || a.s.Stats().L2Errors != 0 {
			t.Errorf("Stats: %+v", st)
		}
		if err := errors.Join(a.f.Set(ctx, "absent", 3), a.f.Delete(ctx, "fresh")); err != nil {
			t.Error(err)
		}
		b.want("absent", 3, memo.SourceMemory, 0)
		src.load = nil
		a.want("fresh", 2, memo.SourceLoaded, 0)
		time.Sleep(time.Minute)
		a.want("stale", 1, memo.SourceStale, 0)
		synctest.Wait()
		a.want("stale", 2, memo.SourceMemory, 0)
		a.works(2)
	})
}

func TestSourceHangs(t *testing.T) {
	onTwo(t, func(t *testing.T, a, b *process, src *source) {
		ctx := t.Context()
		src.load = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		a.want("fresh", 1, memo.SourceMemory, 0)
		a.want("stale", 1, memo.SourceStale, 0)
		var both sync.WaitGroup
		for _, p := range []*process{a, b} {
			both.Go(func() {
				start := time.Now()
				if _, err := p.f.Get(ctx, "absent"); !errors.Is(err, memo.ErrTimeout) || time.Since(start) != 2*time.Second {
					t.Errorf("absent: %v after %v, want LoadTimeout", err, time.Since(start))
				}
			})
		}
		time.Sleep(time.Second)
		if err := errors.Join(a.f.Set(ctx, "other", 3), a.f.Delete(ctx, "fresh")); err != nil {
			t.Error(err)
		}
		b.want("other", 3, memo.SourceMemory, 0)
		both.Wait()
		synctest.Wait()
		if st := a.f.Stats(); st.LoadErrors == 0 || a.s.Stats().L2Errors != 0 {
			t.Errorf("Stats: %+v", st)
		}
		src.load = nil
		b.want("absent", 2, memo.SourceLoaded, time.Second)
		a.want("fresh", 2, memo.SourceLoaded, 0)
		a.works(2)
	})
}

// A process ends and begins anew: what it knew of failed Deletes is gone.
func TestProcessRestarts(t *testing.T) {
	onTwo(t, func(t *testing.T, a, b *process, src *source) {
		a.wire.fail(refuse, false)
		a.fails("Delete", a.f.Delete(t.Context(), "fresh"))
		if err := a.s.Close(); err != nil {
			t.Error(err)
		}
		c := newProcess(t, b.wire.everything, src)
		c.want("stale", 1, memo.SourceStale, 0)
		c.want("fresh", 1, memo.SourceMemory, 0)
		b.want("fresh", 1, memo.SourceMemory, 0)
		if st := c.s.Stats(); st.L1Hits != 0 || st.L2Hits == 0 {
			t.Errorf("Stats: %+v", st)
		}
		c.works(2)
		if err := c.f.Delete(t.Context(), "fresh"); err != nil {
			t.Error(err)
		}
		b.want("fresh", 2, memo.SourceLoaded, 0)
	})
}

// The wall clock of a process is set, or differs from that of another: then
// what it reads in an entry is earlier or later than it was.
func TestClockJumps(t *testing.T) {
	for name, c := range map[string]struct {
		jump time.Duration
		want int64
		from memo.Source
	}{
		"forward, past the ttl":        {2 * time.Minute, 1, memo.SourceStale},
		"forward, past the stale time": {2 * time.Hour, 2, memo.SourceLoaded},
		"back":                         {-2 * time.Hour, 1, memo.SourceMemory},
	} {
		t.Run(name, func(t *testing.T) {
			onTwo(t, func(t *testing.T, a, b *process, src *source) {
				key, err := a.f.Key("fresh")
				if err != nil {
					t.Fatal(err)
				}
				entry, left, err := b.s.GetWithTTL(t.Context(), key)
				if err != nil || left != time.Minute+time.Hour {
					t.Fatalf("%v left, %v", left, err)
				}
				for _, at := range []int{9, 17} { // created and fresh until, in the envelope of package memo
					then := binary.BigEndian.Uint64(entry[at:])
					binary.BigEndian.PutUint64(entry[at:], then-uint64(c.jump))
				}
				if err := b.s.Set(t.Context(), key, entry, left); err != nil {
					t.Fatal(err)
				}
				a.want("fresh", c.want, c.from, 0)
				if n := a.f.Stats().StaleHits; (n > 0) != (c.from == memo.SourceStale) {
					t.Errorf("%d StaleHits", n)
				}
				if c.jump < 0 {
					time.Sleep(left - 1)
					a.want("fresh", 1, memo.SourceMemory, 0)
					time.Sleep(time.Nanosecond)
				} else {
					synctest.Wait()
					a.want("fresh", 2, memo.SourceMemory, 0)
					time.Sleep(left + time.Minute)
				}
				a.want("fresh", 2, memo.SourceLoaded, 0)
				a.works(2)
			})
		})
	}
}

// The server loses everything, and the processes are told.
func TestRedisLosesAll(t *testing.T) {
	for name, lose := range map[string]func(*servers){"flushed": flushAll, "restarted": killServer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, src := startServers(t), new(source)
			var all []*process
			for range 2 {
				n := newNode(t, newClient(s.proxy.Addr), "f:", nodeOptions{patient: true})
				all = append(all, memoize(t, n.Store, src))
			}
			get := func(p *process, want int64) (from memo.Source) {
				t.Helper()
				r, err := p.f.Lookup(t.Context(), "k")
				if r.Value != want || err != nil {
					t.Errorf("got %d, %v; want %d", r.Value, err, want)
				}
				return r.Source
			}
			src.version.Store(1)
			var before []uint64
			for _, p := range all {
				eventually(t, "L1 answers", func() bool { return get(p, 1) == memo.SourceMemory })
				before = append(before, p.s.Stats().Flushes)
			}
			src.version.Store(2)
			lose(s)
			for i, p := range all {
				eventually(t, "Flush", func() bool { return p.s.Stats().Flushes > before[i] })
				eventually(t, "L1 answers", func() bool { return get(p, 2) == memo.SourceMemory })
			}
			if n := all[0].f.Stats().Loaded + all[1].f.Stats().Loaded; n < 2 {
				t.Errorf("%d loads", n)
			}
			eventually(t, "Set", func() bool { return all[0].f.Set(t.Context(), "k", 3) == nil })
			get(all[0], 3)
			time.Sleep(testDelta)
			get(all[1], 3)
			eventually(t, "Delete", func() bool { return all[1].f.Delete(t.Context(), "k") == nil })
			get(all[1], 2)
		})
	}
}
