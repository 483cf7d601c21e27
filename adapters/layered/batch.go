package layered

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/cairncache/cairn/store"
)

// GetMany asks L1, and then L2 once for all that is not there. It fills L1 if
// L2 tells the times to live in the same call, and does not hand out entries
// itself: of those L1 would get a copy that has to be decoded again. If a
// Delete of one of the keys has failed before, that is repeated first.
func (s *Store) GetMany(ctx context.Context, keys []string) (map[string][]byte, error) {
	const op = "getmany"
	if err := s.check(ctx, op, keys...); err != nil {
		return nil, err
	}
	values := make(map[string][]byte, len(keys))
	if s.fence.open(time.Now()) {
		found, err := store.GetMany(ctx, s.l1, keys)
		if err != nil {
			s.nearFailed(ctx, err)
		}
		if found != nil {
			values = found
		}
		s.counts.addN(nearHits, uint64(len(values)))
	}
	missing := missingKeys(keys, values)
	if len(missing) == 0 {
		return values, nil
	}
	found, err := s.farMany(ctx, op, missing, s.askMany)
	for key, a := range found {
		if a.live == nil {
			continue
		}
		b, failed := a.live.Bytes()
		if failed != nil {
			err = store.Errorf(op, key, store.ErrInvalid, "encode: %w", failed)
			continue
		}
		values[key] = append([]byte{}, b...)
	}
	return values, err
}

// GetManyWithTTL asks L2, which alone knows how long the entries will live, and
// fills L1.
func (s *Store) GetManyWithTTL(ctx context.Context, keys []string) (map[string]store.Entry, error) {
	const op = "getmanywithttl"
	if err := s.check(ctx, op, keys...); err != nil {
		return nil, err
	}
	entries := make(map[string]store.Entry, len(keys))
	keys = missingKeys[store.Entry](keys, nil)
	if len(keys) == 0 {
		return entries, nil
	}
	found, err := s.farMany(ctx, op, keys, s.askManyBytes)
	for key, a := range found {
		if a.live == nil {
			continue
		}
		b, failed := a.live.Bytes()
		if failed != nil {
			err = store.Errorf(op, key, store.ErrInvalid, "encode: %w", failed)
			continue
		}
		entries[key] = store.Entry{Value: append([]byte{}, b...), TTL: a.ttl}
	}
	return entries, err
}

// farMany does for a batch, in which each key is named once, what far does for
// a key. The answers have an entry each, but for misses that are degraded, also
// beside an error. A key whose Delete cannot be repeated fails alone.
func (s *Store) farMany(ctx context.Context, op string, keys []string, ask func(ctx context.Context, op string, keys []string) (map[string]reply, error)) (map[string]reply, error) {
	s.bypassed(uint64(len(keys)))
	marks := make(map[string]mark, len(keys))
	for _, key := range keys {
		marks[key] = s.epochs.mark(key) // first: what happens from here on keeps the answer out
	}
	keys, hidden, refused := s.believeMany(ctx, keys)
	var (
		found map[string]reply
		err   error
	)
	if len(keys) > 0 {
		found, err = ask(ctx, op, keys)
	}
	for _, key := range keys {
		a, ok := found[key]
		switch {
		case a.degraded:
			s.counts.add(a.counter())
		case ok:
			s.counts.add(farHits)
			s.settle(marks[key], key, a)
		case err == nil:
			s.counts.add(misses)
			s.settle(marks[key], key, reply{})
		}
	}
	if err != nil {
		found, err = s.awayMany(ctx, keys, found, s.failed(op, err))
	}
	if refused == nil {
		return found, err
	}
	found, refused = s.awayMany(ctx, hidden, found, s.failed(op, refused))
	if err == nil || refused == nil {
		return found, cmp.Or(err, refused)
	}
	return found, errors.Join(err, refused)
}

// believeMany returns for which of the keys L2 can be believed, and the others
// with an error of one of them. It tries each, but no longer than about the
// time-out of two calls.
func (s *Store) believeMany(ctx context.Context, keys []string) (believed, hidden []string, refused error) {
	if s.deletes.count.Load() == 0 {
		return keys, nil, nil
	}
	began := time.Now()
	believed = make([]string, 0, len(keys))
	for _, key := range keys {
		var err error
		if refused == nil || time.Since(began) < s.guard.timeout {
			err = s.believe(ctx, key)
		} else if s.deletes.has(key) {
			err = refused
		}
		if err == nil {
			believed = append(believed, key)
			continue
		}
		hidden = append(hidden, key)
		refused = cmp.Or(refused, err)
	}
	return believed, hidden, refused
}

// askMany reads entries of L2, with their times to live where one call tells
// both.
func (s *Store) askMany(ctx context.Context, op string, keys []string) (map[string]reply, error) {
	switch {
	case s.nested != nil:
		return s.shorten(s.nested.outerMany(ctx, op, keys, true))
	case s.manyTTL && !s.live:
		return s.askManyBytes(ctx, op, keys)
	}
	return guarded(ctx, s.guard, op, "", func(ctx context.Context) (map[string]reply, error) {
		values, err := store.GetMany(ctx, s.l2, keys)
		found := make(map[string]reply, len(values))
		for key, value := range values {
			found[key] = reply{live: store.LiveBytes(value), raw: true} // without a life
		}
		return found, err
	})
}

// askManyBytes does for a batch what askBytes does for a key.
func (s *Store) askManyBytes(ctx context.Context, op string, keys []string) (map[string]reply, error) {
	if s.nested != nil {
		return s.shorten(s.nested.outerMany(ctx, op, keys, false))
	}
	return guarded(ctx, s.guard, op, "", func(ctx context.Context) (map[string]reply, error) {
		sent := time.Now()
		entries, err := store.GetManyWithTTL(ctx, s.l2, keys)
		found := make(map[string]reply, len(entries))
		for key, e := range entries {
			found[key] = reply{live: store.LiveBytes(e.Value), raw: true, sent: sent, ttl: e.TTL, life: s.life(e.TTL)}
		}
		return found, err
	})
}

// shorten bounds how long L1 may keep what a Store below has answered.
func (s *Store) shorten(found map[string]reply, err error) (map[string]reply, error) {
	for key, a := range found {
		a.life = min(a.life, s.life(store.Forever))
		found[key] = a
	}
	return found, err
}

// outerMany does for a batch what outer does for a key, or what askBytes does
// if L1 is not to be asked.
func (s *Store) outerMany(ctx context.Context, op string, keys []string, askL1 bool) (map[string]reply, error) {
	if err := s.check(ctx, op, keys...); err != nil {
		return nil, err
	}
	if !askL1 {
		return s.farMany(ctx, op, keys, s.askManyBytes)
	}
	near := make(map[string]reply, len(keys))
	for _, key := range keys {
		if a, ok := s.nearReply(ctx, key); ok {
			near[key] = a
		}
	}
	missing := missingKeys(keys, near)
	if len(missing) == 0 {
		return near, nil
	}
	found, err := s.farMany(ctx, op, missing, s.askMany)
	maps.Copy(near, found)
	return near, err
}

// awayMany does for a batch what away does for a key. It adds to what was
// found.
func (s *Store) awayMany(ctx context.Context, keys []string, found map[string]reply, err error) (map[string]reply, error) {
	if found == nil {
		found = make(map[string]reply)
	}
	missing := missingKeys(keys, found)
	if s.degraded.serves(err, time.Now(), s.fence.provenAt()) {
		for _, key := range missing {
			if l, near := store.GetLive(ctx, s.l1, key); near == nil {
				s.counts.add(stale)
				found[key] = reply{live: l, ttl: store.UnknownTTL, degraded: true}
			}
		}
		missing = missingKeys(missing, found)
	}
	if len(missing) == 0 {
		return found, nil
	}
	err, masked := s.degraded.answer(err)
	if masked {
		s.counts.addN(maskedMisses, uint64(len(missing)))
		for _, key := range missing {
			found[key] = reply{degraded: true}
		}
		return found, nil
	}
	return found, err
}

// missingKeys returns the keys that are not in found, each once.
func missingKeys[V any](keys []string, found map[string]V) []string {
	missing := make([]string, 0, len(keys)-min(len(keys), len(found)))
	seen := make(map[string]bool, len(keys))
	for _, key := range keys {
		if _, ok := found[key]; !ok && !seen[key] {
			seen[key] = true
			missing = append(missing, key)
		}
	}
	return missing
}

// SetMany writes L2, and drops the keys from L1.
func (s *Store) SetMany(ctx context.Context, items []store.Item) error {
	const op = "setmany"
	if err := s.check(ctx, op); err != nil {
		return err
	}
	if err := store.CheckItems(ctx, op, items); err != nil {
		return err
	}
	keys := make([]string, len(items))
	items = slices.Clone(items)
	for i := range items {
		keys[i] = items[i].Key
		items[i].Value = bytesCopy(items[i].Value)
	}
	_, err := change(ctx, s, op, keys, func(ctx context.Context) (none struct{}, _ error) {
		return none, store.SetMany(ctx, s.l2, items)
	})
	if err == nil {
		s.written(keys...)
	}
	return err
}

// DeleteMany deletes in L2, and drops the keys from L1. If it fails it treats
// all keys as Delete does.
func (s *Store) DeleteMany(ctx context.Context, keys []string) error {
	const op = "deletemany"
	if err := s.check(ctx, op, keys...); err != nil {
		return err
	}
	keys = slices.Clone(keys)
	_, err := change(ctx, s, op, keys, func(ctx context.Context) (none struct{}, _ error) {
		err := store.DeleteMany(ctx, s.l2, keys)
		return none, err
	})
	return err
}

// isInvalid reports an error of which the write is known to have done nothing.
func isInvalid(err error) bool {
	return errors.Is(err, store.ErrInvalid) || errors.Is(err, errors.ErrUnsupported)
}
