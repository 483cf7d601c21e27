package layered

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/store"
)

const (
	maxDeletes  = 10_000
	retryPeriod = time.Second // of the background, while L2 refuses
)

// deletes remembers the keys whose Delete has failed, so that L2, which may
// still hold the old value, is not believed for them until the Delete was
// repeated. While there are any, a goroutine repeats them: other processes
// read L2 too.
//
// It is for Delete and DeleteMany, which mean the same a moment later. A
// failed Set leaves the old value or the new one, each of which was right; a
// CompareAndDelete repeated without its comparison could remove what it must
// not; and Clear would remove what others have stored since.
//
// When it is full, further keys are not remembered. Their callers know that
// the Delete has failed; to hide all keys instead, or to clear L2 when it is
// back, would hurt more than the few that stay old until they expire.
//
// The zero deletes is ready for use, without the goroutine.
type deletes struct {
	max int // 0 is maxDeletes
	// del deletes in L2, through the guard, for the goroutine. It is set
	// before the first use.
	del func(ctx context.Context, key string) error

	count   atomic.Int64 // of keys, to be read without the lock
	mu      sync.Mutex
	keys    map[string]*forgotten
	dropped uint64 // not remembered, as it was full
	closed  bool
	stop    context.CancelFunc // of the background; nil if there is none
	done    chan struct{}      // closed when the background has ended
}

// forgotten is a key whose Delete has failed.
type forgotten struct {
	failures uint64   // of Deletes of callers; tells whether there was one during a repeat
	repeat   *attempt // under way, or nil
}

type attempt struct {
	done chan struct{}
	err  error // set before done is closed
}

// failed remembers that a Delete of key has failed, or may have. It reports
// false if the memory is full.
func (d *deletes) failed(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.keys[key]
	if f == nil {
		if len(d.keys) >= cmp.Or(d.max, maxDeletes) {
			d.dropped++
			return false
		}
		if d.keys == nil {
			d.keys = make(map[string]*forgotten)
		}
		f = new(forgotten)
		d.keys[key] = f
		d.count.Add(1)
	}
	f.failures++
	if d.del != nil && d.stop == nil && !d.closed {
		ctx, cancel := context.WithCancel(context.Background())
		d.stop, d.done = cancel, make(chan struct{})
		go d.background(ctx, d.done)
	}
	return true
}

// has reports whether L2 is not to be believed for key. It costs one atomic
// load if no Delete has failed.
func (d *deletes) has(key string) bool {
	if d.count.Load() == 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.keys[key] != nil
}

// forget is told of a Set or Delete of key that succeeded. A Delete that was
// repeated at the same time may still remove what the Set has stored.
func (d *deletes) forget(key string) {
	if d.count.Load() == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.remove(key)
}

func (d *deletes) remove(key string) {
	if _, ok := d.keys[key]; ok {
		delete(d.keys, key)
		d.count.Add(-1)
	}
}

// settle repeats the Delete of key, if one has failed, and returns nil if L2
// can be believed afterwards. There is one repeat of a key at a time, and who
// comes meanwhile gets its result.
func (d *deletes) settle(ctx context.Context, key string, del func(context.Context) error) error {
	for d.has(key) {
		a, own, failures := d.begin(key)
		switch {
		case a == nil:
			return nil
		case own:
			if err := d.repeat(ctx, key, a, failures, del); err != nil {
				return err
			}
			continue // unless another Delete has failed meanwhile, that was it
		}
		select {
		case <-a.done:
		case <-ctx.Done():
			return &store.Error{Op: "delete", Key: key, Err: ctx.Err()}
		}
		if a.err != nil && a.err != errPanic && !isContextError(a.err) {
			return a.err
		}
	}
	return nil
}

// begin returns the repeat under way or else a new one, which is the caller's
// own to make, or nil if there is nothing to repeat.
func (d *deletes) begin(key string) (a *attempt, own bool, failures uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.keys[key]
	if f == nil {
		return nil, false, 0
	}
	if f.repeat == nil {
		f.repeat, own = &attempt{done: make(chan struct{})}, true
	}
	return f.repeat, own, f.failures
}

// repeat makes the repeat a. Those who wait for it are told also if it panics.
func (d *deletes) repeat(ctx context.Context, key string, a *attempt, failures uint64, del func(context.Context) error) error {
	err := errPanic // unless del returns
	defer func() { d.end(key, a, failures, err) }()
	err = del(ctx)
	return err
}

// end tells what has become of a repeat.
func (d *deletes) end(key string, a *attempt, failures uint64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a.err = err
	close(a.done)
	f := d.keys[key]
	if f == nil || f.repeat != a {
		return // forgotten meanwhile, and perhaps remembered anew
	}
	f.repeat = nil
	if err == nil && f.failures == failures {
		d.remove(key)
	}
}

// background repeats Deletes until none is left or ctx ends. It stops at the
// first one that fails and begins again a while later, at another.
func (d *deletes) background(ctx context.Context, done chan struct{}) {
	defer close(done)
	ticks := time.NewTicker(retryPeriod)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		for _, key := range d.shuffled() {
			if d.settle(ctx, key, func(ctx context.Context) error { return d.del(ctx, key) }) != nil {
				break
			}
		}
		if d.rest() {
			return
		}
	}
}

// shuffled returns all keys, so that one which L2 always refuses does not keep
// the others from their turn.
func (d *deletes) shuffled() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	keys := slices.Collect(maps.Keys(d.keys))
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys
}

// rest ends the background if there is nothing to do for it.
func (d *deletes) rest() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.keys) > 0 || d.closed {
		return false
	}
	d.stop()
	d.stop = nil
	return true
}

// close ends the background. What is still remembered stays hidden.
func (d *deletes) close() {
	d.mu.Lock()
	d.closed = true
	stop, done := d.stop, d.done
	d.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
}

// pending returns how many keys are remembered, and how many were not.
func (d *deletes) pending() (remembered int, dropped uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.keys), d.dropped
}
