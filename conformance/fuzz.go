package conformance

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

// Fuzz decodes random bytes into calls of all methods that the store has, on a
// few keys, and compares what comes of them with a model: a store may forget,
// never lie. A miss is always allowed, as an entry may have been evicted; but
// a hit must have the value that was stored last, must not come after the
// entry's end, and not after a miss. So stores can be tried that fail cases of
// Run because they are small or remember nothing.
//
// As a plain test it tries some seeds; go test -fuzz goes on from there. open
// is called anew for each sequence of calls. Of the options the abilities,
// Skip and Fault have no effect.
func Fuzz(f *testing.F, open func(t *testing.T) store.Store, opts *Options) {
	f.Helper()
	o, err := opts.resolve()
	if err != nil {
		f.Fatal(err)
	}
	for seed := range uint64(8) {
		f.Add(randomCalls(seed))
	}
	r := &runner{&suite{opts: o}, open}
	f.Fuzz(func(t *testing.T, calls []byte) {
		if r.offered == nil {
			r.learn(t)
		}
		if v := r.tryIn(t, fuzzCase(calls), plainly); v.failure != "" {
			t.Error(v.failure)
		}
	})
}

// randomCalls is what Fuzz begins with.
func randomCalls(seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	calls := make([]byte, 600)
	for i := range calls {
		calls[i] = byte(random.Uint32())
	}
	return calls
}

// fuzzCase is the case that makes these calls.
func fuzzCase(calls []byte) testCase {
	return rule("Fuzz", "A store may forget, never lie: what it answers is what was stored last, and is not over.", func(t *trial) {
		m := &model{trial: t, calls: calls, entries: make(map[string]modelled)}
		for len(m.calls) > 0 {
			m.step()
		}
	})
}

// A model is what a store may at most know.
type model struct {
	*trial
	calls   []byte // the rest
	entries map[string]modelled
	slept   int
}

// A modelled entry is one that the store may have.
type modelled struct {
	value   string
	ttl     time.Duration
	written *outcome // the call that set its ttl
}

// pick takes the next byte to choose one of n.
func (m *model) pick(n int) int {
	if len(m.calls) == 0 {
		return 0
	}
	b := m.calls[0]
	m.calls = m.calls[1:]
	return int(b) % n
}

func (m *model) key() string   { return []string{"a", "b", "ab", "A", "a ", "\x00"}[m.pick(6)] }
func (m *model) value() string { return []string{"", "1", "2", "a longer value"}[m.pick(4)] }

func (m *model) ttl() time.Duration {
	return []time.Duration{store.Forever, m.long(), m.short(), m.short() / 2, m.suite.opts.TTLStep}[m.pick(5)]
}

// stored notes that the store may have this entry now, and no other.
func (m *model) stored(key, value string, ttl time.Duration, o *outcome) {
	m.entries[key] = modelled{value, ttl, o}
}

// mayHave checks that there may be an entry at the time of the call.
func (m *model) mayHave(o *outcome, key string) modelled {
	e, ok := m.entries[key]
	switch {
	case !ok:
		o.wanted("no entry: %s was deleted, was missed before, or was never stored", quote(key))
	case m.atLeast(e.written.ended, o.began) >= m.suite.life(e.ttl).high:
		o.wanted("no entry: the ttl of %s, %s, has passed", quote(key), showTTL(e.ttl))
	}
	return e
}

// read checks the outcome of a call that reads one value.
func (m *model) read(o *outcome, key string) {
	if errors.Is(o.err, store.ErrNotFound) {
		o.miss()
		delete(m.entries, key)
		return
	}
	o.ok()
	o.is(m.mayHave(o, key).value)
}

// step decodes one call, makes it and checks it.
func (m *model) step() {
	c := m.client.by([]way{byMethod, byFunction}[m.pick(2)])
	ops := modelOps
	op := ops[m.pick(len(ops))]
	if op.ability != "" {
		ways, _ := m.suite.ways(testCase{ability: op.ability, needs: always})
		if len(ways) == 0 {
			return
		}
		if !slices.Contains(ways, c.way) {
			c = m.client.by(ways[0])
		}
	}
	op.step(m, c)
}
