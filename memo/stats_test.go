package memo

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// eachField calls f with the name and the value of each field, all of which
// are 64-bit numbers.
func eachField(s Stats, f func(name string, n uint64)) {
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		n := v.Field(i)
		if n.CanInt() {
			f(v.Type().Field(i).Name, uint64(n.Int()))
		} else {
			f(v.Type().Field(i).Name, n.Uint())
		}
	}
}

// Each counter has a field of its own, and each field a counter.
func TestCountersAndFields(t *testing.T) {
	c := newCounters()
	c.add(loadReturned, 100) // for Voided, which is never more than all loads
	c.add(loadAbsent, 100)
	c.add(loadFailed, 100)
	found := make(map[string]counter)
	for what := range allCounters {
		before := c.snapshot()
		c.add(what, 1)
		after := c.snapshot()
		names := make(map[string]uint64)
		eachField(after, func(name string, n uint64) { names[name] = n })
		eachField(before, func(name string, n uint64) {
			switch names[name] - n {
			case 0:
				return
			case 1:
				if other, ok := found[name]; ok {
					t.Errorf("counters %d and %d are both %s", other, what, name)
				}
				found[name] = what
			default:
				t.Errorf("counter %d: %s went from %d to %d", what, name, n, names[name])
			}
		})
	}
	if fields := reflect.TypeFor[Stats]().NumField(); len(found) != fields || fields != int(allCounters) {
		t.Errorf("%d counters are %d fields, of %d: %v", allCounters, len(found), fields, found)
	}
}

func TestStatsAdd(t *testing.T) {
	var a, b, want Stats
	va, vb, vw := reflect.ValueOf(&a).Elem(), reflect.ValueOf(&b).Elem(), reflect.ValueOf(&want).Elem()
	for i := range va.NumField() {
		set := func(v reflect.Value, n int) { v.Field(i).Set(reflect.ValueOf(n).Convert(v.Field(i).Type())) }
		set(va, i+1)
		set(vb, 100*(i+1))
		set(vw, 101*(i+1))
	}
	if got := a.Add(b); got != want {
		t.Errorf("%+v\nand %+v\nis %+v", a, b, got)
	}
	if got := a.Add(Stats{}); got != a {
		t.Errorf("with nothing added: %+v, want %+v", got, a)
	}
}

func TestStatsRates(t *testing.T) {
	s := Stats{
		MemoryHits: 4, StoreHits: 3, StaleHits: 2, NegativeHits: 1,
		Shared: 4, Misses: 6,
		Loaded: 5, Absent: 1, LoadErrors: 2, LoadTime: 16 * time.Millisecond,
	}
	for _, test := range []struct {
		name      string
		got, want any
	}{
		{"Hits", s.Hits(), uint64(10)},
		{"Requests", s.Requests(), uint64(20)},
		{"Loads", s.Loads(), uint64(8)},
		{"HitRate", s.HitRate(), 0.5},
		{"MissRate", s.MissRate(), 0.3},
		{"StaleRate", s.StaleRate(), 0.1},
		{"LoadErrorRate", s.LoadErrorRate(), 0.25},
		{"MeanLoadTime", s.MeanLoadTime(), 2 * time.Millisecond},
		{"HitRate of nothing", Stats{}.HitRate(), 0.0},
		{"MissRate of nothing", Stats{}.MissRate(), 0.0},
		{"StaleRate of nothing", Stats{}.StaleRate(), 0.0},
		{"LoadErrorRate of nothing", Stats{}.LoadErrorRate(), 0.0},
		{"MeanLoadTime of nothing", Stats{}.MeanLoadTime(), time.Duration(0)},
	} {
		if test.got != test.want {
			t.Errorf("%s is %v, want %v", test.name, test.got, test.want)
		}
	}
}

func TestCountersConcurrent(t *testing.T) {
	const goroutines, rounds = 16, 2000
	c := newCounters()
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range rounds {
				for what := range allCounters {
					c.add(what, uint64(what)+1)
				}
			}
		})
	}
	wg.Wait()
	for what, n := range c.totals() {
		if want := uint64(goroutines * rounds * (what + 1)); n != want {
			t.Errorf("counter %d is %d, want %d", what, n, want)
		}
	}
}

func TestCountersPause(t *testing.T) {
	c := newCounters()
	c.add(hitMemory, 1)
	c.add(storeErrors, 1)
	c.pause()
	for what := range allCounters {
		c.add(what, 7)
	}
	want := Stats{MemoryHits: 1, StoreErrors: 1}
	if got := c.snapshot(); got != want {
		t.Errorf("while paused: %+v, want %+v", got, want)
	}
	c.resume()
	c.add(hitMemory, 1)
	want.MemoryHits++
	if got := c.snapshot(); got != want {
		t.Errorf("after resume: %+v, want %+v", got, want)
	}
	c.pause()
	c.reset()
	if got := c.snapshot(); got != (Stats{}) {
		t.Errorf("after a reset while paused: %+v", got)
	}
}

// monotone fails if a count went back.
func monotone(t *testing.T, before, after Stats) {
	t.Helper()
	old := make(map[string]uint64)
	eachField(before, func(name string, n uint64) { old[name] = n })
	eachField(after, func(name string, n uint64) {
		if n < old[name] {
			t.Errorf("%s went from %d to %d", name, old[name], n)
		}
	})
}

// underLoad runs f while others count each of the counters, and returns what
// they have counted.
func underLoad(c *counters, f func()) (counted uint64) {
	var stop atomic.Bool
	var sum atomic.Uint64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			n := uint64(0)
			for !stop.Load() {
				for what := range allCounters {
					c.add(what, 1)
				}
				n++
				runtime.Gosched()
			}
			sum.Add(n)
		})
	}
	for c.snapshot() == (Stats{}) {
		runtime.Gosched()
	}
	f()
	stop.Store(true)
	wg.Wait()
	return sum.Load()
}

func TestSnapshotUnderLoad(t *testing.T) {
	c := newCounters()
	underLoad(c, func() {
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				var last Stats
				for range 1000 {
					s := c.snapshot()
					monotone(t, last, s)
					if s.Voided > s.Loads() {
						t.Errorf("%d of %d loads are voided", s.Voided, s.Loads())
					}
					last = s
				}
			})
		}
		wg.Wait()
	})
}

// What is counted is on one side of each reset.
func TestResetUnderLoad(t *testing.T) {
	c := newCounters()
	var resets [allCounters]uint64 // what each reset has dropped, in sum
	counted := underLoad(c, func() {
		for range 1000 {
			before := c.base
			c.reset()
			for i := range resets {
				if c.base[i] < before[i] {
					t.Errorf("counter %d went from %d to %d in a reset", i, before[i], c.base[i])
				}
				resets[i] += c.base[i] - before[i]
			}
			if s := c.snapshot(); s.MemoryHits > 1<<40 || s.LoadTime < 0 {
				t.Errorf("after a reset: %+v", s)
			}
		}
	})
	last := c.snapshot()
	if got := resets[hitMemory] + last.MemoryHits; got != counted {
		t.Errorf("%d memory hits before and after resets, want %d", got, counted)
	}
	if got := resets[storeErrors] + last.StoreErrors; got != counted {
		t.Errorf("%d store errors before and after resets, want %d", got, counted)
	}
}

// A snapshot that is taken during a reset is from before it, or after it.
func TestSnapshotDuringReset(t *testing.T) {
	c := newCounters()
	counted := underLoad(c, func() {
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 3000 {
				c.reset()
			}
		})
		wg.Go(func() {
			for range 3000 {
				eachField(c.snapshot(), func(name string, n uint64) {
					if n > 1<<40 {
						t.Errorf("%s is %d", name, int64(n))
					}
				})
			}
		})
		wg.Wait()
	})
	if n := c.totals()[hitMemory]; n != counted {
		t.Errorf("%d in all, want %d", n, counted)
	}
}

// Reset, then Voided of a load that ended before: still no contradiction.
func TestVoidedAfterReset(t *testing.T) {
	c := newCounters()
	c.add(loadReturned, 1)
	c.reset()
	c.add(loadVoided, 1)
	if s := c.snapshot(); s != (Stats{}) {
		t.Errorf("a load that ended before the reset is counted: %+v", s)
	}
}

func TestCountersSize(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	if size := unsafe.Sizeof(stripe{}); size != 64 {
		t.Errorf("a stripe has %d bytes, not a cache line", size)
	}
	for procs, want := range map[int]int{1: 16, 2: 32, 3: 64, 4: 64, 128: 64} {
		runtime.GOMAXPROCS(procs)
		c := newCounters()
		if got := len(c.stripes); got != want {
			t.Errorf("%d stripes for %d processors, want %d", got, procs, want)
		}
		if place := ^uint64(0) >> c.shift; place != uint64(want-1) {
			t.Errorf("for %d processors the last place is %d", procs, place)
		}
		if address := uintptr(unsafe.Pointer(&c.stripes[0])); address%64 != 0 {
			t.Errorf("the stripes begin at %#x, within a cache line", address)
		}
	}
}

// Goroutines that live at the same time have stripes of their own, mostly.
func TestStripes(t *testing.T) {
	c := newCounters()
	c.stripes, c.shift = make([]stripe, 64), 64-6
	const goroutines = 64
	var wg sync.WaitGroup
	all := make(chan struct{})
	for range goroutines {
		wg.Go(func() {
			<-all
			c.add(hitMemory, 1)
		})
	}
	close(all)
	wg.Wait()
	used, most := 0, uint64(0)
	for i := range c.stripes {
		n := c.stripes[i][hitMemory].Load()
		if n > 0 {
			used++
		}
		most = max(most, n)
	}
	// At random 41 would be used.
	if used < goroutines/4 {
		t.Errorf("%d goroutines use %d of 64 stripes, one of them %d", goroutines, used, most)
	}
}

func TestCountAllocations(t *testing.T) {
	c := newCounters()
	if n := testing.AllocsPerRun(1000, func() {
		c.add(hitMemory, 1)
		c.add(storeErrors, 1)
	}); n != 0 {
		t.Errorf("adding makes %v allocations", n)
	}
}

// BenchmarkCount compares a counter with a plain atomic one, and with stripes
// that are chosen at random.
func BenchmarkCount(b *testing.B) {
	c := newCounters()
	var plain atomic.Uint64
	for _, bench := range []struct {
		name string
		add  func()
	}{
		{"atomic", func() { plain.Add(1) }},
		{"random stripe", func() { c.stripes[rand.Uint32()>>(c.shift-32)][hitMemory].Add(1) }},
		{"hit", func() { c.add(hitMemory, 1) }},
		{"load", func() { c.add(loadReturned, 1) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bench.add()
			}
		})
		for _, goroutines := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s parallel x%d", bench.name, goroutines), func(b *testing.B) {
				b.ReportAllocs()
				b.SetParallelism(goroutines)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						bench.add()
					}
				})
			})
		}
	}
}

func BenchmarkSnapshot(b *testing.B) {
	c := newCounters()
	b.ReportAllocs()
	for b.Loop() {
		c.snapshot()
	}
}
