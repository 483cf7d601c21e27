package conformance

import (
	"errors"
	"io"

	"github.com/cairncache/cairn/store"
)

var closeCases = group("Close",
	rule("EveryMethod", "After Close every method returns ErrClosed: not a miss, not a stale hit, not a panic. Programs close their stores while requests still run.", func(t *trial) {
		t.Set("k", "old", t.long()).ok()
		t.Close().ok()
		t.everyMethod(func(c *client, m method) {
			m.call(c, "k").fails(store.ErrClosed).nothing()
			m.call(c, "absent").fails(store.ErrClosed).nothing()
		})
	}, needClose),

	rule("Twice", "A second Close does nothing and returns nil: deferred and explicit closing meet.", func(t *trial) {
		t.Set("k", "v", t.long()).ok()
		t.Close().ok()
		t.Close().ok()
		if c, ok := t.s.(io.Closer); ok && c.Close() != nil {
			t.Close().ok()
		}
	}, needClose),

	rule("WhileInUse", "Close may be called while other calls are under way: each of them does its work or fails as closed or unavailable, never as a miss, and Close returns.", func(t *trial) {
		t.Set("k", "old", t.long()).ok()
		const callers = 8
		t.parallel(callers+2, func(i int) {
			if i >= callers {
				t.Close().ok()
				return
			}
			for range 50 {
				if o := t.Get("k"); !errors.Is(o.err, store.ErrClosed) && !errors.Is(o.err, store.ErrUnavailable) {
					o.is("old")
				}
				if o := t.Set("k", "old", t.long()); !errors.Is(o.err, store.ErrClosed) && !errors.Is(o.err, store.ErrUnavailable) {
					o.ok()
				}
			}
		})
		t.Get("k").fails(store.ErrClosed)
	}, needClose),
)
