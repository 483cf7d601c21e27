package memo

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"

	"github.com/cairncache/cairn/store"
)

// A version is a random number that is stored under a key of its own and
// embedded in entries: they are valid as long as the two are equal. To store a
// new one invalidates them all, without a list of them and without a clock.
// When the store has lost it, a new one is made, so what was invalidated once
// stays so. 0 is none.
type version uint64

func newVersion() version {
	for {
		if v := version(rand.Uint64()); v != 0 {
			return v
		}
	}
}

// text is the form in which a version is stored: for human readers, and such
// that an operator may delete it to invalidate all that carry it.
func (v version) text() []byte { return strconv.AppendUint(nil, uint64(v), 16) }

// parseVersion returns 0 for what is no version.
func parseVersion(b []byte) version {
	v, err := strconv.ParseUint(string(b), 16, 64)
	if err != nil {
		return 0
	}
	return version(v)
}

// readVersions returns the versions that are stored under keys, 0 for those
// that are not.
func readVersions(ctx context.Context, s store.Store, keys []string) ([]version, error) {
	versions := make([]version, len(keys))
	if len(keys) == 1 {
		b, err := s.Get(ctx, keys[0])
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		versions[0] = parseVersion(b)
		return versions, nil
	}
	values, err := store.GetMany(ctx, s, keys)
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		versions[i] = parseVersion(values[key])
	}
	return versions, nil
}

// ensureVersion stores a new version under key, where there was none when the
// key was read, and returns the version that is stored then: that of somebody
// who was faster, if any.
func ensureVersion(ctx context.Context, s store.Store, key string) (version, error) {
	v := newVersion()
	for range 3 {
		added, err := store.Add(ctx, s, key, v.text(), store.Forever)
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			// Two who do this at a time have two versions until one of them
			// reads again: what it has stored by then is invalid, no more.
			return v, s.Set(ctx, key, v.text(), store.Forever)
		case err != nil:
			return 0, err
		case added:
			return v, nil
		}
		found, err := readVersions(ctx, s, []string{key})
		if err != nil {
			return 0, err
		}
		if found[0] != 0 {
			return found[0], nil
		}
		if _, err := s.Get(ctx, key); err == nil { // it holds something else, which Add will not replace
			return v, s.Set(ctx, key, v.text(), store.Forever)
		}
	}
	return 0, store.Errorf("add", key, store.ErrUnavailable, "a version that is stored is gone at once; the store holds too little")
}

// ensureVersions returns the versions that are stored under keys, and makes
// those that are missing.
func ensureVersions(ctx context.Context, s store.Store, keys []string) ([]version, error) {
	versions, err := readVersions(ctx, s, keys)
	if err != nil {
		return nil, err
	}
	const concurrency = 16
	errs := make([]error, len(keys))
	slots := make(chan struct{}, concurrency)
	var wg sync.WaitGroup
	for i, key := range keys {
		if versions[i] != 0 {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			versions[i], errs[i] = ensureVersion(ctx, s, key)
			<-slots
		})
	}
	wg.Wait()
	return versions, errors.Join(errs...)
}
