package store

import (
	"context"
	"iter"
	"strings"
	"time"
)

// Prefix returns a view of s in which every key is preceded by prefix: two
// views of one store with prefixes of which none begins with the other do not
// see each other's entries. The view has the abilities of s, with the prefix
// left out of all keys and errors, and closing it closes s.
//
// The prefix counts towards MaxKeyLen. The view does not implement ClearStore,
// as clearing s would remove what is beside the view; the function Clear works
// on it if s can list its keys. With an empty prefix the view is s itself.
func Prefix(s Store, prefix string) Store {
	if prefix == "" && s != nil {
		return s
	}
	return &prefixed{s, prefix}
}

type prefixed struct {
	s      Store
	prefix string
}

var (
	_ Wrapper               = (*prefixed)(nil)
	_ GetManyStore          = (*prefixed)(nil)
	_ SetManyStore          = (*prefixed)(nil)
	_ DeleteManyStore       = (*prefixed)(nil)
	_ GetWithTTLStore       = (*prefixed)(nil)
	_ GetManyWithTTLStore   = (*prefixed)(nil)
	_ AddStore              = (*prefixed)(nil)
	_ CompareAndSwapStore   = (*prefixed)(nil)
	_ CompareAndDeleteStore = (*prefixed)(nil)
	_ TouchStore            = (*prefixed)(nil)
	_ KeysStore             = (*prefixed)(nil)
	_ LiveAtStore           = (*prefixed)(nil)
	_ WatchStore            = (*prefixed)(nil)
	_ LeaseStore            = (*prefixed)(nil)
	_ PingStore             = (*prefixed)(nil)
)

func (p *prefixed) Unwrap() Store { return p.s }

func (p *prefixed) Close() error { return Close(p.s) }

func (p *prefixed) Get(ctx context.Context, key string) ([]byte, error) {
	full, err := p.key("get", key)
	if err != nil {
		return nil, err
	}
	value, err := p.s.Get(ctx, full)
	return value, p.rename(err)
}

func (p *prefixed) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	full, err := p.key("set", key)
	if err != nil {
		return err
	}
	return p.rename(p.s.Set(ctx, full, value, ttl))
}

func (p *prefixed) Delete(ctx context.Context, key string) error {
	full, err := p.key("delete", key)
	if err != nil {
		return err
	}
	return p.rename(p.s.Delete(ctx, full))
}

func (p *prefixed) TTL(ctx context.Context, key string) (time.Duration, error) {
	full, err := p.key("ttl", key)
	if err != nil {
		return 0, err
	}
	ttl, err := p.s.TTL(ctx, full)
	return ttl, p.rename(err)
}

func (p *prefixed) GetMany(ctx context.Context, keys []string) (map[string][]byte, error) {
	full, err := p.keys("getmany", keys)
	if err != nil {
		return nil, err
	}
	found, err := GetMany(ctx, p.s, full)
	return strip(p, found), p.rename(err)
}

func (p *prefixed) SetMany(ctx context.Context, items []Item) error {
	full := make([]Item, len(items))
	for i, item := range items {
		key, err := p.key("setmany", item.Key)
		if err != nil {
			return err
		}
		full[i] = Item{key, item.Value, item.TTL}
	}
	return p.rename(SetMany(ctx, p.s, full))
}

func (p *prefixed) DeleteMany(ctx context.Context, keys []string) error {
	full, err := p.keys("deletemany", keys)
	if err != nil {
		return err
	}
	return p.rename(DeleteMany(ctx, p.s, full))
}

func (p *prefixed) GetWithTTL(ctx context.Context, key string) ([]byte, time.Duration, error) {
	full, err := p.key("getwithttl", key)
	if err != nil {
		return nil, 0, err
	}
	value, ttl, err := GetWithTTL(ctx, p.s, full)
	return value, ttl, p.rename(err)
}

func (p *prefixed) GetManyWithTTL(ctx context.Context, keys []string) (map[string]Entry, error) {
	full, err := p.keys("getmanywithttl", keys)
	if err != nil {
		return nil, err
	}
	found, err := GetManyWithTTL(ctx, p.s, full)
	return strip(p, found), p.rename(err)
}

func (p *prefixed) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	full, err := p.key("add", key)
	if err != nil {
		return false, err
	}
	added, err := Add(ctx, p.s, full, value, ttl)
	return added, p.rename(err)
}

func (p *prefixed) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (bool, error) {
	full, err := p.key("compareandswap", key)
	if err != nil {
		return false, err
	}
	swapped, err := CompareAndSwap(ctx, p.s, full, old, new, ttl)
	return swapped, p.rename(err)
}

func (p *prefixed) CompareAndDelete(ctx context.Context, key string, old []byte) (bool, error) {
	full, err := p.key("compareanddelete", key)
	if err != nil {
		return false, err
	}
	deleted, err := CompareAndDelete(ctx, p.s, full, old)
	return deleted, p.rename(err)
}

func (p *prefixed) Touch(ctx context.Context, key string, ttl time.Duration) error {
	full, err := p.key("touch", key)
	if err != nil {
		return err
	}
	return p.rename(Touch(ctx, p.s, full, ttl))
}

func (p *prefixed) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for key, err := range Keys(ctx, p.s, p.prefix+prefix) {
			if !yield(strings.TrimPrefix(key, p.prefix), p.rename(err)) {
				return
			}
		}
	}
}

func (p *prefixed) GetLive(ctx context.Context, key string) (*Live, error) {
	full, err := p.key("getlive", key)
	if err != nil {
		return nil, err
	}
	l, err := GetLive(ctx, p.s, full)
	return l, p.rename(err)
}

func (p *prefixed) GetLiveAt(ctx context.Context, key string, now time.Time) (*Live, error) {
	full, err := p.key("getliveat", key)
	if err != nil {
		return nil, err
	}
	l, err := GetLiveAt(ctx, p.s, full, now)
	return l, p.rename(err)
}

func (p *prefixed) SetLive(ctx context.Context, key string, l *Live, ttl time.Duration) error {
	full, err := p.key("setlive", key)
	if err != nil {
		return err
	}
	return p.rename(SetLive(ctx, p.s, full, l, ttl))
}

func (p *prefixed) Ping(ctx context.Context) error {
	return p.rename(Ping(ctx, p.s))
}

func (p *prefixed) Watch(ctx context.Context, w Watcher) error {
	if w != nil { // nil is for Watch to refuse
		w = &prefixedWatcher{w, p.prefix}
	}
	return p.rename(Watch(ctx, p.s, w))
}

// prefixedWatcher is told of all keys of the store below and passes on those of
// the view.
type prefixedWatcher struct {
	Watcher
	prefix string
}

func (p *prefixedWatcher) Invalidate(keys ...string) {
	own := make([]string, 0, len(keys))
	for _, key := range keys {
		if key, ok := strings.CutPrefix(key, p.prefix); ok && key != "" {
			own = append(own, key)
		}
	}
	if len(own) > 0 {
		p.Watcher.Invalidate(own...)
	}
}

func (p *prefixed) GetOrLease(ctx context.Context, key, token string, life time.Duration, despite *Live) (Lookup, error) {
	full, err := p.key("getorlease", key)
	if err != nil {
		return Lookup{}, err
	}
	found, err := GetOrLease(ctx, p.s, full, token, life, despite)
	return found, p.rename(err)
}

func (p *prefixed) Fill(ctx context.Context, key, token string, l *Live, ttl time.Duration) (bool, error) {
	full, err := p.key("fill", key)
	if err != nil {
		return false, err
	}
	filled, err := Fill(ctx, p.s, full, token, l, ttl)
	return filled, p.rename(err)
}

func (p *prefixed) RenewLease(ctx context.Context, key, token string, life time.Duration) (bool, error) {
	full, err := p.key("renewlease", key)
	if err != nil {
		return false, err
	}
	renewed, err := RenewLease(ctx, p.s, full, token, life)
	return renewed, p.rename(err)
}

func (p *prefixed) Abandon(ctx context.Context, key, token string) error {
	full, err := p.key("abandon", key)
	if err != nil {
		return err
	}
	return p.rename(Abandon(ctx, p.s, full, token))
}

func (p *prefixed) Hold(ctx context.Context, key string, life time.Duration) error {
	full, err := p.key("hold", key)
	if err != nil {
		return err
	}
	return p.rename(Hold(ctx, p.s, full, life))
}

// key checks what the store below cannot see: that key is not empty, and that
// it is the prefix which makes it too long.
func (p *prefixed) key(op, key string) (string, error) {
	if err := checkStore(op, p.s); err != nil {
		return "", err
	}
	switch {
	case key == "":
		return "", badKey(op, key)
	case len(key) <= MaxKeyLen && len(p.prefix)+len(key) > MaxKeyLen:
		return "", Errorf(op, key, ErrInvalid, "the key has %d bytes and its prefix %s %d, together more than MaxKeyLen (%d)",
			len(key), quoteKey(p.prefix), len(p.prefix), MaxKeyLen)
	}
	return p.prefix + key, nil
}

func (p *prefixed) keys(op string, keys []string) ([]string, error) {
	full := make([]string, len(keys))
	for i, key := range keys {
		var err error
		if full[i], err = p.key(op, key); err != nil {
			return nil, err
		}
	}
	return full, nil
}

// strip takes the prefix out of the keys of a result.
func strip[V any](p *prefixed, found map[string]V) map[string]V {
	values := make(map[string]V, len(found))
	for key, value := range found {
		values[strings.TrimPrefix(key, p.prefix)] = value
	}
	return values
}

// rename takes the prefix out of the keys in err.
func (p *prefixed) rename(err error) error {
	switch e := err.(type) { // what another error wraps is not ours to change
	case *Error:
		if key, ok := strings.CutPrefix(e.Key, p.prefix); ok {
			return &Error{e.Op, key, e.Err}
		}
	case *batchError:
		renamed := make(batchError, len(*e))
		for i, one := range *e {
			renamed[i] = p.rename(one)
		}
		return &renamed
	}
	return err
}
