package lock

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// next is another who waits for the lock of a process.
type next struct {
	k        *Locker
	first    uint64 // the fence of the process
	acquired chan *Lease
}

// waitBehind lets a process take the lock, and another wait for it.
func waitBehind(t *testing.T, s *site, c *child) *next {
	t.Helper()
	var a answer
	eventually(t, "the lock", patience, func() bool { // again, where it was answered only after the ttl
		a = c.ask("lock")
		return a.Error == ""
	})
	n := &next{k: newLock(t, s.direct, &Options{TTL: longTTL}), first: a.Fence, acquired: make(chan *Lease, 1)}
	go func() {
		defer close(n.acquired)
		if l, err := n.k.Lock(t.Context(), "a"); err != nil {
			t.Error(err)
		} else {
			n.acquired <- l
		}
	}()
	eventually(t, "a refusal", patience, func() bool { return n.k.Stats().Refused > 0 })
	return n
}

// gets checks that the other has the lock in time. The process may have renewed
// it just before its end, so that is a ttl, and the tenth by which those who wait
// spread what they ask.
func (n *next) gets(t *testing.T, end stopwatch, ttl time.Duration) *Lease {
	t.Helper()
	l := <-n.acquired
	if l == nil {
		t.FailNow()
	}
	if took := end.passed(); took > ttl+ttl/10+late {
		t.Errorf("the lock was free after %v, want %v; the process stood still for %v", took, ttl, end.stalled())
	}
	if l.Fence() <= n.first {
		t.Errorf("fence %d after %d", l.Fence(), n.first)
	}
	return l
}

// A holder that was paused for longer than its lock lasts is late, and cannot
// know it: the write that it was about to make is refused by what it writes to.
func TestPausedHolder(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	onSites(t, func(t *testing.T, s *site) {
		c := startProcess(t, s, ttl)
		n := waitBehind(t, s, c)
		if a := c.ask("write"); a.Error != "" {
			t.Fatal(a.Error)
		}
		paused := startStopwatch()
		c.Signal(syscall.SIGSTOP)
		l := n.gets(t, paused, ttl)
		if err := (row{s.direct}).write(t.Context(), l.Fence()); err != nil {
			t.Error(err)
		}
		c.Send("write") // the first that it does when it goes on
		c.Signal(syscall.SIGCONT)
		if a := c.answer("write"); a.Error != errFenced.Error() {
			t.Errorf("the late write: %q, want it to be refused", a.Error)
		}
		if a := c.ask("wait"); !a.Lost {
			t.Errorf("its Context ended with %q", a.Error)
		}
		if a := c.ask("unlock"); !a.Lost {
			t.Errorf("its Unlock: %q", a.Error)
		}
		if a := c.ask("close"); a.Error != "" { // what it does in the background has ended
			t.Error(a.Error)
		}
		if s.left(t, "a") == 0 || l.Context().Err() != nil {
			t.Error("the other has lost the lock by that")
		}
		mustUnlock(t, l)
	})
}

// The lock of a process that is gone is free when its ttl is over.
func TestKilledHolder(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	onSites(t, func(t *testing.T, s *site) {
		c := startProcess(t, s, ttl)
		n := waitBehind(t, s, c)
		killed := startStopwatch()
		c.Signal(os.Kill)
		mustUnlock(t, n.gets(t, killed, ttl))
	})
}
