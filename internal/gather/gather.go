// Package gather lets calls that are made at the same moment travel together,
// in one request to a server.
//
// Nobody waits for that to happen. A call that finds others under way lets the
// goroutines which are ready to run go first, and takes along the calls that
// they bring. On an idle machine there are none, and it leaves at once. Where
// requests cost more time of the processor than they wait for the server, it
// is almost everybody.
package gather

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// capacity is how many calls travel together at most.
const capacity = 512

// Group is where calls meet. C is a call, with a place for its result. The
// zero Group is ready for use, also concurrently.
type Group[C any] struct {
	mu   sync.Mutex
	away int       // calls that went alone, and batches
	open *Batch[C] // takes more calls
	account
}

// Batch is some calls that travel together.
type Batch[C any] struct {
	Calls []C // for the one who drives

	group   *Group[C]
	carried bool
	done    chan struct{}
}

// Join says how a call travels. With a nil Batch it goes alone: its owner makes
// it and then calls Leave. Otherwise the owner of one of the calls drives: it
// makes all of them and then calls End. The others Wait.
func (g *Group[C]) Join(call C) (b *Batch[C], drive bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if b = g.open; b != nil {
		b.Calls = append(b.Calls, call)
		if len(b.Calls) == capacity {
			g.open = nil
		}
		return b, false
	}
	g.away++
	if g.away == 1 {
		return nil, true
	}
	start := time.Now()
	if !g.pays(start) {
		return nil, true
	}
	b = &Batch[C]{Calls: []C{call}, group: g, done: make(chan struct{})}
	g.open = b
	g.mu.Unlock()
	runtime.Gosched()
	lost := time.Since(start)
	g.mu.Lock()
	if g.open == b {
		g.open = nil
	}
	g.book(start, lost, len(b.Calls)-1)
	if len(b.Calls) == 1 {
		return nil, true
	}
	return b, true
}

// Leave ends the way of a call that went alone.
func (g *Group[C]) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.away--
}

// End ends the way of a batch. It says whether the calls have been made, so
// that their results are there.
func (b *Batch[C]) End(carried bool) {
	b.group.Leave()
	b.carried = carried
	close(b.done)
}

// Wait waits for the end of the batch and returns what End was told, or the
// error of a context that is done before: then the call may still be made, and
// its owner must touch neither it nor its result.
func (b *Batch[C]) Wait(ctx, limit context.Context) (carried bool, err error) {
	select {
	case <-b.done:
		return b.carried, nil
	case <-ctx.Done():
		return false, ctx.Err()
	case <-limit.Done():
		return false, limit.Err()
	}
}
