package redis

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/store"
)

// scanCount is about how many keys of its database a server looks at for one
// page of a scan.
const scanCount = 1000

// Keys implements store.KeysStore by scanning the database, on a cluster that
// of one master after another. It looks at every key there is, whatever the
// prefix, and takes one round trip for each thousand of them. Keys of leases
// are left out. A key may come twice. On a cluster that is moving slots between
// servers at the time, keys may be missed.
func (s *Store) Keys(ctx context.Context, prefix string) iter.Seq2[string, error] {
	const op = "keys"
	return func(yield func(string, error) bool) {
		if err := s.check(ctx, op); err != nil {
			yield("", err)
			return
		}
		for page, err := range s.pages(ctx, s.prefix+prefix) {
			if err != nil {
				yield("", s.fail(ctx, op, "", err))
				return
			}
			for _, full := range page {
				if !yield(full[len(s.prefix):], nil) {
					return
				}
			}
		}
	}
}

// Clear implements store.ClearStore: it scans like Keys and removes each page
// of keys as it comes, first those that are leased, then all. Without
// Options.Prefix it is ErrInvalid, as it would remove everything that any
// program keeps in the database.
func (s *Store) Clear(ctx context.Context) error {
	const op = "clear"
	if err := s.check(ctx, op); err != nil {
		return err
	}
	if s.prefix == "" {
		return store.Errorf(op, "", store.ErrInvalid, "the store has no prefix, so its entries cannot be told from what else is in the database; set Options.Prefix (prefix= in a URL), or remove them by DeleteMatching")
	}
	for page, err := range s.scan(ctx, leaseMark, s.leasedKeys) {
		if err == nil && len(page) > 0 {
			err = s.unlinkAll(ctx, page)
		}
		if err != nil {
			return s.fail(ctx, op, "", err)
		}
	}
	for page, err := range s.pages(ctx, s.prefix) {
		if err == nil && len(page) > 0 {
			err = s.unlinkAll(ctx, page)
		}
		if err != nil {
			return s.fail(ctx, op, "", err)
		}
	}
	return nil
}

// leasedKeys returns the full keys of this store's entries whose leases are at
// those keys.
func (s *Store) leasedKeys(leases []string) []string {
	full := leases[:0]
	for _, lease := range leases {
		if key, ok := leased(lease); ok && strings.HasPrefix(key, s.prefix) {
			full = append(full, key)
		}
	}
	return full
}

// Ping implements store.PingStore. On a cluster it asks all masters at once.
func (s *Store) Ping(ctx context.Context) error {
	const op = "ping"
	if err := s.check(ctx, op); err != nil {
		return err
	}
	_, err := exchange(ctx, s, func(ctx context.Context) (none, error) {
		if s.cluster == nil {
			return none{}, s.client.Ping(ctx).Err()
		}
		return none{}, s.cluster.ForEachMaster(ctx, func(ctx context.Context, master *goredis.Client) error {
			return master.Ping(ctx).Err()
		})
	})
	return s.fail(ctx, op, "", err)
}

// pages yields the entries of this store whose full keys begin with prefix,
// some of them at a time.
func (s *Store) pages(ctx context.Context, prefix string) iter.Seq2[[]string, error] {
	return s.scan(ctx, prefix, func(keys []string) []string { return s.ours(keys, prefix) })
}

// scan yields what sift leaves of the keys on all servers that begin with
// prefix, some of them at a time. Each page is the consumer's. An error comes
// last.
func (s *Store) scan(ctx context.Context, prefix string, sift func(keys []string) []string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		servers, err := s.servers(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		type page struct {
			keys   []string
			cursor uint64
		}
		for _, server := range servers {
			for cursor, done := uint64(0), false; !done; {
				p, err := exchange(ctx, s, func(ctx context.Context) (p page, err error) {
					p.keys, p.cursor, err = server.Scan(ctx, cursor, quoteGlob(prefix)+"*", scanCount).Result()
					return p, err
				})
				if err != nil {
					yield(nil, err)
					return
				}
				if !yield(sift(p.keys), nil) {
					return
				}
				cursor, done = p.cursor, p.cursor == 0
			}
		}
	}
}

// servers returns a client for each server that holds keys of its own.
func (s *Store) servers(ctx context.Context) ([]goredis.Cmdable, error) {
	if s.cluster == nil {
		return []goredis.Cmdable{s.client}, nil
	}
	return exchange(ctx, s, func(ctx context.Context) (masters []goredis.Cmdable, err error) {
		var mu sync.Mutex
		err = s.cluster.ForEachMaster(ctx, func(_ context.Context, master *goredis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			masters = append(masters, master)
			return nil
		})
		return masters, err
	})
}

// ours leaves only those keys that this store can have written, and no leases.
func (s *Store) ours(keys []string, prefix string) []string {
	return slices.DeleteFunc(keys, func(full string) bool {
		own := len(full) - len(s.prefix)
		return !strings.HasPrefix(full, prefix) || own <= 0 || own > store.MaxKeyLen || isInternal(full)
	})
}

var globQuoter = strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `\`, `\\`, `^`, `\^`, `-`, `\-`)

// quoteGlob makes a pattern of Redis that matches the text alone.
func quoteGlob(text string) string { return globQuoter.Replace(text) }
