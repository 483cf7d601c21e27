package cache

import (
	"fmt"
	"maps"
	"math"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A removal is a Removal of the Cache, but for its Hooks.
type removal struct {
	key   int
	value *int64
	cause Cause
}

// A model is what a Cache of one shard must hold. It does the same, and is told
// what has left the Cache: every removal must be one that the model expects, in
// its turn. An int64 is a value of that size.
type model struct {
	c        *Cache[int, int64]
	limits   Limits
	entries  map[int]Entry[int64]
	history  *history
	telling  sync.Mutex // by the timer, in goroutines that know nothing of one another
	removals []removal
}

const modelKeys = 10

func newModel(l Limits) *model {
	m := &model{limits: l, entries: map[int]Entry[int64]{}, history: newHistory(l.Policy)}
	m.c = New(Options[int, int64]{
		Limits: l,
		Size:   func(_ int, value *int64) int64 { return *value },
		Hooks: func(Cause) any {
			m.within()
			return m
		},
		Removed: m.removed,
	})
	return m
}

func (m *model) removed(all []Removal[int, int64]) {
	m.telling.Lock()
	defer m.telling.Unlock()
	for _, r := range all {
		m.removals = append(m.removals, removal{r.Key, r.Value, r.Cause})
	}
}

func must(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Sprintf(format, args...))
	}
}

// within checks the limits, as it can be done at any moment.
func (m *model) within() {
	entries, bytes := m.c.entries.Load(), m.c.bytes.Load()
	must(entries <= m.limits.Entries, "%d entries, the limit is %d", entries, m.limits.Entries)
	must(m.limits.Bytes == 0 || bytes <= m.limits.Bytes, "%d bytes, the limit is %d", bytes, m.limits.Bytes)
}

func (m *model) bytes() (sum int64) {
	for _, e := range m.entries {
		sum += *e.Value
	}
	return sum
}

func (m *model) expired(key int) bool { return m.entries[key].Deadline <= m.c.Now() }

// remove is that an entry leaves, which the Cache must have told.
func (m *model) remove(what func(removal) bool, format string, args ...any) int {
	must(len(m.removals) > 0, "nothing was removed, not even "+format, args...)
	r := m.removals[0]
	e, ok := m.entries[r.key]
	must(ok && e.Value == r.value, "%+v was removed, but not there", r)
	must(what(r), "%+v was removed, and not %s", r, fmt.Sprintf(format, args...))
	m.removals = m.removals[1:]
	delete(m.entries, r.key)
	m.history.remove(r.key)
	return r.key
}

// evict is that the next entry leaves, and not that of the key except.
func (m *model) evict(cause Cause, except int) int {
	for key := range m.entries {
		if key != except && m.expired(key) {
			return m.remove(func(r removal) bool {
				return r.cause == Expired && r.key != except && m.expired(r.key)
			}, "what has expired")
		}
	}
	victims := without(m.history.victims(), except)
	exact := slices.Contains(exactPolicies, m.limits.Policy)
	return m.remove(func(r removal) bool {
		return r.cause == cause && slices.Contains(victims, r.key) && (r.key == victims[0] || !exact)
	}, "the first of %v", victims)
}

// makeRoom evicts as long as something must go for what is to come.
func (m *model) makeRoom(entries int, bytes int64, except int) {
	for int64(len(m.entries)+entries) > m.limits.Entries || m.limits.Bytes > 0 && m.bytes()+bytes > m.limits.Bytes {
		m.evict(Capacity, except)
	}
}

// expire is that everything leaves that has expired.
func (m *model) expire() (expired int) {
	for key := range maps.Clone(m.entries) {
		if m.expired(key) {
			m.evict(Expired, -1)
			expired++
		}
	}
	return expired
}

// put is Slot.Put, with the value that is there or another.
func (m *model) put(key int, value *int64, deadline int64) {
	old, there := m.entries[key]
	if value == nil {
		value = old.Value
	}
	s := m.c.Lock(key)
	cause := Replaced
	if there && m.expired(key) {
		cause = Expired
	}
	must(s.Put(Entry[int64]{value, deadline}, cause), "no room for %d, and nobody else is there", key)
	m.removed(s.Unlock())

	switch {
	case !there:
		m.makeRoom(1, *value, -1)
	case *value > *old.Value:
		m.makeRoom(0, *value-*old.Value, key)
	}
	if there && (value != old.Value || cause == Expired) {
		m.remove(func(r removal) bool { return r.key == key && r.cause == cause }, "the old value of %d", key)
	}
	m.entries[key] = Entry[int64]{value, deadline}
	m.history.write(key)
}

// reconfigure is Cache.Reconfigure. Another policy begins with the order that
// the last one gave, which is the Cache's word alone if that is not exact.
func (m *model) reconfigure(l Limits) {
	old := m.limits
	m.limits.Entries, m.limits.Bytes = math.MaxInt64, 0 // while it is at work
	m.removed(m.c.Reconfigure(l, nil))
	m.expire()
	m.limits.Entries, m.limits.Bytes = l.Entries, l.Bytes
	m.makeRoom(0, 0, -1)
	m.limits = l
	if l.Policy == old.Policy {
		return
	}
	newestFirst := old.Policy
	keys := m.history.victims()
	if !slices.Contains(exactPolicies, old.Policy) {
		newestFirst = l.Policy
		keys = keysOf(m.c.shards.Load().of[0].order.all())
	}
	if newestFirst == MRU || newestFirst == LIFO {
		slices.Reverse(keys)
	}
	m.history = newHistory(l.Policy)
	for _, key := range keys {
		m.history.write(key)
	}
}

// check compares all that can be seen.
func (m *model) check() {
	must(len(m.removals) == 0, "removed for nothing: %+v", m.removals)
	m.within()
	must(m.c.entries.Load() == int64(len(m.entries)), "%d entries are counted, not %d", m.c.entries.Load(), len(m.entries))
	if m.limits.Bytes > 0 {
		must(m.c.bytes.Load() == m.bytes(), "%d bytes are counted, not %d", m.c.bytes.Load(), m.bytes())
	}
	for key := range modelKeys {
		want, there := m.entries[key]
		got, ok := m.c.Peek(key)
		must(ok == there && got == want, "Peek(%d) is %v, %v, not %v, %v", key, got, ok, want, there)
	}
	m.checkParts()
}

// checkParts locks the shard, as its timer may be next to change it.
func (m *model) checkParts() {
	s := &m.c.shards.Load().of[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := slices.Sorted(maps.Keys(m.entries))
	inOrder := slices.Sorted(slices.Values(keysOf(s.order.all())))
	must(slices.Equal(inOrder, keys), "the order has %v, not %v", inOrder, keys)
	mortal := 0
	for _, e := range m.entries {
		if e.Deadline != Never {
			mortal++
		}
	}
	must(len(s.dues) == mortal, "%d of %d deadlines are known", len(s.dues), mortal)
}

// An operation is a step in the life of a Cache.
type operation struct {
	Do     string
	Key    int
	Size   int64
	TTL    time.Duration // 0 is for ever, less than that is over at once
	Limits Limits
}

func drawLimits(t *rapid.T, policies []Policy) Limits {
	return Limits{
		Entries: rapid.Int64Range(1, 6).Draw(t, "entries"),
		Bytes:   rapid.SampledFrom([]int64{0, 8, 12, 20}).Draw(t, "bytes"),
		Policy:  rapid.SampledFrom(policies).Draw(t, "policy"),
	}
}

func operations(policies []Policy) *rapid.Generator[operation] {
	names := []string{
		"get", "get", "get", "peek", "put", "put", "put", "put", "put again", "renew",
		"delete", "sleep", "sleep", "pop", "evict", "expire", "clear", "reconfigure",
	}
	return rapid.Custom(func(t *rapid.T) (o operation) {
		o.Do = rapid.SampledFrom(names).Draw(t, "do")
		o.Key = rapid.IntRange(0, modelKeys-1).Draw(t, "key")
		o.Size = rapid.Int64Range(1, 8).Draw(t, "size")
		o.TTL = rapid.SampledFrom([]time.Duration{0, 0, -1, 1, 10, 150, 1000}).Draw(t, "ttl") * time.Millisecond
		if o.Do == "reconfigure" {
			o.Limits = drawLimits(t, policies)
		}
		return o
	})
}

func (m *model) do(o operation) {
	deadline := int64(Never)
	if o.TTL != 0 {
		deadline = m.c.After(max(0, o.TTL))
	}
	entry, there := m.entries[o.Key]
	switch o.Do {
	case "get":
		got, ok := m.c.Get(o.Key)
		must(ok == there && got == entry, "Get(%d) is %v, %v, not %v, %v", o.Key, got, ok, entry, there)
		if there {
			m.history.read(o.Key)
		}
	case "peek":
		m.c.Peek(o.Key) // the answer is for check to see
	case "put":
		m.put(o.Key, &o.Size, deadline)
	case "put again":
		if there {
			m.put(o.Key, nil, deadline)
		}
	case "renew":
		if there {
			s := m.c.Lock(o.Key)
			s.Renew(deadline)
			m.removed(s.Unlock())
			m.entries[o.Key] = Entry[int64]{entry.Value, deadline}
		}
	case "delete":
		s := m.c.Lock(o.Key)
		s.Remove(Deleted)
		m.removed(s.Unlock())
		if there {
			m.remove(func(r removal) bool { return r == removal{o.Key, entry.Value, Deleted} }, "%d", o.Key)
		}
	default:
		m.doToAll(o)
	}
}

func (m *model) doToAll(o operation) {
	switch o.Do {
	case "sleep":
		m.sleep(max(0, o.TTL))
	case "expire":
		got, want := m.c.Expire(), m.expire()
		must(got == want, "Expire is %d, not %d", got, want)
	case "clear":
		m.c.Clear()
		for range len(m.entries) {
			m.remove(func(r removal) bool {
				return r.cause == Expired && m.expired(r.key) || r.cause == Cleared && !m.expired(r.key)
			}, "everything")
		}
	case "pop":
		m.pop()
	case "evict":
		n := min(int(o.Size), len(m.entries))
		got := m.c.Evict(int(o.Size))
		must(got == n, "Evict(%d) is %d, not %d", o.Size, got, n)
		for range n {
			m.evict(Capacity, -1)
		}
	case "reconfigure":
		m.reconfigure(o.Limits)
	}
}

// sleep lets the Cache remove what has expired, which it must do in time.
func (m *model) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	for len(m.removals) > 0 {
		m.remove(func(r removal) bool { return r.cause == Expired && m.expired(r.key) }, "what has expired")
	}
	for key, e := range m.entries {
		must(m.c.Now()-e.Deadline <= int64(sweepEvery), "%d is still there", key)
	}
}

func (m *model) pop() bool {
	entries := maps.Clone(m.entries)
	key, e, ok := m.c.Pop()
	m.expire()
	must(ok == (len(m.entries) > 0), "Pop is %d, %v, of %v", key, ok, m.entries)
	if ok {
		want := m.evict(Popped, -1)
		must(key == want && e == entries[key], "Pop is %d, %v, but %d was removed", key, e, want)
	}
	return ok
}

// replay lets a Cache do some operations in a time of its own, and at last give
// away all it has.
func replay(t *testing.T, l Limits, operations []operation) (failure any) {
	synctest.Test(t, func(*testing.T) {
		m := newModel(l)
		var o operation
		defer func() {
			if failure = recover(); failure != nil {
				failure = fmt.Sprintf("%+v: %v\n%s", o, failure, debug.Stack())
			}
		}()
		for _, o = range operations {
			if m.limits.Bytes > 0 {
				o.Size = min(o.Size, m.limits.Bytes)
			}
			m.do(o)
			m.check()
		}
		o = operation{Do: "pop all"}
		for m.pop() {
			m.check()
		}
		stats := m.c.Stats()
		var removed uint64
		for _, n := range stats.Removed {
			removed += n
		}
		must(stats.Sets == removed, "%d values were put, and %d removed", stats.Sets, removed)
		m.c.Close()
	})
	return failure
}

func TestCacheDoesAsItsModel(t *testing.T) {
	for p := range policies {
		t.Run(p.String(), func(t *testing.T) { testModel(t, []Policy{p}) })
	}
	t.Run("one after the other", func(t *testing.T) {
		testModel(t, []Policy{TinyLFU, LRU, MRU, LFU, FIFO, LIFO, Random})
	})
}

func testModel(t *testing.T, policies []Policy) {
	rapid.Check(t, func(rt *rapid.T) {
		limits := drawLimits(rt, policies)
		least := rapid.SampledFrom([]int{0, 10, 30, 60}).Draw(rt, "least") // by itself rapid prefers short ones
		steps := rapid.SliceOfN(operations(policies), least, 80).Draw(rt, "operations")
		if failure := replay(t, limits, steps); failure != nil {
			rt.Fatal(failure)
		}
	})
}
