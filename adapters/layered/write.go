package layered

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/cairncache/cairn/store"
)

// Set writes L2, and drops the key from L1. After an error L2 may have the old
// value or the new one, and L1 has neither.
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.set(ctx, "set", key, ttl, bytesCopy(value))
}

// SetLive encodes l once, for L2; L1 shares what is read from there. If L2
// keeps entries in the process it gets l itself.
func (s *Store) SetLive(ctx context.Context, key string, l *store.Live, ttl time.Duration) error {
	const op = "setlive"
	if err := s.check(ctx, op, key); err != nil {
		return err
	}
	if l == nil {
		return store.Errorf(op, key, store.ErrInvalid, "the Live is nil")
	}
	if s.live {
		return s.overwrite(ctx, op, key, ttl, func(ctx context.Context) error {
			return store.SetLive(ctx, s.l2, key, l, ttl)
		})
	}
	b, err := l.Bytes()
	if err != nil {
		return store.Errorf(op, key, store.ErrInvalid, "encode: %w", err)
	}
	return s.set(ctx, op, key, ttl, b)
}

// set writes a value that the call may keep.
func (s *Store) set(ctx context.Context, op, key string, ttl time.Duration, value []byte) error {
	return s.overwrite(ctx, op, key, ttl, func(ctx context.Context) error {
		return s.l2.Set(ctx, key, value, ttl)
	})
}

// overwrite is a write after which nothing is left of what was there before.
func (s *Store) overwrite(ctx context.Context, op, key string, ttl time.Duration, call func(context.Context) error) error {
	err := s.one(ctx, op, key, ttl, call)
	if err == nil {
		s.written(key)
	}
	return err
}

// Delete deletes in L2, and drops the key from L1. If L2 fails, the key is
// remembered: reads do not show what L2 has under it until the Delete was
// repeated, which the next read does, and the background.
func (s *Store) Delete(ctx context.Context, key string) error {
	return s.one(ctx, "delete", key, 0, func(ctx context.Context) error { return s.l2.Delete(ctx, key) })
}

// Add asks L2 alone.
func (s *Store) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	value = bytesCopy(value)
	return s.conditional(ctx, "add", key, ttl, func(ctx context.Context) (bool, error) {
		return store.Add(ctx, s.l2, key, value, ttl)
	})
}

// CompareAndSwap asks L2 alone.
func (s *Store) CompareAndSwap(ctx context.Context, key string, old, new []byte, ttl time.Duration) (bool, error) {
	old, new = bytesCopy(old), bytesCopy(new)
	return s.conditional(ctx, "compareandswap", key, ttl, func(ctx context.Context) (bool, error) {
		return store.CompareAndSwap(ctx, s.l2, key, old, new, ttl)
	})
}

// CompareAndDelete asks L2 alone.
func (s *Store) CompareAndDelete(ctx context.Context, key string, old []byte) (bool, error) {
	old = bytesCopy(old)
	return s.conditional(ctx, "compareanddelete", key, 0, func(ctx context.Context) (bool, error) {
		return store.CompareAndDelete(ctx, s.l2, key, old)
	})
}

// Touch asks L2, and drops the key from L1, where it has the old time to live.
func (s *Store) Touch(ctx context.Context, key string, ttl time.Duration) error {
	_, err := s.conditional(ctx, "touch", key, ttl, func(ctx context.Context) (bool, error) {
		return true, store.Touch(ctx, s.l2, key, ttl)
	})
	return err
}

// Clear clears L2 and L1. If L2 is no store.ClearStore it clears L1 alone and
// declines: the function Clear then lists the keys and deletes them. As scans
// take many round trips, Options.Timeout does not bound them; ctx does.
func (s *Store) Clear(ctx context.Context) error {
	const op = "clear"
	if err := s.check(ctx, op); err != nil {
		return err
	}
	defer s.flush() // an error keeps L1 from being served
	if !store.Supports[store.ClearStore](s.l2) {
		return store.Errorf(op, "", errors.ErrUnsupported, "L2 (%T) does not offer Clear", s.l2)
	}
	s.flush()
	return s.failedIf(op, store.Clear(ctx, s.l2))
}

// Keys lists the keys of L2. Options.Timeout does not bound it; ctx does.
func (s *Store) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	const op = "keys"
	return func(yield func(string, error) bool) {
		if err := s.check(ctx, op); err != nil {
			yield("", err)
			return
		}
		for key, err := range store.Keys(ctx, s.l2, prefix) {
			if err == nil && s.deletes.has(key) {
				continue
			}
			if !yield(key, s.failedIf(op, err)) {
				return
			}
		}
	}
}

// Ping asks L2.
func (s *Store) Ping(ctx context.Context) error {
	const op = "ping"
	if err := s.check(ctx, op); err != nil {
		return err
	}
	return s.failedIf(op, s.guard.do(ctx, op, "", func(ctx context.Context) error { return store.Ping(ctx, s.l2) }))
}

// conditional is a write whose outcome depends on what L2 has, which must
// therefore be what it should have.
func (s *Store) conditional(ctx context.Context, op, key string, ttl time.Duration, call func(context.Context) (bool, error)) (done bool, err error) {
	if err := s.checkWrite(ctx, op, key, ttl); err != nil {
		return false, err
	}
	if err := s.believe(ctx, key); err != nil {
		return false, s.failed(op, err)
	}
	return change(ctx, s, op, []string{key}, call)
}

// one is a write of one key.
func (s *Store) one(ctx context.Context, op, key string, ttl time.Duration, call func(context.Context) error) error {
	if err := s.checkWrite(ctx, op, key, ttl); err != nil {
		return err
	}
	_, err := change(ctx, s, op, []string{key}, func(ctx context.Context) (none struct{}, _ error) { return none, call(ctx) })
	return err
}

func (s *Store) checkWrite(ctx context.Context, op, key string, ttl time.Duration) error {
	if err := s.check(ctx, op, key); err != nil {
		return err
	}
	return store.CheckTTL(op, key, ttl)
}

// change is every write of L2. The keys leave L1 before, so that what is read
// from there is not older than what L2 answers at the same time; and
// afterwards, as readers may have brought back the old value meanwhile.
func change[T any](ctx context.Context, s *Store, op string, keys []string, call func(context.Context) (T, error)) (T, error) {
	only := ""
	if len(keys) == 1 {
		only = keys[0]
	}
	for _, key := range keys {
		s.touch(key)
	}
	err := errPanic // unless the call returns
	defer func() {
		if op == "delete" || op == "deletemany" {
			s.deleted(keys, err)
		}
		for _, key := range keys {
			s.touch(key)
		}
	}()
	v, err := guarded(ctx, s.guard, op, only, call)
	return v, s.failedIf(op, err)
}

// errPanic stands for a call that has not returned. Its caller gets the panic.
var errPanic = errors.New("a panic")

// deleted remembers the keys of a Delete that has failed. It comes before the
// keys are touched, so that a read which begins afterwards knows of it.
func (s *Store) deleted(keys []string, err error) {
	if err == nil {
		s.written(keys...)
		return
	}
	if isInvalid(err) || s.nested != nil { // which remembers it itself
		return
	}
	for _, key := range keys {
		s.deletes.failed(key)
	}
}

// written tells that L2 has of the keys what it should have.
func (s *Store) written(keys ...string) {
	for _, key := range keys {
		s.deletes.forget(key)
	}
}

// failedIf is failed for what may be no error, or a miss.
func (s *Store) failedIf(op string, err error) error {
	if err == nil || err == store.ErrNotFound {
		return err
	}
	return s.failed(op, err)
}

// bytesCopy copies what the caller may change as soon as it has its answer,
// while a call that took too long is still under way. nil stays nil.
func bytesCopy(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}
