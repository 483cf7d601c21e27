package redis

import (
	"cmp"
	"context"
	"sync"
	"time"
)

// lockLinger is how long the subscription to a lock outlives the last one who
// waits for it: the next one often comes soon.
const lockLinger = time.Second

// WatchLock implements store.WatchLockStore. All who wait for locks of a Store
// share a connection of its own, on a cluster one to each server that has such
// a lock. It is made with the settings of the client, though not its hooks, and
// ends a second after the last one has ceased to wait. While it is there it is
// tried four times in each Options.WatchDelta, like that of Watch; one that is
// silent for longer, or is lost, is made again, and then all who wait receive.
//
// A channel receives from Close as well. If the server refuses subscriptions, it
// receives nothing until then.
func (s *Store) WatchLock(ctx context.Context, key string) (<-chan struct{}, error) {
	const op = "watchlock"
	if err := s.check(ctx, op, key); err != nil {
		return nil, err
	}
	freed := s.locks.add(ctx, s, lockKeys(s.prefix + key)[0])
	if freed == nil {
		return nil, s.check(ctx, op, key)
	}
	return freed, nil
}

// lockWatch is what those who wait for locks share. It has a life, a context,
// as long as there are subscriptions.
type lockWatch struct {
	tasks sync.WaitGroup

	mu       sync.Mutex
	of       map[string]*lockWait // by channel
	unplaced []*lockWait          // those that need a line
	placing  chan struct{}        // wakes placeLocks when unplaced has changed
	end      context.CancelFunc   // of the life; nil without subscriptions
	plain    bool                 // the cluster has no channels by slot, as before Redis 7
}

// lockWait is the subscription to one lock.
type lockWait struct {
	channel string
	waiters map[*lockWaiter]bool
	idle    *time.Timer // ends it; nil while somebody waits
	line    *lockLine   // nil until it is placed
}

type lockWaiter struct {
	freed  chan struct{}
	forget func() bool // makes the context let go of the waiter
}

// add returns nil if the store is closed.
func (w *lockWatch) add(ctx context.Context, s *Store, channel string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.closed.Load() { // under the lock, so that close finds every waiter there is
		return nil
	}
	wait := w.of[channel]
	if wait == nil {
		wait = &lockWait{channel: channel, waiters: make(map[*lockWaiter]bool)}
		if w.end == nil {
			w.begin(s)
		}
		w.of[channel] = wait
		w.unplaced = append(w.unplaced, wait)
		wake(w.placing)
	}
	if wait.idle != nil {
		wait.idle.Stop()
		wait.idle = nil
	}
	one := &lockWaiter{freed: make(chan struct{}, 1)}
	wait.waiters[one] = true
	one.forget = context.AfterFunc(ctx, func() { w.remove(wait, one) })
	return one.freed
}

// begin requires w.mu.
func (w *lockWatch) begin(s *Store) {
	life, end := context.WithCancel(context.Background())
	placing := make(chan struct{}, 1)
	w.of, w.unplaced, w.placing, w.end = make(map[string]*lockWait), nil, placing, end
	w.tasks.Go(func() { s.placeLocks(life, placing) })
}

// wake leaves one signal, however often it is called.
func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (w *lockWatch) remove(wait *lockWait, gone *lockWaiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(wait.waiters, gone)
	if len(wait.waiters) == 0 && wait.idle == nil && w.of[wait.channel] == wait {
		wait.idle = time.AfterFunc(lockLinger, func() { w.drop(wait) })
	}
}

func (w *lockWatch) drop(wait *lockWait) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(wait.waiters) > 0 || w.of[wait.channel] != wait {
		return
	}
	delete(w.of, wait.channel)
	if wait.line != nil {
		wait.line.ask(wait.channel, false)
	}
	if len(w.of) == 0 {
		w.stop()
	}
}

// stop requires w.mu.
func (w *lockWatch) stop() {
	if w.end != nil {
		w.end()
	}
	w.of, w.unplaced, w.end = nil, nil, nil
}

// close wakes all who wait, and returns when nothing runs any more. The store
// must have been marked as closed.
func (w *lockWatch) close() {
	w.mu.Lock()
	for channel, wait := range w.of {
		if wait.idle != nil {
			wait.idle.Stop()
		}
		for one := range wait.waiters {
			one.forget()
		}
		w.tellUnder(channel)
	}
	w.stop()
	w.mu.Unlock()
	w.tasks.Wait()
}

// tell tells those who wait that the lock may have been freed.
func (w *lockWatch) tell(channel string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tellUnder(channel)
}

// tellUnder requires w.mu.
func (w *lockWatch) tellUnder(channel string) {
	if wait := w.of[channel]; wait != nil {
		for one := range wait.waiters {
			wake(one.freed)
		}
	}
}

// placeLocks gives each subscription to the line of the server that has the
// lock, until the life ends.
func (s *Store) placeLocks(life context.Context, placing <-chan struct{}) {
	lines := make(map[string]*lockLine) // by address, the latest
	pause := firstPause
	for {
		var again <-chan time.Time
		if err := s.placeAll(life, lines); err != nil {
			pause = min(2*pause, s.watchDelta/2)
			again = time.After(pause)
		} else {
			pause = firstPause
		}
		select {
		case <-life.Done():
			return
		case <-placing:
		case <-again:
		}
	}
}

func (s *Store) placeAll(life context.Context, lines map[string]*lockLine) error {
	w := &s.locks
	for {
		w.mu.Lock()
		if life.Err() != nil || len(w.unplaced) == 0 {
			w.mu.Unlock()
			return nil
		}
		wait := w.unplaced[0]
		w.mu.Unlock()
		server, err := s.lockServer(life, wait.channel)
		if err != nil {
			return err
		}
		l := lines[server.opts.Addr]
		if l == nil || !w.place(life, wait, l) {
			l = s.newLockLine(life, server, l)
			lines[server.opts.Addr] = l
			w.place(life, wait, l)
			w.tasks.Go(l.run)
		}
	}
}

// place takes the first subscription out of those that are unplaced. It reports
// false, and leaves it there, if the line has ended.
func (w *lockWatch) place(life context.Context, wait *lockWait, l *lockLine) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.over {
		return false
	}
	if life.Err() == nil {
		w.unplaced = w.unplaced[1:]
		if w.of[wait.channel] == wait {
			wait.line = l
			l.ask(wait.channel, true)
		}
	}
	return true
}

// unplace takes the subscriptions from a line that has ended.
func (w *lockWatch) unplace(l *lockLine) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.over = true
	if l.life.Err() != nil {
		return // the subscriptions are those of another life
	}
	for _, wait := range w.of {
		if wait.line == l {
			wait.line = nil
			w.unplaced = append(w.unplaced, wait)
		}
	}
	wake(w.placing)
}

// lockServer returns the server that has the lock with this channel. On a
// cluster the channel of heartbeats is in the slot of the lock.
func (s *Store) lockServer(ctx context.Context, channel string) (watched, error) {
	if s.cluster == nil {
		servers, err := s.watchedServers(ctx)
		if err != nil {
			return watched{}, err
		}
		return servers[0], nil
	}
	return exchange(ctx, s, func(ctx context.Context) (watched, error) {
		master, err := s.cluster.MasterForKey(ctx, channel)
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return watched{}, err
		}
		tag, _ := hashTag(channel)
		return watched{opts: master.Options(), channel: beatChannel() + "{" + tag + "}", sharded: !s.locks.isPlain()}, nil
	})
}

func (w *lockWatch) isPlain() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.plain
}
