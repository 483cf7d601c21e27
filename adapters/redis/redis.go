// Package redis keeps a store.Store in Redis, by way of a go-redis client: on a
// single server, one that sentinels watch, or a cluster.
//
// Values are stored as they are, as Redis strings under prefix+key, so that
// redis-cli and other programs read and write the same entries.
//
//	client := goredis.NewClient(&goredis.Options{
//		Addr:                  "localhost:6379",
//		ContextTimeoutEnabled: true,
//		DialTimeout:           time.Second,
//		DialerRetries:         1,
//	})
//	s, err := redis.New(client, &redis.Options{Prefix: "app:"})
//
// With ContextTimeoutEnabled the client itself notices a deadline on its
// connection. A client without it works as well, but each call costs a little
// more, and one that was given up keeps its connection for up to ReadTimeout.
//
// # URLs
//
// The package registers these with store.Open:
//
//	redis://user:password@host:6379/0        rediss:// the same with TLS
//	redis+unix:///run/redis.sock
//	redis+cluster://host:6379,host:6379
//	redis+sentinel://host:26379,host:26379/0?master_name=main
//
// Opening connects to nothing, so that a program can start while Redis is
// down; store.Ping tells. go-redis writes what it notices about connections to
// standard error; logging.Disable of github.com/redis/go-redis/v9/logging turns
// that off for the program. The parameters are
//
//	prefix, ttl, timeout                     as in Options
//	read_timeout, write_timeout              of one try; as timeout by default
//	dial_timeout                             1s by default
//	pool_size                                connections to each server
//	watching, watch_delta                    tracking or publish, and a time: as
//	                                         Watching and WatchDelta in Options
//	db, username, password                   for redis+unix
//	master_name                              for redis+sentinel, which needs it
//	sentinel_username, sentinel_password     for the sentinels themselves
//	tls                                      on for redis+cluster and redis+sentinel
//	server_name, ca_file                     with TLS: the name to expect, and a PEM file
//	                                         in place of the system's certificates
//
// # Keys and channels
//
// Beside its entries a Store has leases at keys that begin with "cairn:lease:",
// locks at keys that begin with "cairn:lock:", and for Watch, WatchLock and
// Unlock the channels "cairn:*". A user of the server with few rights needs
// these as well; with the prefix app: for example
//
//	ACL SETUSER app on >secret ~app:* ~cairn:lease:* ~cairn:lock:* &cairn:* +@all -@dangerous +client
//
// What a lock had for its last fence is kept for a day after its end, in some
// hundred bytes.
//
// # Calls whose outcome is unknown
//
// An error that matches store.ErrUnavailable says that no answer came, not
// that nothing was done. The client repeats a command whose answer was lost, as
// often as its MaxRetries allows. That is harmless for those that have the same
// outcome twice as once. Add, CompareAndSwap and CompareAndDelete are not among
// them, and are never repeated: the second try would find what the first has
// done, and take it for somebody else's doing.
//
// # Calls at the same moment
//
// Where many goroutines call Get, Set, Delete, TTL or Touch at once, their
// commands travel together in a pipeline, which takes a fraction of the time;
// with a Set among them it is a transaction. No call waits for others to come,
// each ends with its own context, and if the pipeline fails each is made by
// itself. Hooks of the client, such as tracing, then see a pipeline, and a
// context without any caller's values. On a cluster every call goes by itself.
package redis

import (
	"context"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/await"
	"github.com/cairncache/cairn/internal/gather"
	"github.com/cairncache/cairn/store"
)

// Options configure a Store. The zero value, and nil, are the defaults.
type Options struct {
	// Prefix precedes every key of the store on the server. Stores with
	// prefixes of which none begins with another do not see each other's
	// entries. Without a prefix, Clear refuses to work: the whole database
	// would be cleared, with what other programs have stored there.
	Prefix string

	// TTL is what store.DefaultTTL stands for. The default is store.Forever.
	TTL time.Duration

	// Timeout bounds each exchange with the server, with all that the client
	// does for it: waiting for a connection, dialing, repeating. A context
	// with a nearer deadline ends it before. The default is one second. Most
	// calls are one exchange; a large batch is one for each part of it, and a
	// scan is one for each page.
	Timeout time.Duration

	// Watching says how Watch learns of changes. The default is WatchTracking.
	Watching Watching

	// WatchDelta is how soon Watch notices that its connection has gone silent,
	// and four times as long as the pause between two proofs that it has not.
	// The default is one second, the least 100ms.
	WatchDelta time.Duration
}

// Store is a store.Store in Redis. Make it with New, or from a URL by
// store.Open. It has every ability of a store but that of live values.
type Store struct {
	client  goredis.UniversalClient
	cluster cluster // the client, if it speaks to a cluster
	prefix  string
	ttl     time.Duration
	timer   timer
	prompt  bool // the client ends a wait on a socket at the context's deadline
	own     bool // Close closes the client

	publishes  bool   // whoever writes publishes the full key to channel
	channel    string // see WatchPublish
	watchDelta time.Duration
	watch      watch
	locks      lockWatch

	closed  atomic.Bool
	calls   await.Group
	singles gather.Group[goredis.Cmder]
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
	_ store.KeysStore             = (*Store)(nil)
	_ store.ClearStore            = (*Store)(nil)
	_ store.PingStore             = (*Store)(nil)
	_ store.WatchStore            = (*Store)(nil)
)

// cluster is what the client of a cluster has and that of a single server
// lacks.
type cluster interface {
	Options() *goredis.ClusterOptions
	ForEachMaster(ctx context.Context, do func(context.Context, *goredis.Client) error) error
	MasterForKey(ctx context.Context, key string) (*goredis.Client, error)
}

// New makes a Store that uses client, which remains the caller's: Close does
// not close it, and it must not be closed before the Store. It connects to
// nothing. The client is a *goredis.Client (also one that sentinels lead to
// its server) or a *goredis.ClusterClient, or a type that embeds one.
//
// It is ErrInvalid to give it a *goredis.Ring, which brings deleted values
// back when it moves keys between servers; a client that reads from replicas
// or from a client-side cache, since both answer with values that have been
// replaced; or options with a negative time.
func New(client goredis.UniversalClient, opts *Options) (*Store, error) {
	if opts == nil {
		opts = new(Options)
	}
	s := &Store{client: client, prefix: opts.Prefix, ttl: opts.TTL, timer: timer{timeout: opts.Timeout}}
	if s.ttl == 0 {
		s.ttl = store.Forever
	}
	if s.timer.timeout == 0 {
		s.timer.timeout = time.Second
	}
	switch {
	case strings.HasPrefix(opts.Prefix, leaseMark):
		return nil, invalid("Options.Prefix: %q begins with %q, which is for the leases of all stores; choose another", opts.Prefix, leaseMark)
	case strings.HasPrefix(opts.Prefix, lockMark):
		return nil, invalid("Options.Prefix: %q begins with %q, which is for the locks of all stores; choose another", opts.Prefix, lockMark)
	case opts.TTL < 0:
		return nil, invalid("Options.TTL: %v is negative; leave it 0 for store.Forever", opts.TTL)
	case opts.Timeout < 0:
		return nil, invalid("Options.Timeout: %v is negative; leave it 0 for %v", opts.Timeout, time.Second)
	}
	if err := s.adopt(client); err != nil {
		return nil, err
	}
	if err := s.setWatching(opts); err != nil {
		return nil, err
	}
	return s, nil
}

// adopt finds out what kind of client it is, and refuses those whose answers
// would break the promises of a Store.
func (s *Store) adopt(client goredis.UniversalClient) error {
	if v := reflect.ValueOf(client); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return invalid("the client is nil; make one with goredis.NewClient, for example")
	}
	switch c := client.(type) {
	case cluster:
		opts := c.Options()
		if opts.ReadOnly {
			return invalid("the client reads from replicas, which answer with values that have been replaced; make it without ReadOnly, RouteByLatency and RouteRandomly")
		}
		s.cluster = c
		s.prompt = opts.ContextTimeoutEnabled && opts.ReadTimeout >= 0 && opts.WriteTimeout >= 0
	case interface{ Options() *goredis.Options }:
		opts := c.Options()
		if opts.ClientSideCacheConfig != nil || opts.ClientSideCache != nil {
			return invalid("the client has a client-side cache, which answers with values that have been replaced; make it without, and put a layered store in front of this one")
		}
		s.prompt = opts.ContextTimeoutEnabled && opts.ReadTimeout >= 0 && opts.WriteTimeout >= 0
	case *goredis.Ring:
		return invalid("the client is a Ring, which brings deleted values back when a server returns to it; use a cluster, or a client for each server")
	default:
		return invalid("a client of type %T is of no known kind; give a *goredis.Client or a *goredis.ClusterClient, or embed one", client)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return store.Errorf("new", "", store.ErrInvalid, format, args...)
}

// Close makes every later call fail with store.ErrClosed and waits for calls
// that were given up and are still under way, for as long as the client's own
// time-outs let them. It closes the client if store.Open made it, and else
// leaves it open. A second Close does nothing and returns nil.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.watch.close()
	s.locks.close()
	var err error
	if s.own {
		err = s.client.Close()
	}
	s.calls.Wait()
	if err != nil {
		return store.Errorf("close", "", store.ErrUnavailable, "%w", err)
	}
	return nil
}

// check is the first thing in every method.
func (s *Store) check(ctx context.Context, op string, keys ...string) error {
	if err := store.Check(ctx, op, keys...); err != nil {
		return err
	}
	if s.closed.Load() {
		key := ""
		if len(keys) == 1 {
			key = keys[0]
		}
		return store.Errorf(op, key, store.ErrClosed, "the store is closed")
	}
	return nil
}

// checkTTL is check for a method that takes a time to live.
func (s *Store) checkTTL(ctx context.Context, op, key string, ttl time.Duration) error {
	if err := s.check(ctx, op, key); err != nil {
		return err
	}
	return store.CheckTTL(op, key, ttl)
}
