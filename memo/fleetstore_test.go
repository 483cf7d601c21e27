package memo_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/store"
)

// fleetStore is the least store that several processes load together over: it
// has leases, and tells of changes as long as watch is set.
type fleetStore struct {
	*liveStore
	watched bool

	write    sync.Mutex // one at a time
	leases   map[string]fleetLease
	watchers []store.Watcher

	asked, filled, refused, renewed, abandoned atomic.Int64
}

type fleetLease struct {
	token   string
	hold    bool
	ends    time.Time
	despite *store.Live
}

func newFleetStore(watched bool) *fleetStore {
	return &fleetStore{liveStore: newLiveStore(), watched: watched, leases: make(map[string]fleetLease)}
}

func (s *fleetStore) Watch(ctx context.Context, w store.Watcher) error {
	if !s.watched {
		return store.Errorf("watch", "", errors.ErrUnsupported, "not watched")
	}
	s.write.Lock()
	defer s.write.Unlock()
	s.watchers = append(s.watchers, w)
	context.AfterFunc(ctx, func() {
		s.write.Lock()
		defer s.write.Unlock()
		s.watchers = slices.DeleteFunc(s.watchers, func(other store.Watcher) bool { return other == w })
	})
	w.Proven(store.AlwaysProven)
	return nil
}

// changed does something to key, ends its lease and tells of it.
func (s *fleetStore) changed(key string, do func() error) error {
	s.write.Lock()
	defer s.write.Unlock()
	delete(s.leases, key)
	err := do()
	for _, w := range s.watchers {
		w.Invalidate(key)
	}
	return err
}

func (s *fleetStore) SetLive(ctx context.Context, key string, l *store.Live, ttl time.Duration) error {
	return s.changed(key, func() error { return s.liveStore.SetLive(ctx, key, l, ttl) })
}

func (s *fleetStore) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.SetLive(ctx, key, store.LiveBytes(bytes.Clone(value)), ttl)
}

func (s *fleetStore) Delete(ctx context.Context, key string) error {
	return s.changed(key, func() error { return s.liveStore.Delete(ctx, key) })
}

func (s *fleetStore) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (added bool, err error) {
	s.write.Lock()
	defer s.write.Unlock()
	if _, err := s.GetLive(ctx, key); err != store.ErrNotFound {
		return false, err
	}
	return true, s.liveStore.Set(ctx, key, value, ttl)
}

func (s *fleetStore) GetOrLease(ctx context.Context, key, token string, life time.Duration, despite *store.Live) (store.Lookup, error) {
	if err := store.CheckLease(ctx, "getorlease", key, token, life); err != nil {
		return store.Lookup{}, err
	}
	s.asked.Add(1)
	s.write.Lock()
	defer s.write.Unlock()
	e, err := s.find(ctx, "getorlease", key)
	if err == nil && !sameBytes(e.live, despite) {
		return store.Lookup{Live: e.live, TTL: store.Forever}, nil
	}
	now := time.Now()
	if l, ok := s.leases[key]; ok && now.Before(l.ends) && l.token != token {
		state := store.LeaseTaken
		if l.hold {
			state = store.LeaseBlocked
		}
		return store.Lookup{Lease: state, TTL: l.ends.Sub(now)}, nil
	}
	s.leases[key] = fleetLease{token, false, now.Add(life), despite}
	return store.Lookup{Lease: store.LeaseGranted, TTL: life}, nil
}

func sameBytes(a, b *store.Live) bool {
	if a == nil || b == nil {
		return false
	}
	x, _ := a.Bytes()
	y, _ := b.Bytes()
	return bytes.Equal(x, y)
}

// own reports whether the lease of key is that of token.
func (s *fleetStore) own(key, token string) bool {
	l, ok := s.leases[key]
	return ok && l.token == token && time.Now().Before(l.ends)
}

func (s *fleetStore) Fill(ctx context.Context, key, token string, l *store.Live, ttl time.Duration) (bool, error) {
	s.write.Lock()
	e, err := s.find(ctx, "fill", key)
	mine := s.own(key, token) && (err != nil || sameBytes(e.live, s.leases[key].despite))
	s.write.Unlock()
	if !mine {
		s.refused.Add(1)
		return false, nil
	}
	s.filled.Add(1)
	return true, s.SetLive(ctx, key, l, ttl)
}

func (s *fleetStore) RenewLease(ctx context.Context, key, token string, life time.Duration) (bool, error) {
	if err := store.CheckLease(ctx, "renewlease", key, token, life); err != nil {
		return false, err
	}
	s.renewed.Add(1)
	s.write.Lock()
	defer s.write.Unlock()
	if !s.own(key, token) {
		return false, nil
	}
	l := s.leases[key]
	l.ends = time.Now().Add(life)
	s.leases[key] = l
	return true, nil
}

func (s *fleetStore) Abandon(ctx context.Context, key, token string) error {
	if err := store.CheckLease(ctx, "abandon", key, token, 1); err != nil {
		return err
	}
	s.abandoned.Add(1)
	s.write.Lock()
	defer s.write.Unlock()
	if s.own(key, token) {
		delete(s.leases, key)
	}
	return nil
}

func (s *fleetStore) Hold(ctx context.Context, key string, life time.Duration) error {
	return s.changed(key, func() error {
		s.leases[key] = fleetLease{hold: true, ends: time.Now().Add(life)}
		return s.liveStore.Delete(ctx, key)
	})
}

// lose takes the lease of key from whoever has it.
func (s *fleetStore) lose(key string) {
	s.write.Lock()
	defer s.write.Unlock()
	delete(s.leases, key)
}

// changedAll ends all leases, and tells of each of their keys.
func (s *fleetStore) changedAll() {
	s.write.Lock()
	keys := slices.Collect(maps.Keys(s.leases))
	s.write.Unlock()
	for _, key := range keys {
		_ = s.changed(key, func() error { return nil })
	}
}
