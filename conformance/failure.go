package conformance

import (
	"context"
	"errors"

	"github.com/cairncache/cairn/store"
)

var failureCases = group("Failure",
	breaking(rule("Unavailable", "When the backend cannot be reached every method says ErrUnavailable: never a miss, which would send the whole load to the source and hide the outage, and never a hit.", func(t *trial) {
		t.Set("k", "old", t.long()).ok()
		t.suite.opts.Fault.Break()
		t.everyMethodAtOnce(func(c *client, m method) {
			m.call(c, "k").fails(store.ErrUnavailable).nothing()
			m.call(c, "absent").fails(store.ErrUnavailable).nothing()
		})
	}, needBreak)),

	breaking(rule("Recovers", "The store works again by itself when the backend is back: an outage of seconds must not need a restart of every program.", func(t *trial) {
		t.Set("k", "old", t.long()).ok()
		t.suite.opts.Fault.Break()
		t.Get("k").fails(store.ErrUnavailable)
		t.Set("k", "new", t.long()).fails(store.ErrUnavailable)
		t.suite.opts.Fault.Restore()
		t.recovers()
		t.Set("k", "newest", t.long()).ok()
		t.Get("k").is("newest")
		t.everyMethod(func(c *client, m method) {
			if o := m.call(c, "k"); errors.Is(o.err, store.ErrUnavailable) {
				o.wanted("an answer, now that the backend is back")
			}
		})
	}, needBreak)),

	breaking(rule("Silent", "When the backend does not answer in time a method fails as unavailable or by its context: what is not known to be absent is no miss, and what is not known to be written is no success.", func(t *trial) {
		t.whileHanging(func(c *client, m method) {
			ctx, cancel := context.WithTimeout(t.ctx, promptly/20)
			defer cancel()
			for _, key := range []string{"k", "absent"} {
				o := m.call(c.with(ctx), key)
				if !errors.Is(o.err, store.ErrUnavailable) {
					o.fails(context.DeadlineExceeded)
				} else {
					o.fails(store.ErrUnavailable)
				}
				o.nothing()
			}
		})
	}, needHang)),
)
