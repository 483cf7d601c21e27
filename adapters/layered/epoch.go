package layered

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/cairncache/cairn/store"
)

// epochs decide which answers of L2 are put into L1, and keep it from holding
// an older value than one that was answered. The keys are spread over stripes
// by their hash.
//
// Each stripe counts its events: a touch, which is anything that may change a
// key, and an answer of L2. Before L2 is asked the count is noted, as a mark;
// the answer is then put into L1 only if nothing has happened since, or nothing
// but the very same answer. So an answer that was overtaken by a change is
// kept out, and of two answers that differ none stays, as nobody knows which
// one is older. L1 is written under the stripe's lock alone.
type epochs struct {
	seed    maphash.Seed
	stripes [4096]stripe
}

type stripe struct {
	mu    sync.Mutex
	count uint64 // of events so far
	run   uint64 // the number of the first of the latest events that are alike
	last  uint64 // what these were: the id of an answer, or touched
}

// touched is the event that is like no other, not even like itself.
const touched = 0

// A mark is what has happened to a stripe before L2 is asked.
type mark struct {
	stripe *stripe
	count  uint64
}

func (e *epochs) init() { e.seed = maphash.MakeSeed() }

func (e *epochs) stripe(key string) *stripe {
	return &e.stripes[maphash.String(e.seed, key)%uint64(len(e.stripes))]
}

func (e *epochs) mark(key string) mark {
	st := e.stripe(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	return mark{st, st.count}
}

// id tells answers apart: by the key and the bytes, or, where the bytes would
// have to be made first, by the Live itself. The same bytes in two of those
// count as different, which only costs a miss.
func (e *epochs) id(key string, a reply) uint64 {
	var h maphash.Hash
	h.SetSeed(e.seed)
	h.WriteString(key)
	switch {
	case a.live == nil: // none
	case a.raw:
		b, _ := a.live.Bytes()
		h.WriteByte(1)
		h.Write(b)
	default:
		maphash.WriteComparable(&h, a.live)
	}
	return h.Sum64() | 1 // not touched
}

// note counts an event. The stripe is locked.
func (st *stripe) note(id uint64) {
	st.count++
	if id == touched || id != st.last {
		st.run = st.count
	}
	st.last = id
}

// holds reports whether nothing has happened since m but the answer id. The
// stripe is locked.
func (m mark) holds(id uint64) bool {
	st := m.stripe
	return st.count == m.count || st.last == id && st.run <= m.count+1
}

// touch drops key from L1, and keeps out what L2 was asked for before. It is
// called before and after each local write, whatever becomes of that, and for
// each change that L2 tells of.
func (s *Store) touch(key string) {
	if s.off.forget.Load() {
		return
	}
	st := s.epochs.stripe(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.note(touched)
	s.drop(key)
}

// settle is told each answer of L2 before the caller gets it. It puts the
// answer into L1 for life, if m still holds, or else sees to it that L1 has
// nothing under key. A life that is not positive is no life.
func (s *Store) settle(m mark, key string, a reply) {
	id := s.epochs.id(key, a)
	m.stripe.mu.Lock()
	defer m.stripe.mu.Unlock()
	holds := m.holds(id) || s.off.epoch.Load()
	m.stripe.note(id)
	life := a.life - time.Since(a.sent)
	if a.life == store.Forever {
		life = store.Forever
	}
	switch {
	case a.live == nil || life <= 0:
		s.drop(key)
	case !holds:
		s.counts.add(refused)
		s.drop(key)
	default:
		s.install(key, a.live, life)
	}
}

// drop removes key from L1. The context of the caller has no part in it: what
// is not dropped would be served. The stripe is locked.
func (s *Store) drop(key string) {
	if err := s.l1.Delete(context.Background(), key); err != nil {
		s.counts.add(nearErrors)
		s.fence.distrust()
	}
}

// install writes L1, and nothing else does. The stripe is locked.
func (s *Store) install(key string, l *store.Live, life time.Duration) {
	if err := store.SetLive(context.Background(), s.l1, key, l, life); err != nil {
		s.counts.add(nearErrors)
		s.drop(key)
	}
}

// flush drops everything from L1, and keeps out what L2 was asked for before.
func (s *Store) flush() error {
	if s.off.flush.Load() {
		return nil
	}
	for i := range s.epochs.stripes {
		s.epochs.stripes[i].touch()
	}
	// What is put into L1 from here on was asked for after the touch.
	err := store.Clear(context.Background(), s.l1)
	if err != nil {
		s.counts.add(nearErrors)
		s.fence.distrust()
	}
	return err
}

func (st *stripe) touch() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.note(touched)
}

// repair clears an L1 from which something could not be dropped, so that it
// can be served again. It tries that once a second.
func (s *Store) repair() {
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.repaired) >= time.Second {
		s.repaired = now
		n := s.fence.distrusted()
		if s.flush() == nil {
			s.fence.trust(n)
		}
	}
}
