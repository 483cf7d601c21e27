package disk

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairncache/cairn/conformance"
	"github.com/cairncache/cairn/store"
)

// A handle is a store whose calls are made by do, wherever that is.
type handle struct {
	path string
	do   func(context.Context, call) (reply, error)
}

func (h handle) Get(ctx context.Context, key string) ([]byte, error) {
	r, err := h.do(ctx, call{Op: "get", Key: key})
	return r.Value, err
}

func (h handle) GetWithTTL(ctx context.Context, key string) ([]byte, time.Duration, error) {
	r, err := h.do(ctx, call{Op: "getwithttl", Key: key})
	return r.Value, r.TTL, err
}

func (h handle) GetMany(ctx context.Context, keys []string) (map[string][]byte, error) {
	r, err := h.do(ctx, call{Op: "getmany", Keys: keys})
	return r.Values, err
}

func (h handle) TTL(ctx context.Context, key string) (time.Duration, error) {
	r, err := h.do(ctx, call{Op: "ttl", Key: key})
	return r.TTL, err
}

func (h handle) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	_, err := h.do(ctx, call{Op: "set", Key: key, New: value, TTL: ttl})
	return err
}

func (h handle) Delete(ctx context.Context, key string) error {
	_, err := h.do(ctx, call{Op: "delete", Key: key})
	return err
}

func (h handle) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	r, err := h.do(ctx, call{Op: "add", Key: key, New: value, TTL: ttl})
	return r.OK, err
}

func (h handle) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (bool, error) {
	r, err := h.do(ctx, call{Op: "compareandswap", Key: key, Old: old, New: new, TTL: ttl})
	return r.OK, err
}

func (h handle) CompareAndDelete(ctx context.Context, key string, old []byte) (bool, error) {
	r, err := h.do(ctx, call{Op: "compareanddelete", Key: key, Old: old})
	return r.OK, err
}

func (h handle) Touch(ctx context.Context, key string, ttl time.Duration) error {
	_, err := h.do(ctx, call{Op: "touch", Key: key, TTL: ttl})
	return err
}

// Keys asks for one shard after the other, as Store.Keys does.
func (h handle) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return keysBy(func(shard int) ([]string, error) {
		r, err := h.do(ctx, call{Op: "keys", Key: prefix, Shard: shard})
		return r.Keys, err
	})
}

func (h handle) Clear(ctx context.Context) error {
	_, err := h.do(ctx, call{Op: "clear"})
	return err
}

func (h handle) Close() error {
	_, err := h.do(context.Background(), call{Op: "close"})
	return err
}

// newHandle is of a Store of this process.
func newHandle(t *testing.T, path string, o *Options) handle {
	t.Helper()
	s := newStore(t, path, o)
	return handle{path, func(ctx context.Context, c call) (reply, error) { return perform(ctx, s, c) }}
}

// alternate makes every other call by a, and those between by b.
func alternate(a, b handle) handle {
	var calls atomic.Uint64
	return handle{a.path, func(ctx context.Context, c call) (reply, error) {
		if c.Op == "close" {
			return reply{}, errors.Join(a.Close(), b.Close())
		}
		if calls.Add(1)%2 == 1 {
			return a.do(ctx, c)
		}
		return b.do(ctx, c)
	}}
}

// Another process is another handle: as the second one, and so that the calls
// of each handle alternate between the processes.
func TestConformanceOfProcesses(t *testing.T) {
	t.Parallel()
	other, o := startServer(t), new(Options)
	for name, c := range map[string]struct {
		open, reopen func(t *testing.T, path string) store.Store
	}{
		"Second": {
			func(t *testing.T, path string) store.Store { return newHandle(t, path, o) },
			func(t *testing.T, path string) store.Store { return other.open(t, path, o) },
		},
		"Alternating": {
			func(t *testing.T, path string) store.Store {
				return alternate(newHandle(t, path, o), other.open(t, path, o))
			},
			func(t *testing.T, path string) store.Store {
				return alternate(other.open(t, path, o), newHandle(t, path, o))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, func(t *testing.T) store.Store { return c.open(t, newFastPath(t)) }, &conformance.Options{
				Want:   append([]string{"Clear"}, abilities...),
				Reopen: func(t *testing.T, s store.Store) store.Store { return c.reopen(t, s.(handle).path) },
			})
		})
	}
}
