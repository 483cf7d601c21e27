package cache

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A full is a cache of so many entries with a tinyLFU, and nothing else.
type full struct {
	*tinyLFU[int, int]
	nodes    map[int]*node[int, int]
	capacity int
}

func newFull(capacity int) *full {
	return &full{newTinyLFU[int, int]().(*tinyLFU[int, int]), map[int]*node[int, int]{}, capacity}
}

// get reads key, or inserts it, and returns whether it was there.
func (f *full) get(key int) bool {
	if n := f.nodes[key]; n != nil {
		n.use()
		return true
	}
	if len(f.nodes) == f.capacity {
		n := f.victim()
		f.remove(n)
		delete(f.nodes, n.key)
	}
	n := &node[int, int]{key: key, hash: uint32(key) * 0x85ebca6b, due: notDue}
	f.nodes[key] = n
	f.insert(n)
	return false
}

func (f *full) hits(keys ...int) (n int) {
	for _, key := range keys {
		if f.nodes[key] != nil {
			n++
		}
	}
	return n
}

func keysFrom(first, n int) []int {
	keys := make([]int, n)
	for i := range keys {
		keys[i] = first + i
	}
	return keys
}

// check tells what is wrong with the order of these keys.
func (t *tinyLFU[K, V]) check(want map[int]*node[int, V], all []int) error {
	if t.len() != len(want) {
		return fmt.Errorf("%d nodes, not %d", t.len(), len(want))
	}
	for i, segment := range t.segments {
		n := 0
		for at := segment.root.next; at != &segment.root; at = at.next {
			if s := standingOf(at); int(s.segment) != i || s.count == 0 {
				return fmt.Errorf("%+v in segment %d", s, i)
			}
			n++
		}
		if n != t.lengths[i] {
			return fmt.Errorf("%d nodes in segment %d, not %d", n, i, t.lengths[i])
		}
	}
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) != len(all) || len(all) != len(want) {
		return fmt.Errorf("all are %v, of %d", all, len(want))
	}
	return nil
}

func TestTinyLFUKeepsAccount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, h := newTinyLFU[int, int](), newHistory(TinyLFU)
		relive(t, o, h, func(t *rapid.T) {
			if err := o.(*tinyLFU[int, int]).check(h.nodes, keysOf(o.all())); err != nil {
				t.Fatal(err)
			}
			if n := o.victim(); n != nil && keysOf(o.all())[0] != n.key {
				t.Fatal("the victim is not the first of all")
			}
		})
		if n := len(drain(o)); n != len(h.written) {
			t.Fatalf("%d victims of %d", n, len(h.written))
		}
	})
}

func TestTinyLFUOfFewEntries(t *testing.T) {
	for capacity := 1; capacity <= 3; capacity++ {
		f, rng := newFull(capacity), rand.New(rand.NewPCG(1, 2))
		for range 10_000 {
			key := rng.IntN(8)
			f.get(key)
			if f.nodes[key] == nil {
				t.Fatal("an entry was evicted for itself")
			}
			if err := f.check(f.nodes, keysOf(f.all())); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestTinyLFURemovesAnywhere(t *testing.T) {
	f, rng := newFull(300), rand.New(rand.NewPCG(1, 2))
	f.resize(0.3)
	for key := range 3000 {
		f.get(key)
		f.get(rng.IntN(key + 1))
	}
	if f.lengths[window] == 0 || f.lengths[mainSpace] == 0 {
		t.Fatalf("the segments have %v nodes", f.lengths)
	}
	keys := slices.Sorted(slices.Values(keysOf(f.all())))
	rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for i, key := range keys {
		if i%2 == 0 {
			f.victim()
		}
		f.remove(f.nodes[key])
		delete(f.nodes, key)
		if err := f.check(f.nodes, keysOf(f.all())); err != nil {
			t.Fatal(err)
		}
	}
	if f.victim() != nil {
		t.Error("there is a victim of nothing")
	}
}

func TestTinyLFUTakesBackWhatWasRemoved(t *testing.T) {
	f := newFull(100)
	for key := range 200 {
		f.get(key)
	}
	for n := range f.all() {
		segment := standingOf(n).segment
		f.remove(n)
		f.insert(n)
		if standingOf(n).segment != segment || f.victim() == n {
			t.Fatal("a node that came back is elsewhere, or the victim")
		}
		break
	}
}

func TestTinyLFUOutlivesScan(t *testing.T) {
	const capacity = 1000
	f, hot := newFull(capacity), keysFrom(0, capacity/2)
	for range 8 {
		for _, key := range hot {
			f.get(key)
		}
	}
	for key := range 10 * capacity {
		f.get(1_000_000 + key)
	}
	if n := f.hits(hot...); n < len(hot)*95/100 {
		t.Errorf("of %d entries that were used often %d outlived a scan", len(hot), n)
	}
}

func TestTinyLFUForgetsWhatHasGoneCold(t *testing.T) {
	const capacity = 1000
	f := newFull(capacity)
	for range 50 {
		for _, key := range keysFrom(0, capacity) {
			f.get(key)
		}
	}
	hot := keysFrom(1_000_000, capacity/2)
	for range 100 {
		for _, key := range hot {
			f.get(key)
		}
	}
	if n := f.hits(hot...); n < len(hot)*95/100 {
		t.Errorf("of %d entries that are used now %d are there", len(hot), n)
	}
}

// A loop over more than there is room for leaves LRU with nothing.
func TestTinyLFUKeepsPartOfLoop(t *testing.T) {
	const capacity = 1000
	f, hits := newFull(capacity), 0
	for range 20 {
		for key := range 2 * capacity {
			if f.get(key) {
				hits++
			}
		}
	}
	if ratio := float64(hits) / (20 * 2 * capacity); ratio < 0.4 {
		t.Errorf("the hit ratio is %.2f, of at most 0.5", ratio)
	}
}

// Keys that are used soon after they came, and never again, need a large window;
// popular ones a small one.
func TestTinyLFUFindsTheWindow(t *testing.T) {
	const capacity = 1000
	f, rng := newFull(capacity), rand.New(rand.NewPCG(1, 2))
	hits := 0
	for i := range 200 * capacity {
		if f.get(i/4 - int(rng.ExpFloat64()*capacity/20)) {
			hits++
		}
	}
	if ratio := float64(hits) / (200 * capacity); ratio < 0.7 {
		t.Errorf("the hit ratio is %.2f", ratio)
	}
	if f.share < 0.03 {
		t.Errorf("the window has a share of %.2f", f.share)
	}
	popular := rand.NewZipf(rng, 1.01, 1, 100*capacity)
	for range 1000 * capacity {
		f.get(1_000_000 + int(popular.Uint64()))
	}
	if f.share > minWindow {
		t.Errorf("the window still has a share of %.2f", f.share)
	}
}

func TestTinyLFUTakesNothingWhileThereIsRoom(t *testing.T) {
	f := newFull(math.MaxInt)
	for key := range 10_000 {
		f.get(key)
		f.get(key / 2)
	}
	if f.ghosts != nil {
		t.Error("there are ghosts, though nothing has gone")
	}
}

func TestTinyLFUTakesTwoBytesPerEntry(t *testing.T) {
	f := newFull(100)
	for key := range 200 {
		f.get(key)
	}
	f.capacity = 100_000 // which is how a limit in bytes looks when values get smaller
	for key := range 200_000 {
		f.get(1000 + key)
		if size := 8 * len(f.ghosts); size > 2*f.len() {
			t.Fatalf("%d bytes for %d entries", size, f.len())
		}
	}
	if size := 8 * len(f.ghosts); size < 3*f.len()/2 {
		t.Errorf("only %d bytes for %d entries", size, f.len())
	}
}

// Even if everything was read since the last time.
func TestTinyLFUVictimLooksAtFewNodes(t *testing.T) {
	const capacity = 10_000
	f := newFull(capacity)
	for range 2 {
		for key := range capacity {
			f.get(key)
		}
	}
	f.victim()
	unread := 0
	for _, n := range f.nodes {
		if n.uses.Load() == 0 {
			unread++
		}
	}
	if unread > 2*maxLooks {
		t.Errorf("a victim took looks at %d nodes", unread)
	}
}

func TestTinyLFUAllocatesNothing(t *testing.T) {
	f := newFull(1000)
	for key := range 5000 {
		f.get(key)
	}
	nodes := make([]node[int, int], 2000)
	next := 0
	if n := testing.AllocsPerRun(1000, func() {
		f.remove(f.victim())
		f.insert(&nodes[next])
		next++
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// The part of the order in a Set when there is no room.
func BenchmarkTinyLFUSet(b *testing.B) {
	for _, size := range []int{1e3, 1e5} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			f := newFull(size)
			for key := range 2 * size {
				f.get(key)
			}
			b.ReportAllocs()
			key := uint32(0)
			for b.Loop() {
				n := f.victim()
				f.remove(n)
				key++
				n.hash, n.segment = key*0x85ebca6b, 0
				n.uses.Store(0)
				f.insert(n)
			}
		})
	}
}
