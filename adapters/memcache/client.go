package memcache

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cairncache/cairn/store"
)

// A client is a gomemcache client that gets past the broken connections which
// a server's restart leaves in its pool.
type client struct {
	*memcache.Client
	broken atomic.Int64 // connections that the servers have closed

	versions atomic.Int32 // of the latest item: whether its server counts them
}

// retry repeats a call that may happen twice if it was given a broken
// connection.
func (c *client) retry(call func() error) (err error) {
	const tries = 4
	for range tries {
		if err = call(); !c.isBroken(err) {
			break
		}
	}
	return err
}

// isBroken tells of a connection that the server has closed. gomemcache does
// not check those that it keeps, and each would fail once: isBroken drops all.
func (c *client) isBroken(err error) bool {
	broken := err != nil && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE))
	if broken {
		c.broken.Add(1)
		_ = c.Close() // only what is idle; the client goes on
	}
	return broken
}

// get returns the item at a key, or nil if there is none.
func (c *client) get(key string) (item *memcache.Item, err error) {
	err = c.retry(func() error {
		item, err = c.Get(key)
		return err
	})
	if errors.Is(err, memcache.ErrCacheMiss) {
		return nil, nil
	}
	if err == nil {
		versions := counted
		if item.CasID == 0 {
			versions = uncounted
		}
		if c.versions.Load() != versions {
			c.versions.Store(versions)
		}
	}
	return item, err
}

// What is known of versions. The zero value is nothing.
const (
	counted int32 = 1 + iota
	uncounted
)

func (c *client) delete(key string) error {
	err := c.retry(func() error { return c.Delete(key) })
	if errors.Is(err, memcache.ErrCacheMiss) {
		return nil
	}
	return err
}

// swap writes item if what is at its key still is there, as it was read.
func (c *client) swap(there, item *memcache.Item) error {
	if there.CasID == 0 {
		return errNoVersions
	}
	item.CasID = there.CasID
	return c.CompareAndSwap(item)
}

// isConflict tells that another write came first.
func isConflict(err error) bool {
	return errors.Is(err, memcache.ErrCASConflict) || errors.Is(err, memcache.ErrNotStored) || errors.Is(err, memcache.ErrCacheMiss)
}

// isTooLarge knows the answer by its text, as gomemcache has no type for it.
func isTooLarge(err error) bool {
	return err != nil && strings.Contains(err.Error(), "SERVER_ERROR object too large")
}

// maxConflicts bounds the attempts of a call that finds the key changed under
// its hands each time.
const maxConflicts = 100

var (
	errContended  = errors.New("others write the key all the time")
	errNoVersions = errors.New("the server counts no versions of its items; run memcached without -C")
)

// failure makes what a method returns of what the client has returned.
func failure(ctx context.Context, op, key string, err error) error {
	kind := store.ErrUnavailable
	switch {
	case err == store.ErrNotFound: // the bare sentinel
		return err
	case ctx.Err() != nil:
		kind = ctx.Err()
	case isTooLarge(err):
		kind = store.ErrTooLarge
	case errors.Is(err, errNoVersions), errors.Is(err, errForeign):
		kind = errors.ErrUnsupported
	}
	return store.Errorf(op, key, kind, "%w", err)
}
