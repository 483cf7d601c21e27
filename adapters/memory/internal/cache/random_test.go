package cache

import (
	"math"
	"testing"
)

// The sum of squares has a chi-squared distribution. By chance it is ten standard
// deviations above its mean in fewer than one of a hundred million runs.
func TestRandomIsUniform(t *testing.T) {
	const size, rounds = 16, 32_000
	changes := map[string]func(o order[int, int], n *node[int, int]){
		"write":  func(o order[int, int], n *node[int, int]) { o.write(n) },
		"remove": func(o order[int, int], n *node[int, int]) { o.remove(n); o.insert(n) },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			o := newRandom[int, int]()
			for key := range size {
				o.insert(&node[int, int]{key: key})
			}
			var chosen [size]float64
			for range rounds {
				n := o.victim()
				chosen[n.key]++
				change(o, n)
			}
			const expected = float64(rounds) / size
			var squares float64
			for _, times := range chosen {
				squares += (times - expected) * (times - expected) / expected
			}
			mean, deviation := float64(size-1), math.Sqrt(2*(size-1))
			if squares > mean+10*deviation {
				t.Errorf("chi squared is %.0f, far more than %.0f: %v", squares, mean, chosen)
			}
		})
	}
}

func TestRandomStaysWithItsChoice(t *testing.T) {
	o := newRandom[int, int]()
	for key := range 1000 {
		o.insert(&node[int, int]{key: key})
	}
	n := o.victim()
	for range 100 {
		if again := o.victim(); again != n {
			t.Fatalf("the victim was %d, and is %d", n.key, again.key)
		}
	}
}

func TestRandomGivesMemoryBack(t *testing.T) {
	r := newRandom[int, int]().(*random[int, int])
	for key := range 100_000 {
		r.insert(&node[int, int]{key: key})
	}
	for len(r.nodes) > 0 {
		r.remove(r.victim())
	}
	if n := cap(r.nodes); n > 1024 {
		t.Errorf("there is room for %d nodes, and none is there", n)
	}
}
