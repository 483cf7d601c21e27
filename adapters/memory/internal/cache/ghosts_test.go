package cache

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// found is how many of the hashes are among the ghosts. They no longer are
// thereafter.
func found(g ghosts, hashes []uint32) (n int) {
	for _, hash := range hashes {
		if _, _, _, ok := g.take(hash); ok {
			n++
		}
	}
	return n
}

func randomHashes(n int) []uint32 {
	rng := rand.New(rand.NewPCG(1, 2))
	hashes := make([]uint32, n)
	for i := range hashes {
		hashes[i] = rng.Uint32()
	}
	return hashes
}

func haunted(entries int, hashes []uint32) ghosts {
	g := newGhosts(entries)
	for _, hash := range hashes {
		g.add(hash, window, 1)
	}
	return g
}

// A word is a queue of four: the model is a slice. Hashes are few and far apart,
// so that none has the bits of another.
func TestGhostsAreTheLatestOfTheirWord(t *testing.T) {
	type ghost struct {
		hash           uint32
		segment, count uint8
	}
	rapid.Check(t, func(t *rapid.T) {
		g, model := newGhosts(4), []ghost{}
		hashes := rapid.IntRange(1, 12)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				n := ghost{uint32(hashes.Draw(t, "hash")), rapid.Uint8Range(0, 1).Draw(t, "segment"), rapid.Uint8Range(0, maxCount).Draw(t, "count")}
				g.add(n.hash, n.segment, n.count)
				model = append([]ghost{n}, model...)
				model = model[:min(len(model), bucketGhosts)]
			},
			"take": func(t *rapid.T) {
				hash := uint32(hashes.Draw(t, "hash"))
				segment, count, recent, ok := g.take(hash)
				for i, want := range model {
					if want.hash != hash {
						continue
					}
					if !ok || segment != want.segment || count != want.count || recent != (i < bucketGhosts/2) {
						t.Fatalf("took %d, %d, %v, %v, not the one at %d of %v", segment, count, recent, ok, i, model)
					}
					model = append(model[:i:i], model[i+1:]...)
					return
				}
				if ok {
					t.Fatalf("%d is not one of %v", hash, model)
				}
			},
			"age": func(*rapid.T) {
				g.age()
				for i := range model {
					model[i].count /= 2
				}
			},
		})
	})
}

func TestGhostsAreAboutAsManyAsEntries(t *testing.T) {
	const entries = 10_000
	hashes := randomHashes(3 * entries)
	g := haunted(entries, hashes)
	if size := len(g) * int(unsafe.Sizeof(g[0])); size > 2*entries {
		t.Errorf("%d bytes are more than two for each entry", size)
	}
	if n := found(g, hashes[2*entries:]); n < entries*3/4 {
		t.Errorf("of the latest %d only %d are there", entries, n)
	}
	if n := found(haunted(entries, hashes), hashes[:entries]); n > entries/5 {
		t.Errorf("of the oldest %d there are still %d", entries, n)
	}
}

func TestStrangersAreSeldomTakenForGhosts(t *testing.T) {
	const entries = 10_000
	hashes := randomHashes(3 * entries)
	if n := found(haunted(entries, hashes[:2*entries]), hashes[2*entries:]); n > entries/200 {
		t.Errorf("of %d strangers %d are taken for ghosts", entries, n)
	}
}

// All hashes of a shard may have the same bits at either end.
func TestGhostsOfAlikeHashes(t *testing.T) {
	const entries = 4096
	for name, shift := range map[string]int{"low": 0, "high": 20} {
		hashes := make([]uint32, entries)
		for i := range hashes {
			hashes[i] = uint32(i) << shift
			if shift > 0 {
				hashes[i] = uint32(i)<<shift | 0xabc
			}
		}
		if n := found(haunted(entries, hashes), hashes); n < entries/2 {
			t.Errorf("of %d hashes that differ in their %s bits only %d are there", entries, name, n)
		}
	}
}

func TestGhostsOutliveFit(t *testing.T) {
	const entries = 10_000
	hashes := randomHashes(entries)
	for _, next := range []int{entries * 3 / 2, 2 * entries, 3 * entries / 5} {
		g := haunted(entries, hashes).fit(next)
		if len(g) != ghostWords(next) {
			t.Errorf("%d words for %d entries", len(g), next)
		}
		if n, want := found(g, hashes), min(next, entries)/3; n < want {
			t.Errorf("for %d entries instead of %d there are %d ghosts left, not %d", next, entries, n, want)
		}
	}
	g := haunted(entries, hashes)
	for _, next := range []int{entries * 4 / 5, entries * 6 / 5} {
		if same := g.fit(next); &same[0] != &g[0] {
			t.Errorf("%d entries are no reason to make new ghosts", next)
		}
	}
}

func BenchmarkGhosts(b *testing.B) {
	hashes := randomHashes(1 << 16)
	g := newGhosts(len(hashes))
	for i := range b.N {
		g.add(hashes[i&(len(hashes)-1)], window, 1)
		g.take(hashes[(i+1<<15)&(len(hashes)-1)])
	}
}
