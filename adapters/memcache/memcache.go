// Package memcache provides a store.Store over Memcached, through a client of
// github.com/bradfitz/gomemcache/memcache. Importing it registers the URL
// schemes memcache and memcache+unix:
//
//	s, err := store.Open(ctx, "memcache://h1:11211,h2:11211?prefix=app:&ttl=10m")
//
// or, with a client of one's own,
//
//	s, err := memcache.New(client, &memcache.Options{Prefix: "app:"})
//
// # What is stored
//
// The entry of a key is an item at prefix + key, if Memcached takes that: at
// most 250 bytes, none of them a space or a control character. Any other key,
// and one that begins with ~, is stored at prefix ~ head ~ hash. The item's
// value is a header and the entry's value, and its flags say that it is so.
// The header holds the instant at which the entry expires, the generation that
// Clear raises, and the whole key if the item's is a hash. A header that is
// not understood is a miss.
//
// The lease of a key is in its item too, after the header, with the entry or
// without one: so whatever is written there ends it, also by other programs.
// To those who know nothing of leases such an item is a miss.
//
// What another program has stored at prefix + key, without the flags, is read
// as it is, with store.UnknownTTL. It is no entry of this store to Clear.
//
// # Times
//
// An entry expires to the microsecond, although Memcached counts seconds: the
// reader compares the header with its clock. The processes that share entries
// must agree on the time; what their clocks differ is added to, or taken from,
// the life of an entry. Memcached's own expiry comes a few seconds later and only
// frees the memory; past the year 2038, which its protocol cannot name, it
// never comes.
//
// # Clear
//
// Clear removes nothing from the servers. It raises the generation, and every
// entry of an older one is a miss from then on. The number is kept in three
// small items at prefix ~generation…, which lie on different servers where the
// client spreads its keys as gomemcache does: the loss of one server neither
// stops the store nor empties the others. One of them is read before a call
// if that has not been done for half a second. Clear returns when this time
// has passed, and no process shows an old entry any more. When all three items
// are lost, the store is empty.
//
// # The client
//
// These fields of a gomemcache client matter here:
//
//	field         if not set  opened from a URL             meaning
//	MaxIdleConns  2           128, or max_idle_conns        idle connections kept to each server
//	Timeout       500 ms      500 ms, or timeout            bound of each exchange with a server
//	DialContext   plain TCP   plain TCP, or a unix socket   set it for TLS, or to log in
//
// The client opens and closes one connection for each call that finds none
// idle, which under load takes longer than the call. Set MaxIdleConns to the
// number of calls that are under way at a time; each connection counts against
// what the server takes (memcached -c, 1024 if not set). New changes no field
// of the client that it is given.
package memcache

import (
	"context"
	"sync"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cairncache/cairn/internal/await"
	"github.com/cairncache/cairn/store"
)

// Options say how a Store uses its servers. The zero value is the default.
type Options struct {
	// Prefix precedes every key on the servers. Stores that share servers need
	// prefixes of which none begins with another. At most 100 bytes, without
	// spaces and control characters.
	Prefix string

	// TTL is the time to live that store.DefaultTTL stands for. 0 is
	// store.Forever.
	TTL time.Duration
}

// Store is a store.Store over Memcached. It takes keys of any bytes, values up
// to what the servers are set to (1 MiB less some 100 bytes, as a rule), and
// has no Keys, which the protocol does not offer. Its methods may be called
// concurrently.
//
// A call takes one round trip, and one more where the generation is to be
// read. Touch, CompareAndSwap and CompareAndDelete take two, and more while
// others write the same key; Add takes three where an expired entry or a lease
// is in its way. SetMany and DeleteMany make one call for each key, 16 at a time.
//
// gomemcache knows no context. A call whose context can end runs in another
// goroutine, and goes on there when the context has ended: its write may still
// happen. When the client's Timeout passes first the error is ErrUnavailable.
//
// When a server has closed a connection, because it has restarted for example,
// the store closes all that the client keeps idle. Get, Set, Delete, their
// batches, Ping and those of leases are then repeated; a Set may therefore be
// applied twice. Add and the calls that compare are not repeated once they have
// sent a write: they return ErrUnavailable, as nobody knows whether it
// happened.
//
// What must be atomic takes a server that counts versions, as all do that do
// not run with -C. There, Clear, Touch, the calls that compare, the leases, and
// Add where something that is no entry is in its way, are
// errors.ErrUnsupported.
type Store struct {
	client client
	owned  bool // the client was made by open
	prefix string
	ttl    time.Duration

	generation generation

	open  sync.RWMutex // held for reading during a call, and for writing from Close on
	calls await.Group
	close sync.Once
}

var (
	_ store.GetManyStore          = (*Store)(nil)
	_ store.SetManyStore          = (*Store)(nil)
	_ store.DeleteManyStore       = (*Store)(nil)
	_ store.GetWithTTLStore       = (*Store)(nil)
	_ store.GetManyWithTTLStore   = (*Store)(nil)
	_ store.AddStore              = (*Store)(nil)
	_ store.CompareAndSwapStore   = (*Store)(nil)
	_ store.CompareAndDeleteStore = (*Store)(nil)
	_ store.TouchStore            = (*Store)(nil)
	_ store.ClearStore            = (*Store)(nil)
	_ store.PingStore             = (*Store)(nil)
)

// New returns a Store that uses client, and sends nothing yet. It does not
// change the client's fields, and Close leaves it open. Bad options are
// ErrInvalid.
func New(client *memcache.Client, opts *Options) (*Store, error) {
	refuse := func(format string, args ...any) (*Store, error) {
		return nil, store.Errorf("new", "", store.ErrInvalid, format, args...)
	}
	if client == nil {
		return refuse("the client is nil; make one with memcache.New of gomemcache")
	}
	s := new(Store)
	if opts != nil {
		s.prefix, s.ttl = opts.Prefix, opts.TTL
	}
	switch {
	case len(s.prefix) > maxPrefix:
		return refuse("Options.Prefix has %d bytes; at most %d leave room for keys", len(s.prefix), maxPrefix)
	case !isPlain(s.prefix):
		return refuse("Options.Prefix %q has a space or control character, which Memcached does not take; leave it out", s.prefix)
	case s.ttl < 0:
		return refuse("Options.TTL is %v; set 0 or store.Forever for entries without expiry", s.ttl)
	}
	s.client.Client = client
	s.generation.init(&s.client, s.prefix)
	return s, nil
}

// Close waits for the calls under way, also for those that were left behind
// when their context ended, and then closes the client if the store was opened
// from a URL. Each call ends by the client's Timeout. Close returns nil, or
// the error of closing a connection.
func (s *Store) Close() (err error) {
	s.close.Do(func() {
		s.open.Lock() // for ever
		s.calls.Wait()
		if s.owned {
			err = s.client.Close()
		}
	})
	return err
}

// do checks a method's arguments and makes its call as far as ctx lets it. The
// call must not touch anything that the caller may change afterwards.
func do[T any](ctx context.Context, s *Store, op string, keys []string, ttl time.Duration, call func() (T, error)) (result T, err error) {
	key := ""
	if len(keys) == 1 {
		key = keys[0]
	}
	if err := store.Check(ctx, op, keys...); err != nil {
		return result, err
	}
	if err := store.CheckTTL(op, key, ttl); err != nil {
		return result, err
	}
	if !s.open.TryRLock() {
		return result, store.Errorf(op, key, store.ErrClosed, "the store is closed")
	}
	defer s.open.RUnlock()
	if result, err = await.Do(ctx, &s.calls, call); err != nil {
		s.client.isBroken(err) // so that the next call is spared
		err = failure(ctx, op, key, err)
	}
	return result, err
}

// run is do for a call without a result.
func run(ctx context.Context, s *Store, op string, keys []string, ttl time.Duration, call func() error) error {
	_, err := do(ctx, s, op, keys, ttl, func() (struct{}, error) { return struct{}{}, call() })
	return err
}
