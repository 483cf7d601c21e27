package conformance

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cairncache/cairn/store"
)

// A client calls a store in one way, with one context, and notes each call. It
// has the methods of the contract, by their names.
type client struct {
	t    *trial
	s    store.Store
	ctx  context.Context
	way  way
	name string // "second" for a second handle
}

// with is the same client with another context.
func (c *client) with(ctx context.Context) *client {
	other := *c
	other.ctx = ctx
	return &other
}

// by is the same client, calling abilities in another way.
func (c *client) by(w way) *client {
	other := *c
	other.way = w
	return &other
}

// on is the same client on another store.
func (c *client) on(s store.Store, name string) *client {
	other := *c
	other.s, other.name = s, name
	return &other
}

type valueAndTTL struct {
	value []byte
	ttl   time.Duration
}

func (c *client) Get(key string) *outcome {
	return c.call("get", key, quote(key), func() (any, error) { return c.s.Get(c.ctx, key) })
}

func (c *client) Set(key, value string, ttl time.Duration) *outcome {
	return c.setBytes(key, []byte(value), ttl)
}

// setBytes is Set for cases that mind which slice it is.
func (c *client) setBytes(key string, value []byte, ttl time.Duration) *outcome {
	return c.call("set", key, writing(key, value, ttl), func() (any, error) {
		return nil, c.s.Set(c.ctx, key, value, ttl)
	})
}

func (c *client) Delete(key string) *outcome {
	return c.call("delete", key, quote(key), func() (any, error) { return nil, c.s.Delete(c.ctx, key) })
}

func (c *client) TTL(key string) *outcome {
	return c.call("ttl", key, quote(key), func() (any, error) { return c.s.TTL(c.ctx, key) })
}

func (c *client) GetMany(keys ...string) *outcome {
	return c.ability("GetMany", "", quoteAll(keys), func() (any, error) {
		if c.way == byMethod {
			return c.s.(store.GetManyStore).GetMany(c.ctx, keys)
		}
		return store.GetMany(c.ctx, c.s, keys)
	})
}

func (c *client) SetMany(items ...store.Item) *outcome {
	for _, item := range items {
		c.t.use(item.Key)
	}
	return c.ability("SetMany", "", showItems(items), func() (any, error) {
		if c.way == byMethod {
			return nil, c.s.(store.SetManyStore).SetMany(c.ctx, items)
		}
		return nil, store.SetMany(c.ctx, c.s, items)
	})
}

func (c *client) DeleteMany(keys ...string) *outcome {
	return c.ability("DeleteMany", "", quoteAll(keys), func() (any, error) {
		if c.way == byMethod {
			return nil, c.s.(store.DeleteManyStore).DeleteMany(c.ctx, keys)
		}
		return nil, store.DeleteMany(c.ctx, c.s, keys)
	})
}

func (c *client) GetWithTTL(key string) *outcome {
	return c.ability("GetWithTTL", key, quote(key), func() (any, error) {
		var (
			r   valueAndTTL
			err error
		)
		if c.way == byMethod {
			r.value, r.ttl, err = c.s.(store.GetWithTTLStore).GetWithTTL(c.ctx, key)
		} else {
			r.value, r.ttl, err = store.GetWithTTL(c.ctx, c.s, key)
		}
		return r, err
	})
}

func (c *client) GetManyWithTTL(keys ...string) *outcome {
	return c.ability("GetManyWithTTL", "", quoteAll(keys), func() (any, error) {
		if c.way == byMethod {
			return c.s.(store.GetManyWithTTLStore).GetManyWithTTL(c.ctx, keys)
		}
		return store.GetManyWithTTL(c.ctx, c.s, keys)
	})
}

func (c *client) Add(key, value string, ttl time.Duration) *outcome {
	return c.addBytes(key, []byte(value), ttl)
}

func (c *client) addBytes(key string, value []byte, ttl time.Duration) *outcome {
	return c.ability("Add", key, writing(key, value, ttl), func() (any, error) {
		if c.way == byMethod {
			return c.s.(store.AddStore).Add(c.ctx, key, value, ttl)
		}
		return store.Add(c.ctx, c.s, key, value, ttl)
	})
}

func (c *client) CompareAndSwap(key string, old, value []byte, ttl time.Duration) *outcome {
	return c.ability("CompareAndSwap", key, quote(key)+", "+showBytes(old)+", "+showBytes(value)+", "+showTTL(ttl), func() (any, error) {
		if c.way == byMethod {
			return c.s.(store.CompareAndSwapStore).CompareAndSwap(c.ctx, key, old, value, ttl)
		}
		return store.CompareAndSwap(c.ctx, c.s, key, old, value, ttl)
	})
}

func (c *client) CompareAndDelete(key string, old []byte) *outcome {
	return c.ability("CompareAndDelete", key, quote(key)+", "+showBytes(old), func() (any, error) {
		if c.way == byMethod {
			return c.s.(store.CompareAndDeleteStore).CompareAndDelete(c.ctx, key, old)
		}
		return store.CompareAndDelete(c.ctx, c.s, key, old)
	})
}

func (c *client) Touch(key string, ttl time.Duration) *outcome {
	return c.ability("Touch", key, quote(key)+", "+showTTL(ttl), func() (any, error) {
		if c.way == byMethod {
			return nil, c.s.(store.TouchStore).Touch(c.ctx, key, ttl)
		}
		return nil, store.Touch(c.ctx, c.s, key, ttl)
	})
}

// Keys collects the keys, sorted, until each returns false.
func (c *client) Keys(prefix string, each func(key string) bool) *outcome {
	return c.ability("Keys", "", quote(prefix), func() (any, error) {
		seq := store.Keys(c.ctx, c.s, prefix)
		if c.way == byMethod {
			seq = c.s.(store.KeysStore).Keys(c.ctx, prefix)
		}
		var (
			keys   []string
			failed error
		)
		for key, err := range seq {
			if failed != nil {
				return keys, fmt.Errorf("something was yielded after the error: %v", failed)
			}
			if err != nil {
				if key != "" {
					return keys, fmt.Errorf("the key %s was yielded with the error: %v", quote(key), err)
				}
				failed = err
				continue
			}
			keys = append(keys, key)
			if each != nil && !each(key) {
				break
			}
		}
		slices.Sort(keys)
		return keys, failed
	})
}

func (c *client) Clear() *outcome {
	return c.ability("Clear", "", "", func() (any, error) {
		if c.way == byMethod {
			return nil, c.s.(store.ClearStore).Clear(c.ctx)
		}
		return nil, store.Clear(c.ctx, c.s)
	})
}

func (c *client) GetLive(key string) *outcome {
	return c.ability("GetLive", key, quote(key), func() (any, error) {
		if c.way == byMethod {
			return c.s.(store.LiveStore).GetLive(c.ctx, key)
		}
		return store.GetLive(c.ctx, c.s, key)
	})
}

func (c *client) GetLiveAt(key string, now time.Time) *outcome {
	return c.ability("GetLiveAt", key, quote(key)+", a time", func() (any, error) {
		if c.way == byMethod {
			return c.s.(store.LiveAtStore).GetLiveAt(c.ctx, key, now)
		}
		return store.GetLiveAt(c.ctx, c.s, key, now)
	})
}

func (c *client) SetLive(key string, l *store.Live, ttl time.Duration) *outcome {
	return c.ability("SetLive", key, quote(key)+", a Live, "+showTTL(ttl), func() (any, error) {
		if c.way == byMethod {
			return nil, c.s.(store.LiveStore).SetLive(c.ctx, key, l, ttl)
		}
		return nil, store.SetLive(c.ctx, c.s, key, l, ttl)
	})
}

func (c *client) Watch(w store.Watcher) *outcome {
	return c.ability("Watch", "", "a Watcher", func() (any, error) {
		if c.way == byMethod {
			return nil, c.s.(store.WatchStore).Watch(c.ctx, w)
		}
		return nil, store.Watch(c.ctx, c.s, w)
	})
}

func (c *client) GetOrLease(key, token string, life time.Duration, despite *store.Live) *outcome {
	args := leasing(key, token, life)
	if despite != nil {
		args += ", despite a Live"
	}
	return c.ability("GetOrLease", key, args, func() (any, error) {
		if c.way == byMethod {
			return c.s.(store.LeaseStore).GetOrLease(c.ctx, key, token, life, despite)
		}
		return store.GetOrLease(c.ctx, c.s, key, token, life, despite)
	})
}

func (c *client) Fill(key, token, value string, ttl time.Duration) *outcome {
	return c.fillLive(key, token, store.LiveBytes([]byte(value)), ttl)
}

// fillLive is Fill for cases that mind which Live it is.
func (c *client) fillLive(key, token string, l *store.Live, ttl time.Duration) *outcome {
	return c.ability("Fill", key, quote(key)+", "+quote(token)+", a Live, "+showTTL(ttl), func() (any, error) {
		if c.way == byMethod {
			return c.s.(store.LeaseStore).Fill(c.ctx, key, token, l, ttl)
		}
		return store.Fill(c.ctx, c.s, key, token, l, ttl)
	})
}

func (c *client) RenewLease(key, token string, life time.Duration) *outcome {
	return c.ability("RenewLease", key, leasing(key, token, life), func() (any, error) {
		if c.way == byMethod {
			return c.s.(store.LeaseStore).RenewLease(c.ctx, key, token, life)
		}
		return store.RenewLease(c.ctx, c.s, key, token, life)
	})
}

func (c *client) Abandon(key, token string) *outcome {
	return c.ability("Abandon", key, quote(key)+", "+quote(token), func() (any, error) {
		if c.way == byMethod {
			return nil, c.s.(store.LeaseStore).Abandon(c.ctx, key, token)
		}
		return nil, store.Abandon(c.ctx, c.s, key, token)
	})
}

func (c *client) Hold(key string, life time.Duration) *outcome {
	return c.ability("Hold", key, quote(key)+", "+life.String(), func() (any, error) {
		if c.way == byMethod {
			return nil, c.s.(store.LeaseStore).Hold(c.ctx, key, life)
		}
		return nil, store.Hold(c.ctx, c.s, key, life)
	})
}

func (c *client) Ping() *outcome {
	return c.ability("Ping", "", "", func() (any, error) {
		if c.way == byMethod {
			return nil, c.s.(store.PingStore).Ping(c.ctx)
		}
		return nil, store.Ping(c.ctx, c.s)
	})
}

func (c *client) Close() *outcome {
	return c.call("close", "", "", func() (any, error) { return nil, store.Close(c.s) })
}

func writing(key string, value []byte, ttl time.Duration) string {
	return quote(key) + ", " + showBytes(value) + ", " + showTTL(ttl)
}

func leasing(key, token string, life time.Duration) string {
	return quote(key) + ", " + quote(token) + ", " + life.String()
}

func showItems(items []store.Item) string {
	const shown = 4
	text := ""
	for i, item := range items {
		if i == shown {
			text += fmt.Sprintf(" … (%d)", len(items))
			break
		}
		text += "{" + writing(item.Key, item.Value, item.TTL) + "}"
	}
	return "[" + text + "]"
}
