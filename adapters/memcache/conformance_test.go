package memcache

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cairncache/cairn/conformance"
	"github.com/cairncache/cairn/internal/testreport"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// maxValue leaves room for Memcached's own header, the key and ours.
const maxValue = 1<<20 - 8<<10

func TestConformance(t *testing.T) {
	t.Parallel()
	server := testservers.StartMemcached(t)
	conformance.Run(t, func(t *testing.T) store.Store {
		return newStore(t, &Options{Prefix: newPrefix()}, server.Addr)
	}, &conformance.Options{
		Want:     []string{"GetMany", "SetMany", "DeleteMany", "GetWithTTL", "GetManyWithTTL", "Add", "CompareAndSwap", "CompareAndDelete", "Touch", "Clear", "Ping", "Lease"},
		MaxValue: maxValue,
		Reopen: func(t *testing.T, s store.Store) store.Store {
			return newStore(t, &Options{Prefix: s.(*Store).prefix}, server.Addr)
		},
		Fault:  fault(server),
		Report: testreport.Check(t),
	})
}

// fault breaks a server by killing it, and hangs it by stopping its process.
// Cases that do neither run at the same time and call Restore too.
func fault(server *testservers.Process) *conformance.Fault {
	var restore atomic.Pointer[func()]
	begin := func(fault, end func()) func() {
		return func() {
			fault()
			restore.Store(&end)
		}
	}
	return &conformance.Fault{
		Break: begin(server.Kill, server.Restart),
		Hang:  begin(server.Pause, server.Resume),
		Restore: func() {
			if end := restore.Swap(nil); end != nil {
				(*end)()
			}
		},
	}
}

// A view of one store, two servers, and a default ttl.
func TestConformanceOfPrefix(t *testing.T) {
	t.Parallel()
	addrs := []string{testservers.StartMemcached(t).Addr, testservers.StartMemcached(t).Addr}
	var whole sync.Map // by its view
	conformance.Run(t, func(t *testing.T) store.Store {
		s := newStore(t, &Options{Prefix: newPrefix(), TTL: 1e12}, addrs...)
		view := store.Prefix(s, "p:")
		whole.Store(view, s)
		return view
	}, &conformance.Options{
		Want:       []string{"GetMany", "SetMany", "DeleteMany", "GetWithTTL", "GetManyWithTTL", "Add", "CompareAndSwap", "CompareAndDelete", "Touch", "Ping", "Lease"},
		MaxKey:     store.MaxKeyLen - len("p:"),
		MaxValue:   maxValue,
		DefaultTTL: 1e12,
		Reopen: func(t *testing.T, s store.Store) store.Store {
			first, _ := whole.Load(s)
			return store.Prefix(newStore(t, &Options{Prefix: first.(*Store).prefix, TTL: 1e12}, addrs...), "p:")
		},
	})
}
