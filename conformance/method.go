package conformance

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/cairncache/cairn/store"
)

// A method is one of the contract, called with what all cases about every
// method agree on: the entry that may be there has the value "old".
type method struct {
	ability string // "" for a method of Store
	keyed   bool   // it concerns a key
	call    func(c *client, key string) *outcome
	later   bool // it reaches the backend after it has returned, and works while that is away
}

const longTTL = 6 * time.Hour

var methods = append([]method{
	{keyed: true, call: func(c *client, key string) *outcome { return c.Get(key) }},
	{keyed: true, call: func(c *client, key string) *outcome { return c.Set(key, "new", longTTL) }},
	{keyed: true, call: func(c *client, key string) *outcome { return c.Delete(key) }},
	{keyed: true, call: func(c *client, key string) *outcome { return c.TTL(key) }},
	{ability: "GetMany", keyed: true, call: func(c *client, key string) *outcome { return c.GetMany("other", key) }},
	{ability: "SetMany", keyed: true, call: func(c *client, key string) *outcome {
		return c.SetMany(store.Item{Key: "other", Value: []byte("new"), TTL: longTTL}, store.Item{Key: key, Value: []byte("new"), TTL: longTTL})
	}},
	{ability: "DeleteMany", keyed: true, call: func(c *client, key string) *outcome { return c.DeleteMany("other", key) }},
	{ability: "GetWithTTL", keyed: true, call: func(c *client, key string) *outcome { return c.GetWithTTL(key) }},
	{ability: "GetManyWithTTL", keyed: true, call: func(c *client, key string) *outcome { return c.GetManyWithTTL("other", key) }},
	{ability: "Add", keyed: true, call: func(c *client, key string) *outcome { return c.Add(key, "new", longTTL) }},
	{ability: "CompareAndSwap", keyed: true, call: func(c *client, key string) *outcome {
		return c.CompareAndSwap(key, []byte("old"), []byte("new"), longTTL)
	}},
	{ability: "CompareAndDelete", keyed: true, call: func(c *client, key string) *outcome { return c.CompareAndDelete(key, []byte("old")) }},
	{ability: "Touch", keyed: true, call: func(c *client, key string) *outcome { return c.Touch(key, longTTL/2) }},
	{ability: "Live", keyed: true, call: func(c *client, key string) *outcome { return c.GetLive(key) }},
	{ability: "Live", keyed: true, call: func(c *client, key string) *outcome { return c.SetLive(key, store.LiveBytes([]byte("new")), longTTL) }},
	{ability: "LiveAt", keyed: true, call: func(c *client, key string) *outcome { return c.GetLiveAt(key, time.Now()) }},
	{ability: "Keys", call: func(c *client, _ string) *outcome { return c.Keys("", nil) }},
	{ability: "Clear", call: func(c *client, _ string) *outcome { return c.Clear() }},
	{ability: "Watch", later: true, call: func(c *client, _ string) *outcome {
		if c.ctx == nil {
			return c.Watch(deaf{})
		}
		ctx, cancel := context.WithCancel(c.ctx)
		defer cancel()
		return c.with(ctx).Watch(deaf{})
	}},
	{ability: "Lease", keyed: true, call: func(c *client, key string) *outcome {
		return c.GetOrLease(key, "token", longTTL, store.LiveBytes([]byte("old")))
	}},
	{ability: "Lease", keyed: true, call: func(c *client, key string) *outcome { return c.RenewLease(key, "token", longTTL) }},
	{ability: "Lease", keyed: true, call: func(c *client, key string) *outcome { return c.Fill(key, "token", "new", longTTL) }},
	{ability: "Lease", keyed: true, call: func(c *client, key string) *outcome { return c.Abandon(key, "token") }},
	{ability: "Lease", keyed: true, call: func(c *client, key string) *outcome { return c.Hold(key, longTTL) }},
	{ability: "Ping", call: func(c *client, _ string) *outcome { return c.Ping() }},
}, lockMethods...)

// everyMethod calls try for each method of the contract that the store has,
// and for each function that works on it.
func (t *trial) everyMethod(try func(c *client, m method)) {
	for _, m := range methods {
		ways, _ := t.suite.ways(testCase{ability: m.ability, needs: always})
		for _, w := range ways {
			try(t.by(w), m)
		}
	}
}

// everyMethodAtOnce is everyMethod for calls that take long, as the backend is
// away: some are made at a time.
func (t *trial) everyMethodAtOnce(try func(c *client, m method)) {
	var calls []func()
	t.everyMethod(func(c *client, m method) {
		if !m.later {
			calls = append(calls, func() { try(c, m) })
		}
	})
	t.parallel(atOnce, func(i int) { // not each: all that fail are to be told
		for ; i < len(calls); i += atOnce {
			calls[i]()
		}
	})
}

// everyMethodApart is everyMethod for calls that write before them: those of one
// ability have a key of their own, and are made while others are. Methods that
// concern no key, as Clear does, come last, one after another.
func (t *trial) everyMethodApart(try func(c *client, m method, key string)) {
	chains := make(map[string][]func())
	var last []func()
	t.everyMethod(func(c *client, m method) {
		if m.keyed {
			chains[m.ability] = append(chains[m.ability], func() { try(c, m, "k"+m.ability) })
		} else {
			last = append(last, func() { try(c, m, "k") })
		}
	})
	t.eachOf(slices.Collect(maps.Keys(chains)), func(ability string) {
		for _, call := range chains[ability] {
			call()
		}
	})
	for _, call := range last {
		call()
	}
}

func always(*suite) string { return "" }

// everyKeyed is everyMethod for those that concern a key.
func (t *trial) everyKeyed(try func(c *client, m method)) {
	t.everyMethod(func(c *client, m method) {
		if m.keyed {
			try(c, m)
		}
	})
}

// A writer is a method that takes a ttl, in one way of calling it.
type writer struct {
	ability  string
	replaces bool // it stores its value over what is there
	adds     bool // it stores its value where nothing is
	call     func(c *client, key, value string, ttl time.Duration) *outcome
	way      way
}

// write makes the call. A method that compares expects the value "old".
func (w writer) write(c *client, key, value string, ttl time.Duration) *outcome {
	return w.call(c.by(w.way), key, value, ttl)
}

var allWriters = []writer{
	{replaces: true, adds: true, call: (*client).Set},
	{ability: "SetMany", replaces: true, adds: true, call: func(c *client, key, value string, ttl time.Duration) *outcome {
		return c.SetMany(store.Item{Key: key, Value: []byte(value), TTL: ttl})
	}},
	{ability: "Add", adds: true, call: (*client).Add},
	{ability: "CompareAndSwap", replaces: true, call: func(c *client, key, value string, ttl time.Duration) *outcome {
		return c.CompareAndSwap(key, []byte("old"), []byte(value), ttl)
	}},
	{ability: "Touch", call: func(c *client, key, _ string, ttl time.Duration) *outcome { return c.Touch(key, ttl) }},
	{ability: "Live", replaces: true, adds: true, call: func(c *client, key, value string, ttl time.Duration) *outcome {
		return c.SetLive(key, store.LiveBytes([]byte(value)), ttl)
	}},
}

// writers are the ways in which this store can be written to.
func (t *trial) writers() (writers []writer) {
	for _, w := range allWriters {
		ways, _ := t.suite.ways(testCase{ability: w.ability, needs: always})
		for _, w.way = range ways {
			writers = append(writers, w)
		}
	}
	return writers
}

// A change is a way in which the contract has an entry written or removed.
type change struct {
	ability  string
	onOld    bool // it works where the value is "old"
	onAbsent bool // it works where nothing is
	way      way
	call     func(c *client, key string) *outcome
}

// make makes the change.
func (ch change) make(c *client, key string) *outcome { return ch.call(c.by(ch.way), key).ok() }

var allChanges = []change{
	{onOld: true, onAbsent: true, call: func(c *client, key string) *outcome { return c.Set(key, "new", longTTL) }},
	{onOld: true, onAbsent: true, call: (*client).Delete},
	{ability: "SetMany", onOld: true, onAbsent: true, call: func(c *client, key string) *outcome {
		return c.SetMany(store.Item{Key: key, Value: []byte("new"), TTL: longTTL}, store.Item{Key: "beside", Value: []byte("new"), TTL: longTTL})
	}},
	{ability: "DeleteMany", onOld: true, onAbsent: true, call: func(c *client, key string) *outcome { return c.DeleteMany("beside", key) }},
	{ability: "Add", onAbsent: true, call: func(c *client, key string) *outcome { return c.Add(key, "new", longTTL).is(true) }},
	{ability: "CompareAndSwap", onOld: true, call: func(c *client, key string) *outcome {
		return c.CompareAndSwap(key, []byte("old"), []byte("new"), longTTL).is(true)
	}},
	{ability: "CompareAndDelete", onOld: true, call: func(c *client, key string) *outcome {
		return c.CompareAndDelete(key, []byte("old")).is(true)
	}},
	{ability: "Live", onOld: true, onAbsent: true, call: func(c *client, key string) *outcome {
		return c.SetLive(key, store.LiveBytes([]byte("new")), longTTL)
	}},
}

// changes are the ways in which this store can be changed, but for Clear and
// what needs a lease.
func (t *trial) changes() (changes []change) {
	for _, ch := range allChanges {
		ways, _ := t.suite.ways(testCase{ability: ch.ability, needs: always})
		for _, ch.way = range ways {
			changes = append(changes, ch)
		}
	}
	return changes
}
