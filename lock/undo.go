package lock

import (
	"context"
	"time"
)

// An undoer frees in the background what nobody holds on purpose.
type undoer struct {
	calls  *group
	again  chan struct{} // room for those who repeat an undo, so that a server that is down is not asked by all
	ttl    time.Duration
	undone func(name string, err error)
}

func (k *Locker) undoer() *undoer {
	return &undoer{calls: k.calls, again: make(chan struct{}, repeating), ttl: k.ttl, undone: k.undone}
}

const (
	repeating   = 16
	undoTimeout = time.Second // of one try
	firstPause  = 50 * time.Millisecond
	lastPause   = 250 * time.Millisecond // so that a server which is back is asked soon

	// After the first answer, how often and when an undo is repeated that may
	// have overtaken the request that it is to undo.
	looksAgain = 2
	lookAgain  = 100 * time.Millisecond
)

// undo unlocks until that is answered, or the ttl is over. With late, the lock
// may be taken after it was unlocked, as the two may have gone different ways:
// an answer that there was nothing to undo is then not relied on at once.
func (u *undoer) undo(n node, name, token string, late bool) {
	u.calls.run(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, u.ttl)
		defer cancel()
		looks := 0
		if late {
			looks = looksAgain
		}
		pause, look := firstPause, lookAgain
		failed := false
		for {
			try, cancel := context.WithTimeout(ctx, undoTimeout)
			unlocked, err := n.Unlock(try, name, token)
			cancel()
			if err == nil && (unlocked || looks == 0) || err != nil && !unknown(err) {
				u.undone(name, err)
				return
			}
			next := pause
			if err == nil {
				looks, next, look = looks-1, look, 4*look
			} else {
				pause = min(2*pause, lastPause)
				if !failed {
					failed = true
					select {
					case u.again <- struct{}{}:
						defer func() { <-u.again }()
					case <-ctx.Done():
						u.undone(name, err)
						return
					}
				}
			}
			if !sleep(ctx, next) {
				u.undone(name, err)
				return
			}
		}
	})
}

// sleep reports whether it has slept for d, as ctx did not end before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
