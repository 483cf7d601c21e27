package conformance

import (
	"time"

	"github.com/cairncache/cairn/store"
)

// A method is one of the contract, called with what all cases about every
// method agree on: the entry that may be there has the value "old".
type method struct {
	ability string // "" for a method of Store
	keyed   bool   // it concerns a key
	call    func(c *client, key string) *outcome
}

const longTTL = 6 * time.Hour

var methods = []method{
	{"", true, func(c *client, key string) *outcome { return c.Get(key) }},
	{"", true, func(c *client, key string) *outcome { return c.Set(key, "new", longTTL) }},
	{"", true, func(c *client, key string) *outcome { return c.Delete(key) }},
	{"", true, func(c *client, key string) *outcome { return c.TTL(key) }},
	{"GetMany", true, func(c *client, key string) *outcome { return c.GetMany("other", key) }},
	{"SetMany", true, func(c *client, key string) *outcome {
		return c.SetMany(store.Item{Key: "other", Value: []byte("new"), TTL: longTTL}, store.Item{Key: key, Value: []byte("new"), TTL: longTTL})
	}},
	{"DeleteMany", true, func(c *client, key string) *outcome { return c.DeleteMany("other", key) }},
	{"GetWithTTL", true, func(c *client, key string) *outcome { return c.GetWithTTL(key) }},
	{"Add", true, func(c *client, key string) *outcome { return c.Add(key, "new", longTTL) }},
	{"CompareAndSwap", true, func(c *client, key string) *outcome {
		return c.CompareAndSwap(key, []byte("old"), []byte("new"), longTTL)
	}},
	{"CompareAndDelete", true, func(c *client, key string) *outcome { return c.CompareAndDelete(key, []byte("old")) }},
	{"Touch", true, func(c *client, key string) *outcome { return c.Touch(key, longTTL/2) }},
	{"Live", true, func(c *client, key string) *outcome { return c.GetLive(key) }},
	{"Live", true, func(c *client, key string) *outcome { return c.SetLive(key, store.LiveBytes([]byte("new")), longTTL) }},
	{"LiveAt", true, func(c *client, key string) *outcome { return c.GetLiveAt(key, time.Now()) }},
	{"Keys", false, func(c *client, _ string) *outcome { return c.Keys("", nil) }},
	{"Clear", false, func(c *client, _ string) *outcome { return c.Clear() }},
	{"Ping", false, func(c *client, _ string) *outcome { return c.Ping() }},
}

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

// everyMethodAtOnce is everyMethod for calls that take long: some are made at a
// time.
func (t *trial) everyMethodAtOnce(try func(c *client, m method)) {
	const atOnce = 8
	var calls []func()
	t.everyMethod(func(c *client, m method) {
		calls = append(calls, func() { try(c, m) })
	})
	t.parallel(atOnce, func(i int) {
		for ; i < len(calls); i += atOnce {
			calls[i]()
		}
	})
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
