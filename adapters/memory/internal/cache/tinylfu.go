package cache

import "iter"

// A tinyLFU is the order of W-TinyLFU, with ghosts for its sketch. New entries
// wait in a small window. At its end they come into the main space if they were
// used more often than the entry that has to go for them, and otherwise go
// themselves. Uses in an earlier life, which ended not long ago, count too.
//
// Readers do not move an entry. In both segments one that was read since it was
// last looked at gets another round.
//
// The window has the share that pays best. Had it been larger, it would still
// have had the keys that come back soon after they left it; but the main space
// would have lost entries from its end, of which some were read.
type tinyLFU[K comparable, V any] struct {
	segments [2]*ring[K, V] // what is next is at the front
	lengths  [2]int
	ghosts   ghosts      // nil until there is no room for the first time
	next     *node[K, V] // what victim has chosen

	share   float64 // of the window, if it is more than minWindow
	rounded int64   // the larger of them, in parts of roundedTo
	uses    int     // since the era began
	era     uint8
	wins    int // over candidates, since the main space was last turned for them
}

const (
	window uint8 = iota
	mainSpace
)

const (
	minWindow = 0.01
	roundedTo = 1 << 16
	minShare  = -0.1 // so low that the window does not grow by chance
	maxShare  = 0.9
	ghostStep = 0.4 // entries by which the window grows for one that came back
	readStep  = 0.2 // entries by which it shrinks for one that was read in the main space

	eraUses   = 10 // of each entry, on average, until the counts are halved
	graceEras = 4  // for so long a single use counts
	maxWins   = 64 // then the next in the main space has to compete
	maxLooks  = 64 // at entries that were read, in search of one that was not
)

func newTinyLFU[K comparable, V any]() order[K, V] {
	t := &tinyLFU[K, V]{segments: [2]*ring[K, V]{newRing[K, V](), newRing[K, V]()}}
	t.resize(0)
	return t
}

func (t *tinyLFU[K, V]) reads() readMode  { return counted }
func (t *tinyLFU[K, V]) read(*node[K, V]) {}
func (t *tinyLFU[K, V]) len() int         { return t.lengths[window] + t.lengths[mainSpace] }

// insert puts n into the window. A node that was removed comes back to the
// segment where it was, used once more.
func (t *tinyLFU[K, V]) insert(n *node[K, V]) {
	t.next = nil
	s := standingOf(n)
	if s.count > 0 {
		n.use()
	} else {
		s = standing{window, t.welcome(n.hash), t.era}
		if t.ghosts == nil && t.lengths[window] >= t.room() {
			s.segment = mainSpace // Nobody competes yet, and the window's oldest is far from any cache.
		}
	}
	t.push(n, s)
	t.fit()
	if t.lengths[window] > t.room() {
		t.overflow()
	}
}

// welcome counts the first use of a new entry, and those in its earlier life.
func (t *tinyLFU[K, V]) welcome(hash uint32) uint8 {
	if t.ghosts == nil {
		return 1
	}
	t.count(1)
	segment, count, recent, ok := t.ghosts.take(hash)
	if ok && segment == window && recent {
		t.resize(ghostStep / float64(t.len()+1))
	}
	return min(count+1, maxCount)
}

func (t *tinyLFU[K, V]) write(n *node[K, V]) {
	n.use()
	if t.next == n {
		t.next = nil
	}
}

func (t *tinyLFU[K, V]) remove(n *node[K, V]) {
	if t.ghosts != nil {
		segment := standingOf(n).segment
		if t.next != n {
			segment = mainSpace // A larger window would not have kept it.
		}
		t.ghosts.add(n.hash, segment, t.frequency(n))
	}
	if t.next == n {
		t.next = nil
	}
	t.unlink(n)
	t.fit()
}

// victim lets the first of the window compete with the first of the main space.
func (t *tinyLFU[K, V]) victim() *node[K, V] {
	if t.next != nil || t.len() == 0 {
		return t.next
	}
	if t.ghosts == nil {
		t.ghosts = newGhosts(t.len())
	}
	switch candidate, loser := t.first(window), t.first(mainSpace); {
	case loser == nil:
		t.next = candidate
	case candidate == nil || t.lengths[window] < t.room():
		t.next = loser
	case t.frequency(candidate) > t.frequency(loser):
		t.move(candidate, mainSpace)
		t.next = loser
	default:
		if t.wins++; t.wins == maxWins {
			t.wins = 0
			t.move(loser, mainSpace)
		}
		t.next = candidate
	}
	return t.next
}

// first is the first node of a segment after those that were read have got
// another round. It is nil if the segment is empty.
func (t *tinyLFU[K, V]) first(segment uint8) *node[K, V] {
	if t.lengths[segment] == 0 {
		return nil
	}
	front := &t.segments[segment].root
	for range maxLooks {
		n := front.next
		uses := n.uses.Load()
		if uses == 0 {
			break
		}
		if segment == mainSpace {
			t.resize(-readStep / float64(t.lengths[mainSpace]))
		}
		s := standing{segment, t.frequency(n), t.era}
		n.uses.Store(0)
		t.count(int(uses))
		t.unlink(n)
		t.push(n, s)
	}
	return front.next
}

// frequency is how often n was used of late.
func (t *tinyLFU[K, V]) frequency(n *node[K, V]) uint8 {
	s := standingOf(n)
	age := (t.era - s.era) & eraMask
	count := s.count >> age
	if age < graceEras {
		count = max(count, 1)
	}
	return uint8(min(uint32(count)+n.uses.Load(), maxCount))
}

// count counts uses, and begins a new era if it is time.
func (t *tinyLFU[K, V]) count(uses int) {
	if t.uses += uses; t.uses > eraUses*t.len() {
		t.uses = 0
		t.era++
		t.ghosts.age()
	}
}

// room is how many nodes the window is to have.
func (t *tinyLFU[K, V]) room() int {
	return max(1, int(int64(t.len())*t.rounded/roundedTo))
}

func (t *tinyLFU[K, V]) resize(by float64) {
	t.share = min(max(t.share+by, minShare), maxShare)
	t.rounded = int64(max(t.share, minWindow) * roundedTo)
}

// fit keeps the ghosts in proportion to the nodes.
func (t *tinyLFU[K, V]) fit() {
	if t.ghosts != nil {
		t.ghosts = t.ghosts.fit(t.len())
	}
}

// overflow moves the first of the window to the main space, which it has not
// earned: it is the next to go from there, once there is no room.
func (t *tinyLFU[K, V]) overflow() {
	n := t.segments[window].root.next
	t.move(n, mainSpace)
	if t.ghosts != nil {
		root := &t.segments[mainSpace].root
		n.unlink()
		n.prev, n.next = root, root.next
		n.next.prev, root.next = n, n
	}
}

func (t *tinyLFU[K, V]) move(n *node[K, V], segment uint8) {
	s := standingOf(n)
	t.unlink(n)
	s.segment = segment
	t.push(n, s)
}

func (t *tinyLFU[K, V]) push(n *node[K, V], s standing) {
	s.keep(&n.segment)
	t.segments[s.segment].pushBack(n)
	t.lengths[s.segment]++
}

func (t *tinyLFU[K, V]) unlink(n *node[K, V]) {
	t.lengths[standingOf(n).segment]--
	n.unlink()
}

// all yields what victim has chosen, then the window, then the main space, and
// after both of them what was read since it was last looked at.
func (t *tinyLFU[K, V]) all() iter.Seq[*node[K, V]] {
	return func(yield func(*node[K, V]) bool) {
		if t.next != nil && !yield(t.next) {
			return
		}
		var read []*node[K, V]
		for _, segment := range t.segments {
			for n := segment.root.next; n != &segment.root; n = n.next {
				if n == t.next {
					continue
				}
				if n.uses.Load() > 0 { // Asked once: readers go on.
					read = append(read, n)
				} else if !yield(n) {
					return
				}
			}
		}
		for _, n := range read {
			if !yield(n) {
				return
			}
		}
	}
}

// A standing is what node.segment keeps in its eight bits. That of a node that
// never was in the order is zero, and counts nothing.
type standing struct {
	segment uint8
	count   uint8 // of uses, but for node.uses
	era     uint8 // when it was counted, modulo eraMask+1
}

const eraMask = 7

func standingOf[K comparable, V any](n *node[K, V]) standing {
	return standing{n.segment & 1, n.segment >> 1 & maxCount, n.segment >> 5}
}

func (s standing) keep(in *uint8) {
	*in = s.segment | s.count<<1 | s.era&eraMask<<5
}
