package conformance

import (
	"context"
	"time"

	"github.com/cairncache/cairn/store"
)

// promptly is how soon a call returns when its context has ended. It is long
// enough for a loaded machine, and much shorter than a client's time-outs.
const promptly = 2 * time.Second

var contextCases = group("Context",
	rule("Nil", "A nil context is ErrInvalid from every method, not a panic: it is a bug of the caller that must not bring down the program.", func(t *trial) {
		var none context.Context
		t.untouchedBy(func(c *client, m method, key string) {
			m.call(c.with(none), key).fails(store.ErrInvalid)
		})
	}),

	rule("Cancelled", "A call with a cancelled context does nothing and says so: the request that it was for is over, and a write after its cancellation would surprise whoever cancelled.", func(t *trial) {
		ctx, cancel := context.WithCancel(t.ctx)
		cancel()
		t.untouchedBy(func(c *client, m method, key string) {
			m.call(c.with(ctx), key).fails(context.Canceled).nothing()
		})
	}),

	rule("DeadlinePassed", "A call whose deadline has passed does nothing, and the error matches context.DeadlineExceeded, which callers tell from a cancellation.", func(t *trial) {
		ctx, cancel := context.WithDeadline(t.ctx, time.Now().Add(-time.Second))
		defer cancel()
		t.untouchedBy(func(c *client, m method, key string) {
			m.call(c.with(ctx), key).fails(context.DeadlineExceeded).nothing()
		})
	}),

	rule("NotKept", "A context that ends after the call has no effect: what was written stays, and the store goes on working. Requests end all the time.", func(t *trial) {
		t.everyMethodApart(func(c *client, m method, key string) {
			t.Set(key, "old", t.long()).ok()
			t.Delete("not " + key).ok()
			ctx, cancel := context.WithCancel(t.ctx)
			m.call(c.with(ctx), key)
			m.call(c.with(ctx), "not "+key)
			cancel()
			t.Set("after "+key, "v", t.long()).ok()
			t.Get("after " + key).is("v")
		})
		ctx, cancel := context.WithCancel(t.ctx)
		t.with(ctx).Set("k", "v", t.long()).ok()
		cancel()
		t.sleep(t.short())
		t.Get("k").is("v")
	}),

	rule("AnyDeadline", "A context without an end, and one whose deadline is years away, are as good as any other: a time-out that is computed from them must not overflow into the past.", func(t *trial) {
		far, cancel := context.WithTimeout(t.ctx, 1<<62)
		defer cancel()
		for _, ctx := range []context.Context{context.Background(), far} {
			t.everyMethodApart(func(c *client, m method, key string) {
				t.with(ctx).Set(key, "old", t.long()).ok()
				if o := m.call(c.with(ctx), key); o.err != nil {
					o.wanted("what any other context leads to: success")
				}
			})
		}
	}),

	breaking(rule("CancelWhileWaiting", "A call that waits for a silent backend returns soon after its context is cancelled, with that error. Otherwise one dead server holds every request that has already been given up.", func(t *trial) {
		t.whileHanging(func(c *client, m method) {
			ctx, cancel := context.WithCancel(t.ctx)
			defer cancel()
			stop := time.AfterFunc(50*time.Millisecond, cancel)
			defer stop.Stop()
			o := m.call(c.with(ctx), "k")
			o.fails(context.Canceled).within(50*time.Millisecond + promptly)
		})
	}, needHang)),

	breaking(rule("DeadlineWhileWaiting", "A call that waits for a silent backend returns soon after its deadline, with that error, whatever time-outs the client has of its own.", func(t *trial) {
		t.whileHanging(func(c *client, m method) {
			ctx, cancel := context.WithTimeout(t.ctx, 50*time.Millisecond)
			defer cancel()
			o := m.call(c.with(ctx), "k")
			o.fails(context.DeadlineExceeded).within(50*time.Millisecond + promptly)
		})
	}, needHang)),
)

// untouchedBy makes calls of every method, on a key that is there and on one
// that is not, and checks that they change nothing.
func (t *trial) untouchedBy(call func(c *client, m method, key string)) {
	set := t.Set("k", "old", t.long()).ok()
	other := t.Set("other", "old", t.long()).ok()
	t.everyMethod(func(c *client, m method) {
		call(c, m, "k")
		if m.keyed {
			call(c, m, "absent")
		}
		t.Get("k").is("old")
		t.Get("other").is("old")
		t.Get("absent").miss()
	})
	t.TTL("k").lasts(set, t.long())
	t.TTL("other").lasts(other, t.long())
}

// whileHanging makes a call of every method while the backend is silent, and
// then sees that the store works again.
func (t *trial) whileHanging(call func(c *client, m method)) {
	t.Set("k", "old", t.long()).ok()
	t.suite.opts.Fault.Hang()
	t.everyMethodAtOnce(call)
	t.suite.opts.Fault.Restore()
	t.recovers()
}

// recovers waits until the store works again.
func (t *trial) recovers() {
	const patience = 15 * time.Second
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		set := t.Set("recovered", "v", t.long())
		if get := t.Get("recovered"); set.err == nil && get.err == nil {
			get.is("v")
			return
		} else if time.Since(start) > patience {
			set.ok()
			get.is("v")
		}
	}
}

// within checks how long the call took.
func (o *outcome) within(limit time.Duration) {
	if took := o.ended.wall.Sub(o.began.wall); took > limit {
		o.t.fail(failure{o.text, "returned after " + took.String(), "to return within " + limit.String()})
	}
}
