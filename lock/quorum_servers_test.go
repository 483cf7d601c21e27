package lock

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cairncache/cairn/internal/faultproxy"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// A server of a quorum that does not answer within a twentieth of the TTL counts
// as down. On a busy machine that happens to those that are up, unless the TTL
// is long.
const (
	quorumSize = 5
	quorumTTL  = 4 * time.Second
)

// quorumSite are the servers of a quorum, each behind a proxy.
type quorumSite struct {
	sites  [quorumSize]*site
	ways   network
	stores []store.Store
}

func newQuorumSite(t *testing.T) *quorumSite {
	t.Helper()
	q := new(quorumSite)
	for i := range q.sites {
		server := testservers.StartRedis(t)
		s := newSite(t, "redis", server.Addr)
		s.server = server
		behind, ways := s.proxied(t)
		q.sites[i], q.ways, q.stores = s, append(q.ways, ways...), append(q.stores, behind)
	}
	return q
}

// locker makes one that has asked all servers already. It does not wait until
// what was taken in those that are down has been undone.
func (q *quorumSite) locker(t *testing.T, ttl time.Duration) *Locker {
	t.Helper()
	k, err := NewQuorum(q.stores, &Options{TTL: ttl})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		k.Close(ctx)
	})
	return k
}

// lock takes the lock "a". As many servers may be down as can be, and then one
// more that is slow for a moment is one too many.
func (q *quorumSite) lock(t *testing.T, k *Locker) (l *Lease) {
	t.Helper()
	eventually(t, "the lock", patience, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		var err error
		if l, err = k.Lock(ctx, "a"); err != nil && !errors.Is(err, store.ErrUnavailable) {
			t.Fatal(err)
		}
		return err == nil
	})
	return l
}

// holds is how many of the servers that run hold the lock.
func (q *quorumSite) holds(t *testing.T, down ...int) (n int) {
	t.Helper()
	for i, s := range q.sites {
		isDown := false
		for _, d := range down {
			isDown = isDown || d == i
		}
		if !isDown && s.left(t, "a") > 0 {
			n++
		}
	}
	return n
}

// renewed waits for the next renewal.
func renewed(t *testing.T, k *Locker, l *Lease) {
	t.Helper()
	before := k.Stats().Renewals
	eventually(t, "a renewal", quorumTTL, func() bool { return k.Stats().Renewals > before })
	if err := l.Context().Err(); err != nil {
		t.Errorf("it was lost: %v", err)
	}
}

// extended does what a renewal does, without waiting for the time.
func extended(t *testing.T, l *Lease) {
	t.Helper()
	eventually(t, "an extension", patience, func() bool {
		err := l.Extend(t.Context())
		if err != nil && !errors.Is(err, store.ErrUnavailable) {
			t.Fatal(err)
		}
		return err == nil
	})
}

// used checks that the lease comes to be held by all servers. A client that
// could not connect for a while tries again once a second.
func used(t *testing.T, q *quorumSite, l *Lease) {
	t.Helper()
	eventually(t, "all five servers hold the lock", patience, func() bool {
		extended(t, l)
		return q.holds(t) == quorumSize
	})
	extended(t, l) // those that have it since the last time are counted now
}

// excluded checks that another does not get the lock. That it is told so may
// take a few tries, as too few may answer in time.
func excluded(t *testing.T, other *Locker) {
	t.Helper()
	eventually(t, "a refusal", patience, func() bool {
		l, err := other.TryLock(t.Context(), "a")
		if l != nil {
			t.Fatalf("two hold it: %v", l.Fence())
		}
		return errors.Is(err, ErrHeld)
	})
}

// Two of five servers are killed, before the lock is taken. When they are back,
// they are used: without them the lease would not survive the next two.
func TestQuorumWithTwoDown(t *testing.T) {
	t.Parallel()
	q := newQuorumSite(t)
	k, other := q.locker(t, quorumTTL), q.locker(t, quorumTTL)
	mustUnlock(t, q.lock(t, k))
	q.sites[0].server.Kill()
	q.sites[1].server.Kill()

	l := q.lock(t, k)
	if n := q.holds(t, 0, 1); n != 3 {
		t.Errorf("%d of the three servers hold the lock", n)
	}
	excluded(t, other)
	renewed(t, k, l)
	excluded(t, other)

	q.sites[0].server.Restart()
	q.sites[1].server.Restart()
	used(t, q, l)
	q.sites[2].server.Kill()
	q.sites[3].server.Kill()
	extended(t, l)
	excluded(t, other)
	mustUnlock(t, l)
	eventually(t, "the lock is free", patience, func() bool { return q.holds(t, 2, 3) == 0 })
	if next := q.lock(t, other); next.Fence() <= l.Fence() {
		t.Errorf("fence %d after %d", next.Fence(), l.Fence())
	} else {
		mustUnlock(t, next)
	}
}

// One of five servers does not answer. Nobody waits for it to lock or to unlock,
// and when it answers again it is used.
func TestQuorumWithABlackHole(t *testing.T) {
	t.Parallel()
	q := newQuorumSite(t)
	k, other := q.locker(t, quorumTTL), q.locker(t, quorumTTL)
	mustUnlock(t, q.lock(t, k))
	eventually(t, "the lock is free", patience, func() bool { return q.holds(t) == 0 })
	q.ways[0].BlackHole()

	// Whoever waited for it would wait for two seconds: that is the time-out of
	// the store, and the one of a server is longer with this TTL.
	patient := q.locker(t, longTTL)
	start := startStopwatch()
	mustUnlock(t, q.lock(t, patient))
	if took := start.passed(); took > late {
		t.Errorf("to lock and unlock took %v", took)
	}

	l := q.lock(t, k)
	excluded(t, other)
	renewed(t, k, l)
	excluded(t, other)
	q.ways[0].Pass()
	used(t, q, l)
	mustUnlock(t, l)
	next := q.lock(t, other)
	if next.Fence() <= l.Fence() {
		t.Errorf("fence %d after %d", next.Fence(), l.Fence())
	}
	excluded(t, k)
	mustUnlock(t, next)
	eventually(t, "the lock is free", patience, func() bool { return q.holds(t) == 0 })
}

// With three of five servers down, killed or silent, the holder is told in time,
// and nobody gets the lock: they are told that after the time-out of a server.
func TestQuorumWithThreeDown(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	q := newQuorumSite(t)
	k, other := q.locker(t, ttl), q.locker(t, ttl)
	l := q.lock(t, k)
	used(t, q, l)
	q.sites[0].server.Kill()
	q.sites[1].server.Kill()
	q.ways[2].BlackHole()
	for name, take := range map[string]func(context.Context, string) (*Lease, error){"Lock": other.Lock, "TryLock": other.TryLock} {
		start := startStopwatch()
		got, err := take(t.Context(), "b")
		if got != nil || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if took := start.passed(); took > ttl/20+late {
			t.Errorf("%s took %v", name, took)
		}
	}
	for l.Context().Err() == nil {
		live := 0
		for _, s := range q.sites[2:] {
			if s.left(t, "a") > 0 {
				live++
			}
		}
		if live < 3 && l.Context().Err() == nil {
			t.Fatal("the lock has ended on most servers, and the Context has not")
		}
		time.Sleep(2 * time.Millisecond)
	}
	wantLost(t, l, late)

	q.sites[0].server.Restart()
	q.sites[1].server.Restart()
	q.ways.pass()
	next := q.lock(t, other)
	if next.Fence() <= l.Fence() {
		t.Errorf("fence %d after %d", next.Fence(), l.Fence())
	}
	mustUnlock(t, next)
}

// Which two servers are down changes all the time, and the clock of one of them
// is ahead. The fences grow all the same.
func TestQuorumFencesWithOthersDown(t *testing.T) {
	t.Parallel()
	q := newQuorumSite(t)
	lockers := []*Locker{q.locker(t, longTTL), q.locker(t, longTTL)}
	ahead := time.Now().Add(time.Hour).UnixMicro()
	if err := q.sites[0].client.Set(t.Context(), "cairn:lock:fence:{"+q.sites[0].prefix+"a}", ahead, 0).Err(); err != nil {
		t.Fatal(err)
	}
	var last uint64
	for i := range quorumSize {
		down := network{q.ways[i%quorumSize], q.ways[(i+1)%quorumSize]}
		down.all((*faultproxy.Proxy).Cut)
		l := q.lock(t, lockers[i%2])
		if l.Fence() <= last {
			t.Errorf("fence %d after %d", l.Fence(), last)
		}
		last = l.Fence()
		mustUnlock(t, l)
		down.pass()
	}
	if last <= uint64(ahead) {
		t.Errorf("fence %d, and one server has %d", last, ahead)
	}
}
