package conformance

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cairncache/cairn/store"
)

// reference is a correct store with every ability: a map and a mutex. The
// faults of faults_test.go are planted in it.
type reference struct {
	mu         *sync.Mutex
	entries    map[string]entry
	closed     *bool
	now        func() time.Time
	ownClock   bool // now is not time.Now
	defaultTTL time.Duration
	maxValue   int      // 0: no limit
	backend    *backend // nil: cannot be broken
	leases     map[string]lease
	locks      *lockTable
	watchers   map[*told]bool
	afar       bool // what is told arrives later, and is proven by time
}

type entry struct {
	live    *store.Live
	expires time.Time // zero: never
}

func newReference() *reference {
	return &reference{
		mu: new(sync.Mutex), entries: make(map[string]entry), closed: new(bool), now: time.Now, defaultTTL: store.Forever,
		leases: make(map[string]lease), locks: newLockTable(), watchers: make(map[*told]bool),
	}
}

// second is another handle on the same data, with a life of its own.
func (r *reference) second() *reference {
	other := *r
	other.closed = new(bool)
	return &other
}

var (
	_ store.GetManyStore          = (*reference)(nil)
	_ store.SetManyStore          = (*reference)(nil)
	_ store.DeleteManyStore       = (*reference)(nil)
	_ store.GetWithTTLStore       = (*reference)(nil)
	_ store.GetManyWithTTLStore   = (*reference)(nil)
	_ store.AddStore              = (*reference)(nil)
	_ store.CompareAndSwapStore   = (*reference)(nil)
	_ store.CompareAndDeleteStore = (*reference)(nil)
	_ store.TouchStore            = (*reference)(nil)
	_ store.KeysStore             = (*reference)(nil)
	_ store.ClearStore            = (*reference)(nil)
	_ store.LiveStore             = (*reference)(nil)
	_ store.PingStore             = (*reference)(nil)
	_ store.WatchStore            = (*reference)(nil)
	_ store.LeaseStore            = (*reference)(nil)
)

// begin checks the arguments and locks.
func (r *reference) begin(ctx context.Context, op string, keys ...string) error {
	if err := store.Check(ctx, op, keys...); err != nil {
		return err
	}
	key := ""
	if len(keys) == 1 {
		key = keys[0]
	}
	if err := r.backend.reach(ctx, op, key); err != nil {
		return err
	}
	r.mu.Lock()
	if *r.closed {
		r.mu.Unlock()
		return store.Errorf(op, key, store.ErrClosed, "the store is closed")
	}
	return nil
}

func (r *reference) beginWrite(ctx context.Context, op, key string, ttl time.Duration) error {
	if err := store.CheckTTL(op, key, ttl); err != nil {
		return err
	}
	return r.begin(ctx, op, key)
}

// find returns the live entry.
func (r *reference) find(key string) (entry, bool) {
	e, _, ok := r.findWithTTL(key)
	return e, ok
}

// findWithTTL returns the live entry and the time that is left of it, which is
// one reading of the clock: by a second one it may have expired.
func (r *reference) findWithTTL(key string) (entry, time.Duration, bool) {
	e, ok := r.entries[key]
	if !ok || e.expires.IsZero() {
		return e, store.Forever, ok
	}
	left := e.expires.Sub(r.now())
	if left <= 0 {
		r.drop(key)
		return entry{}, 0, false
	}
	return e, left, true
}

// drop removes the entry, if there is one, and leaves the lease.
func (r *reference) drop(key string) {
	if _, ok := r.entries[key]; ok {
		delete(r.entries, key)
		r.tell(func(w store.Watcher) { w.Invalidate(key) })
	}
}

// remove is Delete.
func (r *reference) remove(key string) {
	delete(r.leases, key)
	r.drop(key)
}

// put stores an entry. If it is too large there is none afterwards.
func (r *reference) put(op, key string, l *store.Live, ttl time.Duration) error {
	if r.maxValue > 0 {
		if b, err := l.Bytes(); err == nil && len(b) > r.maxValue {
			r.remove(key)
			return store.Errorf(op, key, store.ErrTooLarge, "%d bytes are more than %d", len(b), r.maxValue)
		}
	}
	delete(r.leases, key)
	r.entries[key] = entry{l, r.deadline(ttl)}
	r.tell(func(w store.Watcher) { w.Invalidate(key) })
	r.sweepAfter(r.entries[key])
	return nil
}

func (r *reference) deadline(ttl time.Duration) time.Time {
	if ttl == store.DefaultTTL {
		ttl = r.defaultTTL
	}
	if ttl == store.Forever {
		return time.Time{}
	}
	return r.now().Add(ttl)
}

func copyOf(b []byte) *store.Live { return store.LiveBytes(bytes.Clone(b)) }

func (e entry) is(value []byte) bool {
	b, err := e.live.Bytes()
	return err == nil && bytes.Equal(b, value)
}

func (r *reference) Get(ctx context.Context, key string) ([]byte, error) {
	if err := r.begin(ctx, "get", key); err != nil {
		return nil, err
	}
	defer r.mu.Unlock()
	e, ok := r.find(key)
	if !ok {
		return nil, store.ErrNotFound
	}
	b, err := e.live.Bytes()
	if err != nil {
		return nil, store.Errorf("get", key, store.ErrInvalid, "encode: %w", err)
	}
	return append([]byte{}, b...), nil
}

func (r *reference) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := r.beginWrite(ctx, "set", key, ttl); err != nil {
		return err
	}
	defer r.mu.Unlock()
	return r.put("set", key, copyOf(value), ttl)
}

func (r *reference) Delete(ctx context.Context, key string) error {
	if err := r.begin(ctx, "delete", key); err != nil {
		return err
	}
	defer r.mu.Unlock()
	r.remove(key)
	return nil
}

func (r *reference) TTL(ctx context.Context, key string) (time.Duration, error) {
	if err := r.begin(ctx, "ttl", key); err != nil {
		return 0, err
	}
	defer r.mu.Unlock()
	_, left, ok := r.findWithTTL(key)
	if !ok {
		return 0, store.ErrNotFound
	}
	return left, nil
}

func (r *reference) GetMany(ctx context.Context, keys []string) (map[string][]byte, error) {
	if err := r.begin(ctx, "getmany", keys...); err != nil {
		return nil, err
	}
	defer r.mu.Unlock()
	values := make(map[string][]byte)
	for _, key := range keys {
		if e, ok := r.find(key); ok {
			b, _ := e.live.Bytes()
			values[key] = append([]byte{}, b...)
		}
	}
	return values, nil
}

func (r *reference) SetMany(ctx context.Context, items []store.Item) error {
	if err := store.CheckItems(ctx, "setmany", items); err != nil {
		return err
	}
	if err := r.begin(ctx, "setmany"); err != nil {
		return err
	}
	defer r.mu.Unlock()
	for _, item := range items {
		if err := r.put("setmany", item.Key, copyOf(item.Value), item.TTL); err != nil {
			return err
		}
	}
	return nil
}

func (r *reference) DeleteMany(ctx context.Context, keys []string) error {
	if err := r.begin(ctx, "deletemany", keys...); err != nil {
		return err
	}
	defer r.mu.Unlock()
	for _, key := range keys {
		r.remove(key)
	}
	return nil
}

func (r *reference) GetWithTTL(ctx context.Context, key string) ([]byte, time.Duration, error) {
	if err := r.begin(ctx, "getwithttl", key); err != nil {
		return nil, 0, err
	}
	defer r.mu.Unlock()
	e, left, ok := r.findWithTTL(key)
	if !ok {
		return nil, 0, store.ErrNotFound
	}
	b, _ := e.live.Bytes()
	return append([]byte{}, b...), left, nil
}

func (r *reference) GetManyWithTTL(ctx context.Context, keys []string) (map[string]store.Entry, error) {
	if err := r.begin(ctx, "getmanywithttl", keys...); err != nil {
		return nil, err
	}
	defer r.mu.Unlock()
	entries := make(map[string]store.Entry)
	for _, key := range keys {
		if e, left, ok := r.findWithTTL(key); ok {
			b, _ := e.live.Bytes()
			entries[key] = store.Entry{Value: append([]byte{}, b...), TTL: left}
		}
	}
	return entries, nil
}

func (r *reference) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if err := r.beginWrite(ctx, "add", key, ttl); err != nil {
		return false, err
	}
	defer r.mu.Unlock()
	if _, ok := r.find(key); ok {
		return false, nil
	}
	err := r.put("add", key, copyOf(value), ttl)
	return err == nil, err
}

func (r *reference) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (bool, error) {
	if err := r.beginWrite(ctx, "compareandswap", key, ttl); err != nil {
		return false, err
	}
	defer r.mu.Unlock()
	if e, ok := r.find(key); !ok || !e.is(old) {
		return false, nil
	}
	err := r.put("compareandswap", key, copyOf(new), ttl)
	return err == nil, err
}

func (r *reference) CompareAndDelete(ctx context.Context, key string, old []byte) (bool, error) {
	if err := r.begin(ctx, "compareanddelete", key); err != nil {
		return false, err
	}
	defer r.mu.Unlock()
	if e, ok := r.find(key); !ok || !e.is(old) {
		return false, nil
	}
	r.remove(key)
	return true, nil
}

func (r *reference) Touch(ctx context.Context, key string, ttl time.Duration) error {
	if err := r.beginWrite(ctx, "touch", key, ttl); err != nil {
		return err
	}
	defer r.mu.Unlock()
	e, ok := r.find(key)
	if !ok {
		return store.ErrNotFound
	}
	r.entries[key] = entry{e.live, r.deadline(ttl)}
	r.sweepAfter(r.entries[key])
	return nil
}

func (r *reference) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := r.begin(ctx, "keys"); err != nil {
			yield("", err)
			return
		}
		keys := slices.Collect(maps.Keys(r.entries))
		keys = slices.DeleteFunc(keys, func(key string) bool {
			_, ok := r.find(key)
			return !ok || !strings.HasPrefix(key, prefix)
		})
		r.mu.Unlock()
		for _, key := range keys {
			if err := ctx.Err(); err != nil {
				yield("", &store.Error{Op: "keys", Err: err})
				return
			}
			if !yield(key, nil) {
				return
			}
		}
	}
}

func (r *reference) Clear(ctx context.Context) error {
	if err := r.begin(ctx, "clear"); err != nil {
		return err
	}
	defer r.mu.Unlock()
	clear(r.entries)
	clear(r.leases)
	r.tell(func(w store.Watcher) { w.Flush() })
	return nil
}

func (r *reference) GetLive(ctx context.Context, key string) (*store.Live, error) {
	if err := r.begin(ctx, "getlive", key); err != nil {
		return nil, err
	}
	defer r.mu.Unlock()
	e, ok := r.find(key)
	if !ok {
		return nil, store.ErrNotFound
	}
	return e.live, nil
}

func (r *reference) GetLiveAt(ctx context.Context, key string, now time.Time) (*store.Live, error) {
	if r.ownClock {
		return nil, errors.ErrUnsupported
	}
	if err := r.begin(ctx, "getliveat", key); err != nil {
		return nil, err
	}
	defer r.mu.Unlock()
	e, ok := r.find(key)
	if !ok || !e.expires.IsZero() && !now.Before(e.expires) {
		return nil, store.ErrNotFound
	}
	return e.live, nil
}

func (r *reference) SetLive(ctx context.Context, key string, l *store.Live, ttl time.Duration) error {
	if err := r.beginWrite(ctx, "setlive", key, ttl); err != nil {
		return err
	}
	defer r.mu.Unlock()
	if l == nil {
		return store.Errorf("setlive", key, store.ErrInvalid, "the Live is nil")
	}
	return r.put("setlive", key, l, ttl)
}

func (r *reference) Ping(ctx context.Context) error {
	if err := r.begin(ctx, "ping"); err != nil {
		return err
	}
	r.mu.Unlock()
	return nil
}

func (r *reference) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	*r.closed = true
	return nil
}
