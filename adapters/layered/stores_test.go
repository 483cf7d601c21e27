package layered_test

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/adapters/redis"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// openStore makes the layered store of a process.
func (m *member) openStore() (store.Store, error) {
	var client goredis.UniversalClient
	if m.Master != "" {
		client = newFailoverClient(m.Sentinels, m.Master)
	} else {
		client = newClient(m.Store)
	}
	if m.Naive {
		l2, err := redis.New(client, &redis.Options{Prefix: m.Prefix})
		if err != nil {
			return nil, err
		}
		l1, err := memory.New(&memory.Options{MaxEntries: 10000})
		if err != nil {
			return nil, err
		}
		return newNaive(l1, delayed(l2, m.pause), client, m.Prefix+"naive")
	}
	n, err := openNode(client, m.Prefix, nodeOptions{
		delta: m.Delta, watch: m.WatchDelta, off: m.Off, pause: m.pause,
	})
	if err != nil {
		return nil, err
	}
	return n.Store, nil
}

// abilities are those of a store but leases.
type abilities interface {
	store.GetManyStore
	store.SetManyStore
	store.DeleteManyStore
	store.GetWithTTLStore
	store.GetManyWithTTLStore
	store.AddStore
	store.CompareAndSwapStore
	store.CompareAndDeleteStore
	store.TouchStore
	store.KeysStore
	store.ClearStore
	store.PingStore
	store.WatchStore
}

// unleased returns s without leases.
func unleased(s store.Store) store.Store { return struct{ abilities }{s.(abilities)} }

// delayed returns s with a pause before and after each call, and all of its
// abilities.
func delayed(s store.Store, pause func()) store.Store {
	return storetest.Intercept(s, func(ctx context.Context, _ storetest.Call, next func(context.Context) error) error {
		pause()
		err := next(ctx)
		pause()
		return err
	})
}

// naive is what one would write at first: a Delete is published, and each
// process removes the key from its L1 when it is told. The stress test must
// fail with it.
type naive struct {
	l1, l2  store.Store
	client  goredis.UniversalClient
	channel string
}

func newNaive(l1, l2 store.Store, client goredis.UniversalClient, channel string) (*naive, error) {
	ctx := context.Background()
	told := client.Subscribe(ctx, channel)
	if _, err := told.Receive(ctx); err != nil {
		return nil, err
	}
	go func() {
		for message := range told.Channel() {
			l1.Delete(ctx, message.Payload)
		}
	}()
	return &naive{l1, l2, client, channel}, nil
}

func (n *naive) Get(ctx context.Context, key string) ([]byte, error) {
	if value, err := n.l1.Get(ctx, key); err == nil {
		return value, nil
	}
	value, ttl, err := store.GetWithTTL(ctx, n.l2, key)
	if err == nil {
		n.l1.Set(ctx, key, value, ttl)
	}
	return value, err
}

func (n *naive) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	err := n.l2.Set(ctx, key, value, ttl)
	if err == nil {
		n.l1.Set(ctx, key, value, ttl)
	}
	return err
}

func (n *naive) Delete(ctx context.Context, key string) error {
	if err := n.l2.Delete(ctx, key); err != nil {
		return err
	}
	n.l1.Delete(ctx, key)
	return n.client.Publish(ctx, n.channel, key).Err()
}

func (n *naive) TTL(ctx context.Context, key string) (time.Duration, error) {
	return n.l2.TTL(ctx, key)
}
