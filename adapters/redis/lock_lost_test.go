package redis

import (
	"context"
	"testing"

	"github.com/cairncache/cairn/internal/faultproxy"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/lock"
)

// The answer of Unlock is lost: the lock was not, so Do does not say so, and
// what has been freed is free.
func TestDoWhoseUnlockIsNotAnswered(t *testing.T) {
	server := testservers.Redis(t)
	proxy := faultproxy.New(t, server.Addr)
	opts := &Options{Prefix: unique(t), Timeout: patience}
	s := newStore(t, newClient(t, proxy.Addr), opts)
	told := false
	k, err := lock.New(s, &lock.Options{Trace: &lock.Trace{Lost: func(context.Context, lock.LostInfo) { told = true }}})
	wantNil(t, err)
	do := func(fn func()) error {
		return lock.Do(t.Context(), k, "k", func(context.Context, uint64) error { fn(); return nil })
	}
	wantNil(t, do(func() {})) // the connection is there, and the server knows the script
	wantNil(t, do(proxy.DropReply))
	if told || k.Stats().Lost != 0 {
		t.Errorf("told of a loss: %v, %+v", told, k.Stats())
	}
	wantNil(t, k.Close(t.Context()))
	take(t, newStore(t, newClient(t, server.Addr), opts), "k", "next")
}
