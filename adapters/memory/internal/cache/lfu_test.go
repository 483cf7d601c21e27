package cache

import (
	"math"
	"slices"
	"testing"
)

// A count that begins again at 0 would make the most used node the next victim.
func TestLFUCountsNoFurtherThanItCan(t *testing.T) {
	o := newLFU[int, int]()
	nodes := [3]*node[int, int]{{key: 0}, {key: 1}, {key: 2}}
	for _, n := range nodes {
		o.insert(n)
		n.uses.Store(math.MaxUint32 - 1)
	}
	for range 3 {
		o.read(nodes[0])
	}
	o.read(nodes[1])
	if got := keysOf(o.all()); !slices.Equal(got, []int{2, 0, 1}) {
		t.Errorf("all is %v", got)
	}
	if got := drain(o); !slices.Equal(got, []int{2, 0, 1}) {
		t.Errorf("the victims are %v", got)
	}
}

// However often all nodes were read, the next victim is found in a few steps
// for each of them, and not in one for each read.
func TestLFUSkipsCountsThatNoNodeHas(t *testing.T) {
	o := newLFU[int, int]()
	for key := range 100 {
		n := &node[int, int]{key: key}
		o.insert(n)
		n.uses.Store(math.MaxUint32 - uint32(key))
	}
	for want := range 100 { // hours, if every count took a step
		if n := o.victim(); n.key != 99-want {
			t.Fatalf("victim %d is %d", want, n.key)
		} else {
			o.remove(n)
		}
	}
}

// More nodes than a sort that is not stable leaves in order by chance.
func TestLFUOfManyNodes(t *testing.T) {
	o, h := newLFU[int, int](), newHistory(LFU)
	for key := range 300 {
		n := &node[int, int]{key: key}
		o.insert(n)
		h.write(key)
		for range key * 7 % 5 {
			o.read(n)
			h.read(key)
		}
	}
	if got := keysOf(o.all()); !slices.Equal(got, h.victims()) {
		t.Errorf("all is %v", got)
	}
	if got, want := drain(o), h.victims(); !slices.Equal(got, want) {
		t.Errorf("the victims are %v", got)
	}
}
