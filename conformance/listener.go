package conformance

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/store"
)

// deaf is a Watcher for calls of Watch that are not about what is told.
type deaf struct{}

func (deaf) Invalidate(...string) {}
func (deaf) Flush()               {}
func (deaf) Proven(time.Time)     {}

// A listener is a Watcher that notes what it is told. It must not end the
// goroutine in which it is called, as that is the store's.
type listener struct {
	t    *trial
	s    store.Store // that it is registered with
	busy atomic.Bool

	mu      sync.Mutex
	calls   int
	told    map[string]int // how often, by key
	flushes int
	proven  time.Time            // the latest that was named
	owed    map[string]time.Time // keys with the end of their change, to be told before a later time is proven
}

// patience is how long what comes by itself may take: a watch that connects,
// and proves itself once a second or so, on a loaded machine.
const patience = 10 * time.Second

// await waits until done. It reports whether that came to be in time.
func await(done func() bool) bool {
	pause := time.Millisecond
	for start := time.Now(); !done(); time.Sleep(pause) {
		if time.Since(start) > patience {
			return done()
		}
		pause = min(pause*3/2, 50*time.Millisecond)
	}
	return true
}

// listen registers a listener and waits until the watch works.
func (c *client) listen() *listener {
	l := c.register()
	l.proves()
	return l
}

// register registers a listener.
func (c *client) register() *listener {
	l := &listener{t: c.t, s: c.s, told: make(map[string]int), owed: make(map[string]time.Time)}
	c.Watch(l).ok()
	return l
}

// enter notes a call. The yields give a second call the chance to overlap.
func (l *listener) enter() (leave func()) {
	alone := l.busy.CompareAndSwap(false, true)
	if !alone {
		l.t.record(failure{"the methods of one Watcher", "one was called while another had not returned", "one call at a time"})
	}
	for range 3 {
		runtime.Gosched()
	}
	l.mu.Lock()
	l.calls++
	return func() {
		l.mu.Unlock()
		if alone {
			l.busy.Store(false)
		}
	}
}

func (l *listener) Invalidate(keys ...string) {
	defer l.enter()()
	for _, key := range keys {
		l.told[key]++
		delete(l.owed, key)
	}
}

func (l *listener) Flush() {
	defer l.enter()()
	l.flushes++
	clear(l.owed)
}

func (l *listener) Proven(sent time.Time) {
	defer l.enter()()
	if always := sent.Equal(store.AlwaysProven); !always {
		switch now := time.Now(); {
		case sent.After(now):
			l.t.record(failure{"Proven", "a time that is " + sent.Sub(now).String() + " ahead", "a time before the call, or AlwaysProven"})
		case sent == sent.Round(0) && now != now.Round(0): // in a bubble no time has one
			l.t.record(failure{"Proven", "a time without a monotonic clock reading", "one that time.Now returned in this process"})
		}
	}
	for key, ended := range l.owed {
		if sent.After(ended) {
			l.t.record(failure{
				"Proven", fmt.Sprintf("a time %v after the end of a change of %s, which was not told before", sent.Sub(ended), quote(key)),
				"what has changed before that time to be told first",
			})
		}
	}
	if sent.After(l.proven) {
		l.proven = sent
	}
}

// reset forgets what was told until now.
func (l *listener) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.told)
	l.flushes, l.calls = 0, 0
}

// heard reports whether a change of key was told.
func (l *listener) heard(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told[key] > 0 || l.flushes > 0
}

// quiet reports whether nothing at all was called.
func (l *listener) quiet() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls == 0
}

func (l *listener) always() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.proven.Equal(store.AlwaysProven)
}

// hears waits until a change of key is told.
func (l *listener) hears(key, by string) {
	if !await(func() bool { return l.heard(key) }) {
		l.t.fail(failure{by, fmt.Sprintf("neither Invalidate(%s) nor Flush within %v", quote(key), patience), "the Watcher to be told"})
	}
}

// proves waits until everything that has happened until now is proven, and so
// was told.
func (l *listener) proves() {
	since := time.Now()
	if !await(func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.proven.After(since)
	}) {
		l.t.fail(failure{"Proven", fmt.Sprintf("no call with a later time within %v%s", patience, l.reason()), "that all which has happened before is proven, soon"})
	}
}

// reason is why nothing is proven, if the store can tell.
func (l *listener) reason() string {
	if s, ok := l.s.(interface{ WatchErr() error }); ok && s.WatchErr() != nil {
		return fmt.Sprintf("; the store's WatchErr is %q", s.WatchErr())
	}
	return ""
}
