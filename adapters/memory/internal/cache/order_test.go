package cache

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

var exactPolicies = []Policy{LRU, MRU, LFU, FIFO, LIFO}

func TestNodeTakes64Bytes(t *testing.T) {
	if size := unsafe.Sizeof(node[string, int]{}); size != 64 {
		t.Errorf("a node takes %d bytes, not 64", size)
	}
}

// tell does what a reader does for an order.
func tell(o order[int, int], n *node[int, int]) {
	switch o.reads() {
	case ordered:
		o.read(n)
	case counted:
		n.use()
	}
}

// history is what has happened to the nodes of an order, and the keys in the
// order of their last writes and uses.
type history struct {
	policy        Policy
	nodes         map[int]*node[int, int]
	reads         map[int]int // since the last write
	written, used []int
}

func newHistory(p Policy) *history {
	return &history{policy: p, nodes: map[int]*node[int, int]{}, reads: map[int]int{}}
}

func without(keys []int, key int) []int {
	return slices.DeleteFunc(keys, func(k int) bool { return k == key })
}

func (h *history) write(key int) {
	h.written = append(without(h.written, key), key)
	h.used = append(without(h.used, key), key)
	h.reads[key] = 0
}

func (h *history) read(key int) {
	h.used = append(without(h.used, key), key)
	h.reads[key]++
}

func (h *history) remove(key int) {
	h.written, h.used = without(h.written, key), without(h.used, key)
	delete(h.nodes, key)
	delete(h.reads, key)
}

// victims are all keys in the order of the policy's definition.
func (h *history) victims() []int {
	keys := slices.Clone(h.written)
	switch h.policy {
	case LRU, MRU:
		keys = slices.Clone(h.used)
	case LFU:
		slices.SortStableFunc(keys, func(a, b int) int { return h.reads[a] - h.reads[b] })
	}
	if h.policy == MRU || h.policy == LIFO {
		slices.Reverse(keys)
	}
	return keys
}

func keysOf[V any](nodes iter.Seq[*node[int, V]]) (keys []int) {
	for n := range nodes {
		keys = append(keys, n.key)
	}
	return keys
}

// drain removes one victim after the other.
func drain(o order[int, int]) (keys []int) {
	for n := o.victim(); n != nil; n = o.victim() {
		keys = append(keys, n.key)
		o.remove(n)
	}
	return keys
}

// relive lets an order and its history go through the same random events.
func relive(t *rapid.T, o order[int, int], h *history, check func(*rapid.T)) {
	present := func(t *rapid.T) *node[int, int] {
		if len(h.written) == 0 {
			t.Skip("nothing there")
		}
		return h.nodes[rapid.SampledFrom(h.written).Draw(t, "present")]
	}
	t.Repeat(map[string]func(*rapid.T){
		"put": func(t *rapid.T) {
			key := rapid.IntRange(0, 7).Draw(t, "key")
			if n := h.nodes[key]; n != nil {
				o.write(n)
			} else {
				h.nodes[key] = &node[int, int]{key: key, due: notDue}
				o.insert(h.nodes[key])
			}
			h.write(key)
		},
		"read": func(t *rapid.T) {
			n := present(t)
			for range rapid.IntRange(1, 20).Draw(t, "times") {
				tell(o, n)
				h.read(n.key)
			}
		},
		"remove": func(t *rapid.T) {
			n := present(t)
			o.remove(n)
			h.remove(n.key)
		},
		"evict": func(t *rapid.T) {
			present(t)
			n := o.victim()
			if n == nil || n != o.victim() || h.nodes[n.key] != n {
				t.Fatal("no victim, or not the same again, or not one of those that are there")
			}
			o.remove(n)
			h.remove(n.key)
		},
		"": check,
	})
}

// With and without looking for victims in between, which may rearrange nodes.
func TestExactOrders(t *testing.T) {
	for _, p := range exactPolicies {
		for _, peeking := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v/%v", p, peeking), func(t *testing.T) {
				rapid.Check(t, func(t *rapid.T) {
					o, h := newOrder[int, int](p), newHistory(p)
					relive(t, o, h, func(t *rapid.T) {
						want := h.victims()
						if got := keysOf(o.all()); !slices.Equal(got, want) {
							t.Fatalf("all is %v, not %v", got, want)
						}
						if !peeking {
							return
						}
						if n := o.victim(); (n == nil) != (len(want) == 0) || n != nil && n.key != want[0] {
							t.Fatalf("the victim is %v, not the first of %v", n, want)
						}
					})
					if got, want := drain(o), h.victims(); !slices.Equal(got, want) {
						t.Fatalf("the victims are %v, not %v", got, want)
					}
				})
			})
		}
	}
}

// What is random is the order alone: nothing is lost, and nothing is there twice.
func TestRandomOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, h := newOrder[int, int](Random), newHistory(Random)
		relive(t, o, h, func(t *rapid.T) {
			keys := keysOf(o.all())
			if n := o.victim(); n != nil && keysOf(o.all())[0] != n.key {
				t.Fatal("the victim is not the first of all")
			}
			slices.Sort(keys)
			want := slices.Sorted(slices.Values(h.written))
			if !slices.Equal(keys, want) {
				t.Fatalf("all are %v, not %v", keys, want)
			}
		})
		keys, want := drain(o), slices.Clone(h.written)
		slices.Sort(keys)
		slices.Sort(want)
		if !slices.Equal(keys, want) {
			t.Fatalf("the victims are %v, not %v", keys, want)
		}
	})
}

// A loop that calls yield after it has returned false panics.
func TestAllEndsWhenTold(t *testing.T) {
	for p := range policies {
		o := newOrder[int, int](p)
		for key := range 4 {
			o.insert(&node[int, int]{key: key, due: notDue})
		}
		o.victim()
		for want := range 4 {
			seen := 0
			for range o.all() {
				if seen == want {
					break
				}
				seen++
			}
		}
	}
}

func BenchmarkOrder(b *testing.B) {
	for _, p := range []Policy{LRU, FIFO, LFU, Random, TinyLFU} {
		for _, size := range []int{1e3, 1e6} {
			for _, reads := range []string{"uniform", "zipf"} {
				b.Run(fmt.Sprintf("%v/%d/%s", p, size, reads), func(b *testing.B) { benchmarkOrder(b, p, size, reads) })
			}
		}
	}
}

func benchmarkOrder(b *testing.B, p Policy, size int, reads string) {
	o := newOrder[int, int](p)
	nodes := make([]*node[int, int], size)
	for i := range nodes {
		nodes[i] = &node[int, int]{key: i, hash: rand.Uint32(), due: notDue}
		o.insert(nodes[i])
	}
	next := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.01, 1, uint64(size-1)).Uint64
	if reads == "uniform" {
		next = func() uint64 { return rand.Uint64N(uint64(size)) }
	}
	picks := make([]uint32, 1<<20)
	for i := range picks {
		picks[i] = uint32(next())
	}
	pick := func(i int) *node[int, int] { return nodes[picks[i&(len(picks)-1)]] }
	b.Run("read", func(b *testing.B) {
		for i := range b.N {
			tell(o, pick(i))
		}
	})
	b.Run("write", func(b *testing.B) {
		for i := range b.N {
			o.write(pick(i))
		}
	})
	// A node is taken out and put in again, after four others were read.
	b.Run("evict", func(b *testing.B) {
		for i := range b.N {
			for j := range 4 {
				tell(o, pick(4*i+j))
			}
			n := o.victim()
			o.remove(n)
			o.insert(n)
		}
	})
}
