package memory

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

// until calls f again and again, in a goroutine of its own, until the function
// that it returns is called, which waits for the end.
func until(f func(i int)) (end func()) {
	var one sync.WaitGroup
	var ended atomic.Bool
	one.Go(func() {
		for i := 0; !ended.Load(); i++ {
			f(i)
		}
	})
	return func() {
		ended.Store(true)
		one.Wait()
	}
}

// No method answers from an entry that another goroutine is just removing: such
// an answer has a ttl that nobody has given.
func TestNoAnswerFromAnEntryThatIsBeingRemoved(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, nil)
	c := newTyped[string, int](t, nil)
	live := store.LiveBytes(nil)
	wrong := func(ttl time.Duration) bool { return ttl <= 0 || ttl > time.Minute }
	for name, ask := range map[string]func() (time.Duration, bool){
		"Typed.TTL": func() (time.Duration, bool) { return c.TTL("k") },
		"Store.TTL": func() (time.Duration, bool) { ttl, err := s.TTL(ctx, "k"); return ttl, err == nil },
		"GetWithTTL": func() (time.Duration, bool) {
			_, ttl, err := s.GetWithTTL(ctx, "k")
			return ttl, err == nil
		},
		"GetOrLease": func() (time.Duration, bool) {
			l, err := s.GetOrLease(ctx, "k", "token", time.Second, nil)
			return l.TTL, err == nil && l.Live != nil
		},
	} {
		end := until(func(int) {
			if ttl, ok := ask(); ok && wrong(ttl) {
				t.Errorf("%s = %v", name, ttl)
			}
		})
		for range 5_000 {
			c.SetTTL("k", 1, time.Minute)
			c.Delete("k")
			s.SetLive(ctx, "k", live, time.Minute)
			s.Delete(ctx, "k")
		}
		end()
	}
}

// A write looks at the clock once: what was live when it began is replaced,
// though its ttl passes before the write is done.
func TestOneLookAtTheClockDecidesAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		var r recorder
		s := newStore(t, &Options{
			OnSet: func(_ string, new, old *store.Live, replaced bool) {
				told = append(told, fmt.Sprint(new != old, old != nil, replaced))
			},
			OnRemove: r.onRemove,
		})
		set(t, s, "k", "1", time.Millisecond)
		before := s.Stats()
		err := s.write("set", "k", liveOf("2"), time.Hour, func(entry, bool) Cause {
			time.Sleep(time.Millisecond) // another process has the processor
			return Replaced
		})
		if err != nil {
			t.Fatal(err)
		}
		got := s.Stats()
		if got.Sets != before.Sets+1 || got.Replaced != 1 || got.Expired != 0 {
			t.Errorf("counted is %+v", got)
		}
		if want := []string{"true false false", "true true true"}; !slices.Equal(told, want) {
			t.Errorf("OnSet was told %q, want %q", told, want)
		}
		if got := r.take(); !slices.Equal(got, []string{"Replaced k=1"}) {
			t.Errorf("OnRemove was told %q", got)
		}

		// And a renewal stays one.
		set(t, s, "renewed", "1", time.Millisecond)
		l, _ := s.GetLive(t.Context(), "renewed")
		told, before = nil, s.Stats()
		s.write("setlive", "renewed", l, time.Hour, func(entry, bool) Cause {
			time.Sleep(time.Millisecond)
			return Replaced
		})
		if got := s.Stats(); got != before || len(told) != 0 || len(r.take()) != 0 {
			t.Errorf("after a renewal %+v, want %+v; OnSet was told %q", got, before, told)
		}
	})
}

// What was counted outlives Close, but for what there is.
func TestStatsAfterClose(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, &Options{MaxBytes: 64 << 20})
	for i := range 100 { // in all shards
		set(t, s, strconv.Itoa(i), "v", 0)
	}
	s.Get(ctx, "1")
	s.Get(ctx, "x")
	s.Delete(ctx, "2")
	s.Pop()
	s.Evict(3)
	want := s.Stats()
	want.Entries, want.Bytes = 0, 0
	s.Close()
	if got := s.Stats(); got != want {
		t.Errorf("after Close: %+v, want %+v", got, want)
	}

	c := newTyped[int, int](t, nil)
	c.Set(1, 1)
	c.Get(1)
	c.Set(1, 2)
	c.Close()
	if got := c.Stats(); got != (Stats{Hits: 1, Sets: 2, Replaced: 1}) {
		t.Errorf("after Close of a Typed: %+v", got)
	}
}

// A write that needs the room of what others are busy with waits for them: it
// neither comes back empty-handed nor tries in vain all the time.
func TestWriteWaitsForRoom(t *testing.T) {
	const limit = 64 << 20
	large := store.LiveBytes(make([]byte, limit-2*entryOverhead))
	s := newStore(t, &Options{MaxBytes: limit})
	c := newTyped(t, &TypedOptions[string, int]{MaxCost: limit, Cost: func(_ string, cost int) int64 { return int64(cost) }})
	// meanwhile does write while this goroutine has the lock of "large".
	meanwhile := func(write, unlock func()) {
		started := make(chan struct{})
		var other sync.WaitGroup
		other.Go(func() { close(started); write() })
		<-started
		for range 200 {
			runtime.Gosched()
		}
		unlock()
		other.Wait()
	}
	for i := range 20 { // some of these keys share a lock with it, most do not
		key := strconv.Itoa(i)
		s.SetLive(t.Context(), "large", large, 0)
		slot := s.cache.Lock("large")
		tries := 0
		meanwhile(func() {
			s.write("set", key, large, 0, func(entry, bool) Cause { tries++; return Replaced })
		}, func() { slot.Unlock() })
		if found, _ := s.Has(t.Context(), key); !found || tries > 2 {
			t.Errorf("the Store has %s: %v, after %d tries, and one is in vain", key, found, tries)
		}

		c.Set("large", limit)
		typed := c.cache.Lock("large")
		meanwhile(func() { c.Set(key, limit) }, func() { typed.Unlock() })
		if !c.Has(key) {
			t.Errorf("the Typed does not have %s, which was set", key)
		}
	}
}

// Each goroutine finds what it has written, whatever the policy is and becomes,
// while tables grow and shrink.
func TestEachReadsItsOwnWrites(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, nil)
	end := until(func(i int) {
		o := &Options{MaxEntries: 1 << 20, Policy: Policy(i) % (Random + 1)}
		if i%3 == 0 {
			o.MaxBytes = 1 << 30
		}
		if err := s.Reconfigure(o); err != nil {
			t.Error(err)
		}
		got := s.Stats()
		if left := got.Deleted + got.Expired + got.Replaced + uint64(got.Entries); got.Sets != left || got.Evicted != 0 {
			t.Errorf("of %d values %d are there or have left: %+v", got.Sets, left, got)
		}
		time.Sleep(100 * time.Microsecond) // or the writers wait for it all the time
	})
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			for i := range 500 {
				key := fmt.Sprint(w, "/", i%50)
				want := store.LiveBytes(nil)
				s.SetLive(ctx, key, want, []time.Duration{store.Forever, time.Hour}[i%2])
				if got, err := s.GetLive(ctx, key); got != want || err != nil {
					t.Errorf("GetLive(%s) is %p, %v after SetLive of %p", key, got, err, want)
				}
				if i%3 == 0 {
					s.Touch(ctx, key, time.Minute)
					if ttl, err := s.TTL(ctx, key); err != nil || ttl > time.Minute || ttl <= 0 {
						t.Errorf("TTL(%s) is %v, %v after Touch with a minute", key, ttl, err)
					}
				}
				for j := range 50 { // the tables grow
					s.SetLive(ctx, fmt.Sprint(key, "/", j), want, time.Hour)
				}
				for j := range 50 { // and shrink
					name := fmt.Sprint(key, "/", j)
					s.Delete(ctx, name)
					if got, err := s.GetLive(ctx, name); err != store.ErrNotFound {
						t.Errorf("GetLive(%s) is %p, %v after Delete", name, got, err)
					}
				}
			}
		})
	}
	writers.Wait()
	end()
	if n := s.Len(); n != 3*50 {
		t.Errorf("%d entries are left, want %d", n, 3*50)
	}
}

// No step of a counter is lost or done twice, while all entries move.
func TestCounterByCompareAndSwap(t *testing.T) {
	const counters, steps = 4, 3000
	ctx := t.Context()
	s := newStore(t, nil)
	end := until(func(i int) {
		o := &Options{MaxEntries: 1 << 16, Policy: Policy(i) % (Random + 1)}
		if i%2 == 0 {
			o.MaxBytes = 64 << 20
		}
		if err := s.Reconfigure(o); err != nil {
			t.Error(err)
		}
		for range 20 {
			s.Set(ctx, "other", nil, time.Millisecond)
			runtime.Gosched()
		}
	})
	var group sync.WaitGroup
	var added atomic.Int64
	for range counters {
		group.Go(func() {
			for done := 0; done < steps; {
				now, err := s.Get(ctx, "n")
				if err == store.ErrNotFound {
					if ok, _ := s.Add(ctx, "n", make([]byte, 8), time.Hour); ok {
						added.Add(1)
					}
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				next := binary.LittleEndian.AppendUint64(nil, binary.LittleEndian.Uint64(now)+1)
				if ok, err := s.CompareAndSwap(ctx, "n", now, next, time.Hour); err != nil {
					t.Error(err)
					return
				} else if ok {
					done++
				}
			}
		})
	}
	group.Wait()
	end()
	b, err := s.Get(ctx, "n")
	if err != nil || binary.LittleEndian.Uint64(b) != counters*steps || added.Load() != 1 {
		t.Errorf("the counter is %v, %v after %d steps, and began %d times", b, err, counters*steps, added.Load())
	}
}

// What was loaded before a Clear or a Delete is not stored after it.
func TestNoFillAfterClearOrDelete(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, nil)
	var version atomic.Int64
	for w := range 3 {
		defer until(func(i int) {
			token := fmt.Sprint(w, ".", i)
			l, err := s.GetOrLease(ctx, "k", token, time.Second, nil)
			if err != nil {
				t.Error(err)
			}
			if l.Lease == store.LeaseGranted {
				loaded := strconv.FormatInt(version.Load(), 10)
				runtime.Gosched()
				s.Fill(ctx, "k", token, liveOf(loaded), time.Minute)
			}
		})()
	}
	for i := range 300 {
		now := version.Add(1)
		switch i % 3 {
		case 0:
			s.Clear(ctx)
		case 1:
			s.Delete(ctx, "k")
		case 2:
			s.Reconfigure(&Options{Policy: Policy(i) % (Random + 1)})
			s.Delete(ctx, "k")
		}
		runtime.Gosched()
		if b, err := s.Get(ctx, "k"); err == nil {
			if got, _ := strconv.ParseInt(string(b), 10, 64); got < now {
				t.Fatalf("step %d: version %d is there, which was loaded before version %d", i, got, now)
			}
		}
	}
}

// A mirror knows which keys there are: it looks at those that it is told of.
type mirror struct {
	has   func(key string) bool
	there map[string]bool
}

func (m *mirror) Flush()           {}
func (m *mirror) Proven(time.Time) {}
func (m *mirror) Invalidate(keys ...string) {
	for _, key := range keys {
		m.there[key] = m.has(key)
	}
}

// The last that a watcher is told of a key comes after its last change. So one
// that looks each time knows what there is, once all calls have returned.
func TestWatchersKnowEveryEviction(t *testing.T) {
	const limit, writers, keys = 16 << 20, 4, 1500
	ctx := t.Context()
	s := newStore(t, &Options{MaxBytes: limit})
	has := func(key string) bool {
		found, err := s.Has(ctx, key)
		return found && err == nil
	}
	m := &mirror{has: has, there: map[string]bool{}}
	if err := s.Watch(ctx, m); err != nil {
		t.Fatal(err)
	}
	bytes := make([]byte, 3<<20)
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range keys {
				l := store.LiveBytes(bytes[:i*7919%len(bytes)])
				s.SetLive(ctx, fmt.Sprint(w, "/", i), l, time.Hour)
			}
		})
	}
	group.Wait()
	for w := range writers {
		for i := range keys {
			key := fmt.Sprint(w, "/", i)
			known, told := m.there[key]
			if !told || known != has(key) {
				t.Errorf("there is %s: %v; the watcher was told: %v, and saw %v", key, has(key), told, known)
			}
		}
	}
	got := s.Stats()
	if got.Evicted == 0 || got.Bytes > limit || got.Sets != got.Evicted+uint64(got.Entries) {
		t.Errorf("counted is %+v", got)
	}
}
