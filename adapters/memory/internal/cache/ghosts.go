package cache

const (
	bucketGhosts = 4  // of a bucket
	ghostBits    = 16 // of a ghost: 11 of its hash, 1 for the segment, 4 for the count
	ghostMask    = 1<<ghostBits - 1
	segmentBit   = 1 << 4
	maxCount     = segmentBit - 1
)

// Ghosts are what is remembered of entries that have left: how often they were
// used, and from which segment they went. There is room for about as many as
// there are entries, in two bytes each. A word holds four of them, the latest
// in its lowest bits; the next one pushes the oldest out.
//
// Of the hash there are but 11 bits beside the place: one stranger in 500 is
// taken for a ghost.
type ghosts []uint64

// ghostWords is how many words are for so many entries.
func ghostWords(entries int) int { return max(1, entries/bucketGhosts) }

func newGhosts(entries int) ghosts { return make(ghosts, ghostWords(entries)) }

// locate returns the word of a hash, and the bits that tell it from others.
// Hashes of one shard have bits in common, and are mixed for that.
func (g ghosts) locate(hash uint32) (*uint64, uint64) {
	x := uint64(hash) * 0x9e3779b97f4a7c15
	x = (x ^ x>>32) * 0xd6e8feb86659fd93
	x ^= x >> 32
	return &g[(x>>32)*uint64(len(g))>>32], x << 5 & ghostMask
}

// add remembers a hash. Count is at most maxCount.
func (g ghosts) add(hash uint32, segment, count uint8) {
	word, ghost := g.locate(hash)
	*word = *word<<ghostBits | ghost | uint64(segment)*segmentBit | uint64(count)
}

// take forgets a hash and returns what was known of it. It is recent if it is
// one of the later half of the ghosts.
func (g ghosts) take(hash uint32) (segment, count uint8, recent, ok bool) {
	word, bits := g.locate(hash)
	for i := range bucketGhosts {
		shift := i * ghostBits
		ghost := *word >> shift & ghostMask
		if ghost == 0 || ghost&^(segmentBit|maxCount) != bits {
			continue
		}
		older := *word >> shift >> ghostBits << shift
		*word = older | *word&(1<<shift-1)
		return uint8(ghost / segmentBit & 1), uint8(ghost & maxCount), i < bucketGhosts/2, true
	}
	return 0, 0, false, false
}

// age halves all counts.
func (g ghosts) age() {
	const halves = 0x0007_0007_0007_0007
	const others = 0xfff0_fff0_fff0_fff0
	for i, word := range g {
		g[i] = word&others | word>>1&halves
	}
}

// fit returns ghosts for so many entries. It is g unless their number has
// changed much: then there is another place for most hashes, near enough to the
// old one for what is there to be found again, though not always.
func (g ghosts) fit(entries int) ghosts {
	want := ghostWords(entries)
	if want <= len(g)+len(g)/4 && want >= len(g)-len(g)/4 {
		return g
	}
	fitted := make(ghosts, want)
	for i := range fitted {
		fitted[i] = g[i*len(g)/want]
	}
	return fitted
}
