package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
)

// shards is how many folders the entries are spread over.
const shards = 256

// names are the files in a shard that are named as entries are, and those that
// are temporary. What is no file at all is left out.
func (f *folder) names(shard int) ([]string, error) {
	folder := fmt.Sprintf("%02x", shard)
	if err := f.checkShard(place{shard: byte(shard)}); err != nil {
		return nil, err
	}
	there, err := fs.ReadDir(f.FS(), folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, f.removed()
	}
	err = f.explainIn(folder, err)
	names := make([]string, 0, len(there))
	for _, one := range there {
		if one.Type().IsRegular() {
			names = append(names, one.Name())
		}
	}
	return names, err
}

// Keys implements store.KeysStore. It reads the header of every file in the
// folder, whatever the prefix, one of 256 parts at a time.
func (s *Store) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return keysBy(func(shard int) ([]string, error) { return s.keysOf(ctx, shard, prefix) })
}

// keysBy yields what keysOf returns for each shard.
func keysBy(keysOf func(shard int) ([]string, error)) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for shard := range shards {
			keys, err := keysOf(shard)
			if err != nil {
				yield("", err)
				return
			}
			for _, key := range keys {
				if !yield(key, nil) {
					return
				}
			}
		}
	}
}

// keysOf ends before any key of the shard is yielded, so that the loop may do
// anything, also close the Store.
func (s *Store) keysOf(ctx context.Context, shard int, prefix string) ([]string, error) {
	const op = "keys"
	if err := s.begin(ctx, op); err != nil {
		return nil, err
	}
	defer s.inUse.RUnlock()
	names, err := s.folder.names(shard)
	if err != nil {
		return nil, failed(op, "", err)
	}
	var keys []string
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, failed(op, "", err)
		}
		p := place{byte(shard), name}
		h, _, err := s.folder.readHeader(p.path())
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, errDamaged) || errors.Is(err, errForeign):
			continue
		case err != nil:
			return nil, failed(op, "", err)
		}
		if placeOf(h.key) == p && !h.expired() && strings.HasPrefix(h.key, s.options.Prefix+prefix) {
			keys = append(keys, h.key[len(s.options.Prefix):])
		}
	}
	return keys, nil
}

// Clear implements store.ClearStore. Without Options.Prefix it removes the
// entries of all Stores in the folder. With a prefix it reads the header of
// every file to see whose it is.
func (s *Store) Clear(ctx context.Context) error {
	const op = "clear"
	if err := s.begin(ctx, op); err != nil {
		return err
	}
	defer s.inUse.RUnlock()
	for shard := range shards {
		if err := s.clearShard(ctx, shard); err != nil {
			return failed(op, "", err)
		}
	}
	return nil
}

func (s *Store) clearShard(ctx context.Context, shard int) error {
	if names, err := s.folder.names(shard); err != nil || len(names) == 0 {
		return err // with no need for the lock
	}
	return s.hold(ctx, shard%stripes, func() error {
		names, err := s.folder.names(shard)
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			p := place{byte(shard), name}
			if isTemporary(name) || !s.isOurs(p) {
				continue
			}
			if err := s.drop(p); err != nil && !errors.Is(err, errForeign) {
				return err
			}
		}
		return err
	})
}

// isOurs is whether a file is of an entry of this Store.
func (s *Store) isOurs(p place) bool {
	if s.options.Prefix == "" {
		return true
	}
	h, _, err := s.folder.readHeader(p.path())
	return err == nil && strings.HasPrefix(h.key, s.options.Prefix)
}
