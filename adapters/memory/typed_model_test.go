package memory

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
	"pgregory.net/rapid"
)

// A typedModel is an LRU map with ttl and costs as anybody would write it: a
// slice, the least recently used first. It removes what has expired before each
// operation, which a Typed does later, but no one can see that.
type typedModel struct {
	c       *Typed[int, int]
	limit   int
	entries []modelEntry
	want    map[int]Cause // by value: none is written twice
	telling sync.Mutex    // by the timer, in goroutines that know nothing of one another
	got     map[int]Cause
	value   int
	stats   Stats
}

type modelEntry struct {
	key, value int
	end        time.Time // zero if it does not expire
}

const (
	modelMaxCost = 12
	modelTTL     = 200 * time.Millisecond
)

func modelCost(_, value int) int64 { return int64(value%7 - 1) } // -1 is 0

func newTypedModel(limit int) *typedModel {
	m := &typedModel{limit: limit, want: map[int]Cause{}, got: map[int]Cause{}}
	c, err := NewTyped(&TypedOptions[int, int]{
		MaxEntries: limit, Policy: LRU, TTL: modelTTL, MaxCost: modelMaxCost, Cost: modelCost,
		OnRemove: func(_, value int, cause Cause) {
			m.telling.Lock()
			defer m.telling.Unlock()
			if m.got[value] != 0 {
				panic(fmt.Sprintf("%d was removed twice", value))
			}
			m.got[value] = cause
		},
	})
	if err != nil {
		panic(err)
	}
	m.c = c
	return m
}

func (m *typedModel) find(key int) int {
	return slices.IndexFunc(m.entries, func(e modelEntry) bool { return e.key == key })
}

func (m *typedModel) remove(i int, cause Cause) modelEntry {
	e := m.entries[i]
	m.want[e.value] = cause
	m.entries = slices.Delete(m.entries, i, i+1)
	return e
}

func (m *typedModel) expire() {
	for i := len(m.entries) - 1; i >= 0; i-- {
		if end := m.entries[i].end; !end.IsZero() && !end.After(time.Now()) {
			m.remove(i, Expired)
		}
	}
}

func (m *typedModel) cost() (sum int64) {
	for _, e := range m.entries {
		sum += max(0, modelCost(e.key, e.value))
	}
	return sum
}

func modelEnd(ttl time.Duration) time.Time {
	switch ttl {
	case store.DefaultTTL:
		return time.Now().Add(modelTTL)
	case store.Forever:
		return time.Time{}
	}
	return time.Now().Add(ttl)
}

func (m *typedModel) set(key, value int, ttl time.Duration) {
	i := m.find(key)
	cost := max(0, modelCost(key, value))
	switch {
	case (ttl < 0 || cost > modelMaxCost) && i >= 0:
		m.remove(i, Deleted)
		return
	case ttl < 0 || cost > modelMaxCost:
		return
	case i >= 0:
		m.remove(i, Replaced)
	}
	for len(m.entries) >= m.limit || m.cost()+cost > modelMaxCost {
		m.remove(0, Capacity)
	}
	m.entries = append(m.entries, modelEntry{key, value, modelEnd(ttl)})
	m.stats.Sets++
}

func (m *typedModel) get(key int) (value int, found bool) {
	i := m.find(key)
	if i < 0 {
		m.stats.Misses++
		return 0, false
	}
	m.stats.Hits++
	e := m.entries[i]
	m.entries = append(slices.Delete(m.entries, i, i+1), e)
	return e.value, true
}

// do does the same to both, and compares what they return.
func (m *typedModel) do(op string, key, n int, ttl time.Duration) {
	m.expire()
	m.value++
	switch op {
	case "get":
		same(op)(m.c.Get(key))(m.get(key))
	case "set":
		m.c.SetTTL(key, m.value, ttl)
		m.set(key, m.value, ttl)
	case "getorset":
		v, found := m.get(key)
		if !found {
			m.set(key, m.value, store.DefaultTTL)
			v = m.value
		}
		same(op)(m.c.GetOrSet(key, m.value))(v, found)
	case "touch", "delete":
		m.change(op, key, ttl)
	case "pop":
		var want modelEntry
		ok := len(m.entries) > 0
		if ok {
			want = m.remove(0, Popped)
		}
		gotKey, gotValue, gotOK := m.c.Pop()
		same(op)(gotKey, gotOK)(want.key, ok)
		same(op)(gotValue, gotOK)(want.value, ok)
	case "evict":
		m.c.Len() // what has expired would count, until it is removed
		want := min(n, len(m.entries))
		for range want {
			m.remove(0, Capacity)
		}
		same(op)(m.c.Evict(n), true)(want, true)
	case "resize":
		m.limit = n
		for len(m.entries) > n {
			m.remove(0, Capacity)
		}
		m.c.Resize(n)
	case "clear":
		for len(m.entries) > 0 {
			m.remove(0, Cleared)
		}
		m.c.Clear()
	case "sleep":
		time.Sleep(max(0, min(ttl, time.Second)))
	}
}

func (m *typedModel) change(op string, key int, ttl time.Duration) {
	i := m.find(key)
	switch {
	case i >= 0 && (op == "delete" || ttl < 0):
		m.remove(i, Deleted)
	case i >= 0:
		m.entries[i].end = modelEnd(ttl)
	}
	if op == "delete" {
		same(op)(0, m.c.Delete(key))(0, i >= 0)
	} else {
		same(op)(0, m.c.Touch(key, ttl))(0, i >= 0)
	}
}

// same compares two answers: same(what)(got())(want()).
func same(what string) func(int, bool) func(int, bool) {
	return func(got int, ok bool) func(int, bool) {
		return func(want int, wanted bool) {
			if got != want || ok != wanted {
				panic(fmt.Sprintf("%s is %v, %v, not %v, %v", what, got, ok, want, wanted))
			}
		}
	}
}

// check compares all that can be seen.
func (m *typedModel) check(keys int) {
	m.expire()
	var inOrder []modelEntry
	for key, value := range m.c.All() {
		inOrder = append(inOrder, modelEntry{key: key, value: value})
	}
	if !slices.EqualFunc(inOrder, m.entries, func(a, b modelEntry) bool { return a.key == b.key && a.value == b.value }) {
		panic(fmt.Sprintf("All is %v, not %v", inOrder, m.entries))
	}
	for key := range keys {
		i := m.find(key)
		var want modelEntry
		if i >= 0 {
			want = m.entries[i]
		}
		same("Peek")(m.c.Peek(key))(want.value, i >= 0)
		same("Has")(0, m.c.Has(key))(0, i >= 0)
		left := time.Until(want.end)
		switch {
		case i < 0:
			left = 0
		case want.end.IsZero():
			left = store.Forever
		}
		ttl, found := m.c.TTL(key)
		same("TTL")(int(ttl), found)(int(left), i >= 0)
	}
}

func (m *typedModel) checkRemovals() {
	m.expire()
	same("Len")(m.c.Len(), true)(len(m.entries), true)
	if !maps.Equal(m.got, m.want) {
		panic(fmt.Sprintf("OnRemove was told %v, not %v", m.got, m.want))
	}
	got := m.c.Stats()
	want := Stats{Hits: m.stats.Hits, Misses: m.stats.Misses, Sets: m.stats.Sets, Entries: len(m.entries), Bytes: m.cost()}
	for _, cause := range m.want {
		switch cause {
		case Deleted:
			want.Deleted++
		case Expired:
			want.Expired++
		case Capacity:
			want.Evicted++
		case Replaced:
			want.Replaced++
		case Cleared:
			want.Cleared++
		case Popped:
			want.Popped++
		}
	}
	if got != want {
		panic(fmt.Sprintf("Stats is %+v, not %+v", got, want))
	}
}

func TestTypedDoesAsItsModel(t *testing.T) {
	const keys = 8
	names := []string{
		"get", "get", "get", "set", "set", "set", "set", "getorset", "touch", "delete",
		"pop", "evict", "resize", "clear", "sleep", "sleep", "check removals",
	}
	ttls := []time.Duration{store.DefaultTTL, store.DefaultTTL, store.Forever, -1, 1, 10 * time.Millisecond, 150 * time.Millisecond, time.Second}
	type operation struct {
		do     string
		key, n int
		ttl    time.Duration
	}
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 6).Draw(rt, "limit")
		operations := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) operation {
			return operation{
				do:  rapid.SampledFrom(names).Draw(t, "do"),
				key: rapid.IntRange(0, keys-1).Draw(t, "key"),
				n:   rapid.IntRange(1, 6).Draw(t, "n"),
				ttl: rapid.SampledFrom(ttls).Draw(t, "ttl"),
			}
		}), rapid.SampledFrom([]int{0, 10, 40}).Draw(rt, "least"), 80).Draw(rt, "operations")
		var failure any
		synctest.Test(t, func(*testing.T) {
			m := newTypedModel(limit)
			defer m.c.Close()
			defer func() { failure = recover() }()
			for _, o := range operations {
				if o.do == "check removals" {
					m.checkRemovals()
				} else {
					m.do(o.do, o.key, o.n, o.ttl)
				}
				synctest.Wait()
				m.check(keys)
			}
			m.checkRemovals()
		})
		if failure != nil {
			rt.Fatal(failure)
		}
	})
}
