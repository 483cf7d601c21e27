package conformance

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/cairncache/cairn/store"
)

// faulty is a reference store whose methods can be replaced one by one. A
// fault is planted by replacing a method with one that calls the reference and
// does something wrong.
type faulty struct {
	ref     *reference
	backend *backend
	world   *world

	get        func(ctx context.Context, key string) ([]byte, error)
	set        func(ctx context.Context, key string, value []byte, ttl time.Duration) error
	delete     func(ctx context.Context, key string) error
	ttl        func(ctx context.Context, key string) (time.Duration, error)
	getMany    func(ctx context.Context, keys []string) (map[string][]byte, error)
	setMany    func(ctx context.Context, items []store.Item) error
	deleteMany func(ctx context.Context, keys []string) error
	getWithTTL func(ctx context.Context, key string) ([]byte, time.Duration, error)
	getEntries func(ctx context.Context, keys []string) (map[string]store.Entry, error)
	add        func(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error)
	swap       func(ctx context.Context, key string, old, new []byte, ttl time.Duration) (bool, error)
	remove     func(ctx context.Context, key string, old []byte) (bool, error)
	touch      func(ctx context.Context, key string, ttl time.Duration) error
	keys       func(ctx context.Context, prefix string) iter.Seq2[string, error]
	clear      func(ctx context.Context) error
	getLive    func(ctx context.Context, key string) (*store.Live, error)
	getLiveAt  func(ctx context.Context, key string, now time.Time) (*store.Live, error)
	setLive    func(ctx context.Context, key string, l *store.Live, ttl time.Duration) error
	watch      func(ctx context.Context, w store.Watcher) error
	lease      func(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error)
	fill       func(ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error)
	renew      func(ctx context.Context, key, token string, life time.Duration) (bool, error)
	abandon    func(ctx context.Context, key, token string) error
	hold       func(ctx context.Context, key string, life time.Duration) error
	ping       func(ctx context.Context) error
	close      func() error
	lock       lockFuncs
}

// newFaulty returns a handle on r with no fault yet.
func newFaulty(r *reference, b *backend) *faulty {
	r.backend = b
	return &faulty{
		r, b, nil, r.Get, r.Set, r.Delete, r.TTL, r.GetMany, r.SetMany, r.DeleteMany, r.GetWithTTL, r.GetManyWithTTL, r.Add, r.CompareAndSwap, r.CompareAndDelete,
		r.Touch, r.Keys, r.Clear, r.GetLive, r.GetLiveAt, r.SetLive,
		r.Watch, r.GetOrLease, r.Fill, r.RenewLease, r.Abandon, r.Hold, r.Ping, r.Close,
		locking(r),
	}
}

func (f *faulty) Get(ctx context.Context, key string) ([]byte, error) { return f.get(ctx, key) }

func (f *faulty) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return f.set(ctx, key, value, ttl)
}
func (f *faulty) Delete(ctx context.Context, key string) error { return f.delete(ctx, key) }

func (f *faulty) TTL(ctx context.Context, key string) (time.Duration, error) { return f.ttl(ctx, key) }

func (f *faulty) GetMany(ctx context.Context, keys []string) (map[string][]byte, error) {
	return f.getMany(ctx, keys)
}

func (f *faulty) SetMany(ctx context.Context, items []store.Item) error { return f.setMany(ctx, items) }

func (f *faulty) DeleteMany(ctx context.Context, keys []string) error { return f.deleteMany(ctx, keys) }

func (f *faulty) GetWithTTL(ctx context.Context, key string) ([]byte, time.Duration, error) {
	return f.getWithTTL(ctx, key)
}

func (f *faulty) GetManyWithTTL(ctx context.Context, keys []string) (map[string]store.Entry, error) {
	return f.getEntries(ctx, keys)
}

func (f *faulty) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	return f.add(ctx, key, value, ttl)
}

func (f *faulty) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (bool, error) {
	return f.swap(ctx, key, old, new, ttl)
}

func (f *faulty) CompareAndDelete(ctx context.Context, key string, old []byte) (bool, error) {
	return f.remove(ctx, key, old)
}

func (f *faulty) Touch(ctx context.Context, key string, ttl time.Duration) error {
	return f.touch(ctx, key, ttl)
}

func (f *faulty) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return f.keys(ctx, prefix)
}
func (f *faulty) Clear(ctx context.Context) error { return f.clear(ctx) }

func (f *faulty) GetLive(ctx context.Context, key string) (*store.Live, error) {
	return f.getLive(ctx, key)
}

func (f *faulty) GetLiveAt(ctx context.Context, key string, now time.Time) (*store.Live, error) {
	return f.getLiveAt(ctx, key, now)
}

func (f *faulty) SetLive(ctx context.Context, key string, l *store.Live, ttl time.Duration) error {
	return f.setLive(ctx, key, l, ttl)
}

func (f *faulty) Watch(ctx context.Context, w store.Watcher) error { return f.watch(ctx, w) }

func (f *faulty) GetOrLease(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
	return f.lease(ctx, key, token, life, despite)
}

func (f *faulty) Fill(ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
	return f.fill(ctx, key, token, l, ttl)
}

func (f *faulty) RenewLease(ctx context.Context, key, token string, life time.Duration) (bool, error) {
	return f.renew(ctx, key, token, life)
}

func (f *faulty) Abandon(ctx context.Context, key, token string) error {
	return f.abandon(ctx, key, token)
}

func (f *faulty) Hold(ctx context.Context, key string, life time.Duration) error {
	return f.hold(ctx, key, life)
}

func (f *faulty) Ping(ctx context.Context) error { return f.ping(ctx) }
func (f *faulty) Close() error                   { return f.close() }

// mapKeys makes every method use another key than the one it is given, as when
// the mapping to what the backend takes is not one to one.
func (f *faulty) mapKeys(change func(string) string) {
	g := *f
	m := func(key string) string {
		if key == "" || len(key) > store.MaxKeyLen {
			return key
		}
		return change(key)
	}
	all := func(keys []string) []string {
		mapped := make([]string, len(keys))
		for i, key := range keys {
			mapped[i] = m(key)
		}
		return mapped
	}
	f.get = func(ctx context.Context, key string) ([]byte, error) { return g.get(ctx, m(key)) }
	f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
		return g.set(ctx, m(key), value, ttl)
	}
	f.delete = func(ctx context.Context, key string) error { return g.delete(ctx, m(key)) }
	f.ttl = func(ctx context.Context, key string) (time.Duration, error) { return g.ttl(ctx, m(key)) }
	f.getMany = func(ctx context.Context, keys []string) (map[string][]byte, error) {
		found, err := g.getMany(ctx, all(keys))
		values := make(map[string][]byte)
		for _, key := range keys {
			if value, ok := found[m(key)]; ok {
				values[key] = value
			}
		}
		return values, err
	}
	f.setMany = func(ctx context.Context, items []store.Item) error {
		mapped := make([]store.Item, len(items))
		for i, item := range items {
			mapped[i] = store.Item{Key: m(item.Key), Value: item.Value, TTL: item.TTL}
		}
		return g.setMany(ctx, mapped)
	}
	f.deleteMany = func(ctx context.Context, keys []string) error { return g.deleteMany(ctx, all(keys)) }
}

// mapTTL makes every method that takes a ttl use another one.
func (f *faulty) mapTTL(change func(time.Duration) time.Duration) {
	g := *f
	f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
		return g.set(ctx, key, value, change(ttl))
	}
	f.setMany = func(ctx context.Context, items []store.Item) error {
		items = append([]store.Item{}, items...)
		for i := range items {
			items[i].TTL = change(items[i].TTL)
		}
		return g.setMany(ctx, items)
	}
	f.add = func(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
		return g.add(ctx, key, value, change(ttl))
	}
	f.swap = func(ctx context.Context, key string, old, new []byte, ttl time.Duration) (bool, error) {
		return g.swap(ctx, key, old, new, change(ttl))
	}
	f.touch = func(ctx context.Context, key string, ttl time.Duration) error { return g.touch(ctx, key, change(ttl)) }
	f.setLive = func(ctx context.Context, key string, l *store.Live, ttl time.Duration) error {
		return g.setLive(ctx, key, l, change(ttl))
	}
	f.fill = func(ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
		return g.fill(ctx, key, token, l, change(ttl))
	}
	f.lease = func(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
		return g.lease(ctx, key, token, change(life), despite)
	}
	f.renew = func(ctx context.Context, key, token string, life time.Duration) (bool, error) {
		return g.renew(ctx, key, token, change(life))
	}
	f.hold = func(ctx context.Context, key string, life time.Duration) error {
		return g.hold(ctx, key, change(life))
	}
}

// mapErrors changes what Get, Set and the like return as an error.
func (f *faulty) mapErrors(change func(error) error) {
	g := *f
	f.get = func(ctx context.Context, key string) ([]byte, error) {
		value, err := g.get(ctx, key)
		return value, change(err)
	}
	f.set = func(ctx context.Context, key string, value []byte, ttl time.Duration) error {
		return change(g.set(ctx, key, value, ttl))
	}
	f.delete = func(ctx context.Context, key string) error { return change(g.delete(ctx, key)) }
	f.ttl = func(ctx context.Context, key string) (time.Duration, error) {
		left, err := g.ttl(ctx, key)
		return left, change(err)
	}
}

// decline takes an ability away.
func (f *faulty) decline(name string) {
	no := errors.ErrUnsupported
	f.lock.decline(name)
	switch name {
	case "GetMany":
		f.getMany = func(context.Context, []string) (map[string][]byte, error) { return nil, no }
	case "SetMany":
		f.setMany = func(context.Context, []store.Item) error { return no }
	case "DeleteMany":
		f.deleteMany = func(context.Context, []string) error { return no }
	case "GetWithTTL":
		f.getWithTTL = func(context.Context, string) ([]byte, time.Duration, error) { return nil, 0, no }
	case "GetManyWithTTL":
		f.getEntries = func(context.Context, []string) (map[string]store.Entry, error) { return nil, no }
	case "Add":
		f.add = func(context.Context, string, []byte, time.Duration) (bool, error) { return false, no }
	case "CompareAndSwap":
		f.swap = func(context.Context, string, []byte, []byte, time.Duration) (bool, error) { return false, no }
	case "CompareAndDelete":
		f.remove = func(context.Context, string, []byte) (bool, error) { return false, no }
	case "Touch":
		f.touch = func(context.Context, string, time.Duration) error { return no }
	case "Keys":
		f.keys = func(context.Context, string) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) { yield("", no) }
		}
	case "Clear":
		f.clear = func(context.Context) error { return no }
	case "Live":
		f.getLive = func(context.Context, string) (*store.Live, error) { return nil, no }
		f.setLive = func(context.Context, string, *store.Live, time.Duration) error { return no }
	case "LiveAt":
		f.getLiveAt = func(context.Context, string, time.Time) (*store.Live, error) { return nil, no }
	case "Watch":
		f.watch = func(context.Context, store.Watcher) error { return no }
	case "Lease":
		f.lease = func(context.Context, string, string, time.Duration, *store.Live) (store.Lookup, error) {
			return store.Lookup{}, no
		}
		f.fill = func(context.Context, string, string, *store.Live, time.Duration) (bool, error) { return false, no }
		f.renew = func(context.Context, string, string, time.Duration) (bool, error) { return false, no }
		f.abandon = func(context.Context, string, string) error { return no }
		f.hold = func(context.Context, string, time.Duration) error { return no }
	case "Ping":
		f.ping = func(context.Context) error { return no }
	}
}

// A backend can be broken and made silent.
type backend struct {
	mu       sync.Mutex
	broken   bool
	silent   chan struct{} // closed when it answers again
	neverHas bool          // stays broken when it should be restored
	latency  time.Duration // of each call
}

func (b *backend) fault() *Fault { return &Fault{b.breakDown, b.hang, b.restore} }

func (b *backend) breakDown() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = true
}

func (b *backend) hang() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.silent = make(chan struct{})
}

func (b *backend) restore() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = b.neverHas && b.broken
	if b.silent != nil {
		close(b.silent)
		b.silent = nil
	}
}

// reach waits for the backend.
func (b *backend) reach(ctx context.Context, op, key string) error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	broken, silent := b.broken, b.silent
	b.mu.Unlock()
	if broken {
		return store.Errorf(op, key, store.ErrUnavailable, "connection refused")
	}
	if silent != nil {
		select {
		case <-silent:
		case <-ctx.Done():
			return &store.Error{Op: op, Key: key, Err: ctx.Err()}
		}
	}
	if b.latency > 0 {
		select {
		case <-time.After(b.latency):
		case <-ctx.Done():
			return &store.Error{Op: op, Key: key, Err: ctx.Err()}
		}
	}
	return nil
}
