package lock

import (
	"container/list"
	"context"
	"time"
)

// A line is who waits in this Locker for one name. The first contends for it
// with other processes, the others wait for their turn.
type line struct {
	waiters list.List // of chan struct{}, closed when it is that one's turn
	held    int       // leases of this Locker

	// freed receives when a lease of this Locker has ended.
	freed chan struct{}

	// watch receives when the store says that the lock was freed. It is nil
	// unless unwatch is to be called.
	watch   <-chan struct{}
	unwatch context.CancelFunc
}

// A place is one in a line.
type place struct {
	name string
	line *line
	at   *list.Element
	turn chan struct{}
}

// lineOf is called with k.mu held.
func (k *Locker) lineOf(name string) *line {
	l := k.lines[name]
	if l == nil {
		l = &line{freed: make(chan struct{}, 1)}
		k.lines[name] = l
	}
	return l
}

// drop forgets a line that is not needed any more. It is called with k.mu held.
func (k *Locker) drop(name string, l *line) {
	if l.waiters.Len() > 0 {
		return
	}
	if l.unwatch != nil {
		l.unwatch()
		l.watch, l.unwatch = nil, nil
	}
	if l.held == 0 {
		delete(k.lines, name)
	}
}

func (k *Locker) join(name string) *place {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.lineOf(name)
	turn := make(chan struct{})
	p := &place{name, l, l.waiters.PushBack(turn), turn}
	if l.waiters.Len() == 1 {
		close(turn)
	}
	return p
}

// leave passes the turn on.
func (k *Locker) leave(p *place) {
	k.mu.Lock()
	defer k.mu.Unlock()
	first := p.line.waiters.Front() == p.at
	p.line.waiters.Remove(p.at)
	if next := p.line.waiters.Front(); first && next != nil {
		close(next.Value.(chan struct{}))
	}
	k.drop(p.name, p.line)
}

// took is told of each lease that begins, and released when it has ended.
func (k *Locker) took(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lineOf(name).held++
}

func (k *Locker) released(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.lines[name]
	l.held--
	select {
	case l.freed <- struct{}{}:
	default:
	}
	k.drop(name, l)
}

func (k *Locker) heldHere(l *line) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return l.held > 0
}

// startWatch reports whether it has begun to watch, so that the store is to be
// asked once more: what was freed before is not told.
func (k *Locker) startWatch(p *place) bool {
	if k.watcher == nil || p.line.watch != nil {
		return false
	}
	ctx, cancel := context.WithCancel(k.open)
	freed, err := k.watcher.WatchLock(ctx, p.name)
	if err != nil {
		cancel() // then the store is asked every now and then
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	p.line.watch, p.line.unwatch = freed, cancel
	return true
}

// wait is what the first in line does between two attempts: it returns when one
// may be due, or the error of what ends the wait. retry is how long the lock is
// held at most, and took how long the last attempt has taken.
func (k *Locker) wait(ctx context.Context, p *place, retry, took time.Duration) error {
	var due <-chan time.Time
	if !k.heldHere(p.line) { // otherwise its end is told
		t := time.NewTimer(untilNext(ctx, retry, took))
		defer t.Stop()
		due = t.C
	}
	select {
	case <-p.line.freed:
	case <-p.line.watch:
	case <-due:
	case <-ctx.Done():
		return k.gaveUp(ctx, p.name)
	case <-k.open.Done():
		return closed("lock", p.name)
	}
	return nil
}
