package memo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// pauses knows which values cannot be replaced at the moment, so that this is
// not tried by each call. Another etag is another value to load, which may
// succeed.
type pauses struct {
	n    atomic.Int64 // the number of keys, to pass by quickly
	mu   sync.Mutex
	of   map[string]pause
	full int // the number of keys at which those are dropped whose pause is over
}

// pause is what is known about the failures of a key.
type pause struct {
	etag     *string
	failures int // in a row
	began    int64
	until    int64
	err      error // the last one
}

// minPauses is the least number of keys that are remembered. What is dropped
// is as if it had not failed.
const minPauses = 1024

// failed notes a failure to replace the value that was created then, which
// begins a pause now.
func (p *pauses) failed(v *query, key string, created int64, err error) {
	policy := &v.policy
	now := time.Now().UnixNano()
	p.mu.Lock()
	defer p.mu.Unlock()
	failures := p.of[key].since(v, created).failures + 1
	until := after(now, policy.pause(failures))
	switch {
	case policy.Retry == 0:
		until = now
	case until == 0:
		until = math.MaxInt64
	}
	p.makeRoom(now)
	p.of[key] = pause{v.etag, failures, now, until, err}
	p.n.Store(int64(len(p.of)))
}

// makeRoom keeps the map from growing for ever, at a cost that does not grow
// with it.
func (p *pauses) makeRoom(now int64) {
	if p.of == nil {
		p.of, p.full = make(map[string]pause), minPauses
	}
	if len(p.of) < p.full {
		return
	}
	for key, pause := range p.of {
		if now >= pause.until {
			delete(p.of, key)
		}
	}
	p.full = max(minPauses, 2*len(p.of))
}

// forget ends the pause of a key.
func (p *pauses) forget(key string) {
	if p.n.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.of, key)
	p.n.Store(int64(len(p.of)))
}

// has reports whether the key has a pause now, in which the value that was
// created then is not replaced.
func (p *pauses) has(v *query, key string, created int64) bool {
	return v.now < p.get(v, key, created).until
}

// last returns the error of the last load that should have replaced the value
// that was created then.
func (p *pauses) last(v *query, key string, created int64) error {
	return p.get(v, key, created).err
}

func (p *pauses) get(v *query, key string, created int64) pause {
	if p.n.Load() == 0 {
		return pause{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.of[key].since(v, created)
}

// since returns p if it is about the value that was created then, and not
// about one before it, as another process may have replaced that; and if it is
// about what v asks for.
func (p pause) since(v *query, created int64) pause {
	if p.began < created || !sameETag(p.etag, v.etag) {
		return pause{}
	}
	return p
}

func sameETag(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

// attempts returns load with its failures being noted, if there is a value that
// is answered instead. If the load may as well wait, as that value is all its
// caller asked for, it does so during a pause that has begun just now.
func (f *Func[K, V]) attempts(v *query, key string, s sighting[V], background bool, load func(context.Context, bool) (*outcome[V], error)) func(context.Context, bool) (*outcome[V], error) {
	return func(ctx context.Context, again bool) (o *outcome[V], err error) {
		if background || s.verdict == stale && !v.refresh {
			if now := v.later(); f.pauses.has(&now, key, s.entry.created) {
				return nil, f.pauses.last(&now, key, s.entry.created)
			}
		}
		attempt(ctx, func() error {
			o, err = load(ctx, again)
			return err
		}, func(err error) {
			f.attemptFailed(ctx, v, key, s, err)
			if background {
				f.refreshFailed(ctx, err)
			}
		})
		return o, err
	}
}

// attemptFailed notes that a value could not be replaced. That a load was
// cancelled, as nobody waited any more, says nothing about the next.
func (f *Func[K, V]) attemptFailed(ctx context.Context, v *query, key string, s sighting[V], err error) {
	cancelled := ctx.Err() != nil && context.Cause(ctx) != ErrTimeout
	if created := f.instead(v, s); created != 0 && !cancelled {
		_, err = f.fail(v.ask, key, err)
		f.pauses.failed(v, key, created, err)
	}
}

// refreshFailed tells the operator, as there is nobody else to tell.
func (f *Func[K, V]) refreshFailed(ctx context.Context, err error) {
	if context.Cause(ctx) != ErrClosed && !errors.Is(err, ErrClosed) {
		f.memo.log.refreshFailed(ctx, f.name, err)
	}
}

// attempt calls load, and failed if it returns an error, does not return, or
// has not returned when its time is over: once, whatever comes first.
func attempt(ctx context.Context, load func() error, failed func(error)) {
	var once sync.Once
	fail := func(err error) { once.Do(func() { failed(err) }) }
	stop := context.AfterFunc(ctx, func() {
		if context.Cause(ctx) == ErrTimeout {
			fail(ErrTimeout)
		}
	})
	returned := false
	defer func() {
		stop()
		if returned {
			return
		}
		switch p := recover().(type) {
		case nil:
			fail(new(GoexitError))
		case *PanicError:
			fail(p)
			panic(p)
		default:
			panic(p)
		}
	}()
	err := load()
	returned = true
	if err != nil && context.Cause(ctx) == ErrTimeout {
		err = fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	if err != nil {
		fail(err)
	}
}

// instead returns when the value was loaded that is there to be answered if
// loading fails, be it to a caller whose MaxAge is not as strict; 0 if there is
// none.
func (f *Func[K, V]) instead(v *query, s sighting[V]) (created int64) {
	if s.entry == nil || s.entry.negative() {
		return 0
	}
	lax, now := *v.ask, *v
	lax.maxAge, now.ask = 0, &lax
	if is, fallback := f.judge(&now, &s.entry.header); is != fresh && !fallback {
		return 0
	}
	return s.entry.created
}
