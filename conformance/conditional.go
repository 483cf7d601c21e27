package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cairncache/cairn/store"
)

// unsupported makes the case for a store without the ability, whose meaning no
// fallback keeps.
func unsupported(name string) testCase {
	c := rule("Unsupported", "A store without "+name+" says so by an error matching errors.ErrUnsupported, and changes nothing. A made-up substitute would not be atomic, or not complete.", func(t *trial) {
		t.Set("k", "old", store.Forever).ok()
		for _, m := range methods {
			if m.ability != name {
				continue
			}
			for _, key := range []string{"k", "absent"} {
				m.call(t.by(byFunction), key).fails(errors.ErrUnsupported).nothing()
				a, _ := findAbility(name)
				if err := a.call(t.ctx, t.s); errors.Is(err, errNoMethod) {
					continue
				}
				if o := m.call(t.by(byMethod), key); !errors.Is(o.err, errors.ErrUnsupported) {
					o.wanted("errors.ErrUnsupported, as before the first case")
				}
			}
		}
		t.Get("k").is("old")
		t.TTL("k").ok()
		t.Get("absent").miss()
	}, func(s *suite) string {
		if s.callable[name] || (name == "Clear" && s.offers("Keys")) {
			return "the store offers it: nothing to refuse"
		}
		return ""
	})
	c.once = true
	return c
}

var addCases = group("Add",
	unsupported("Add"),

	rule("OnlyIfAbsent", "Add stores where nothing is and says so; where something is it changes nothing, neither value nor expiry, and says that. Locks and idempotency keys are built on it.", func(t *trial) {
		t.Add("k", "first", t.long()).is(true)
		t.Get("k").is("first")
		t.Add("k", "second", t.long()).is(false)
		t.Get("k").is("first")
		set := t.Set("set", "old", t.long()).ok()
		t.Add("set", "new", t.long()/2).is(false)
		t.Get("set").is("old")
		t.TTL("set").lasts(set, t.long())
		t.Add("set", "new", store.Forever).is(false)
		t.TTL("set").lasts(set, t.long())
	}),

	rule("EmptyIsPresent", "An entry with an empty value is an entry, and Add can store one.", func(t *trial) {
		t.Set("set", "", store.Forever).ok()
		t.Add("set", "new", store.Forever).is(false)
		t.Get("set").is("")
		t.Add("k", "", store.Forever).is(true)
		t.Add("k", "new", store.Forever).is(false)
		t.Get("k").is("")
	}),

	rule("AfterDelete", "A deleted key is absent: a lock that was released can be taken.", func(t *trial) {
		t.Set("k", "old", store.Forever).ok()
		t.Delete("k").ok()
		t.Add("k", "new", store.Forever).is(true)
		t.Get("k").is("new")
	}),

	rule("AfterExpiry", "An expired key is absent: a lock whose holder has died must be free when its time is over.", func(t *trial) {
		set := t.Set("k", "old", t.short()).ok()
		t.sleepPast(set, t.short())
		added := t.Add("k", "new", t.short()).is(true)
		t.Get("k").isWithin(added, t.short(), "new")
		t.sleepPast(added, t.short())
		t.Add("k", "newer", t.long()).is(true)
		t.Get("k").is("newer")
	}),

	rule("TTL", "A ttl means what it means to Set, whatever its length. An Add that loses the ttl is a lock which nobody can ever take again.", func(t *trial) {
		t.obeys(func(key string, ttl time.Duration) *outcome { return t.Add(key, "v", ttl).is(true) })
	}),

	rule("OneWinner", "Of any number of callers at once exactly one is told true, and it is that one's value which is stored.", func(t *trial) {
		const callers, rounds = 16, 20
		for round := range rounds {
			key := fmt.Sprintf("key%d", round)
			var added [callers]bool
			t.parallel(callers, func(i int) {
				added[i] = t.Add(key, strconv.Itoa(i), t.long()).ok().value.(bool)
			})
			winners := trueOnes(added[:])
			if len(winners) != 1 {
				t.fail(failure{fmt.Sprintf("%d Adds of one absent key at once", callers), fmt.Sprintf("%d were told true", len(winners)), "one is told true"})
			}
			t.Get(key).is(strconv.Itoa(winners[0]))
		}
	}),

	rule("KeepsNoSlice", "Add neither keeps nor changes the slice that it is given.", func(t *trial) {
		t.keepsNoSlice(func(value []byte) *outcome { return t.addBytes("k", value, t.long()).is(true) })
	}),
)

var compareAndSwapCases = group("CompareAndSwap",
	unsupported("CompareAndSwap"),

	rule("Swaps", "The value is replaced if it still is the old one, and else nothing is changed, neither value nor expiry.", func(t *trial) {
		set := t.Set("k", "one", t.long()).ok()
		t.CompareAndSwap("k", []byte("other"), []byte("two"), t.long()/2).is(false)
		t.Get("k").is("one")
		t.TTL("k").lasts(set, t.long())
		t.CompareAndSwap("k", []byte("one"), []byte("two"), t.long()).is(true)
		t.Get("k").is("two")
		t.CompareAndSwap("k", []byte("one"), []byte("three"), t.long()).is(false)
		t.Get("k").is("two")
		t.CompareAndSwap("k", []byte("two"), []byte("two"), t.long()).is(true)
		t.Get("k").is("two")
	}),

	rule("WholeValue", "Old and stored value are compared as a whole, byte for byte: not by a beginning, a hash, a number or as text.", func(t *trial) {
		t.Set("k", "value\x00tail", store.Forever).ok()
		for _, old := range []string{"value", "value\x00", "value\x00tai", "value\x00tail ", "value\x00tails", "Value\x00tail", "alue\x00tail", "value\x00taim", "*", ""} {
			t.CompareAndSwap("k", []byte(old), []byte("new"), store.Forever).is(false)
		}
		t.Get("k").is("value\x00tail")
		t.Set("n", "1", store.Forever).ok()
		for _, old := range []string{"01", "1.0", "+1", " 1", "1 "} {
			t.CompareAndSwap("n", []byte(old), []byte("2"), store.Forever).is(false)
		}
		t.eachOnKey(oddValues(), func(key, value string) {
			t.Set(key, value, store.Forever).ok()
			t.CompareAndSwap(key, []byte(value), []byte("new"), store.Forever).is(true)
		})
	}),

	rule("AbsentIsNoMatch", "An absent key is not swapped, whatever the old value, and not created: nil does not stand for \"absent\".", func(t *trial) {
		for _, old := range [][]byte{nil, {}, []byte("v")} {
			t.CompareAndSwap("absent", old, []byte("new"), store.Forever).is(false)
			t.Get("absent").miss()
		}
		t.Set("deleted", "v", store.Forever).ok()
		t.Delete("deleted").ok()
		t.CompareAndSwap("deleted", []byte("v"), []byte("new"), store.Forever).is(false)
		t.Get("deleted").miss()
	}),

	rule("ExpiredIsNoMatch", "An expired value is not swapped: the lease that it stood for is over.", func(t *trial) {
		set := t.Set("k", "v", t.short()).ok()
		t.sleepPast(set, t.short())
		t.CompareAndSwap("k", []byte("v"), []byte("new"), store.Forever).is(false)
		t.CompareAndSwap("k", nil, []byte("new"), store.Forever).is(false)
		t.Get("k").miss()
	}),

	rule("Empty", "The empty value can be compared with and swapped in. nil and an empty slice are the same.", func(t *trial) {
		for _, old := range [][]byte{nil, {}} {
			t.Set("k", "", store.Forever).ok()
			t.CompareAndSwap("k", old, []byte("full"), store.Forever).is(true)
			t.Get("k").is("full")
			t.CompareAndSwap("k", old, []byte("new"), store.Forever).is(false)
			t.CompareAndSwap("k", []byte("full"), old, store.Forever).is(true)
			t.Get("k").is("")
		}
	}),

	rule("TTL", "The new value has the new ttl, with the meaning that it has for Set, and not what was left of the old one.", func(t *trial) {
		t.obeys(func(key string, ttl time.Duration) *outcome {
			t.Set(key, "old", t.long()/2).ok()
			return t.CompareAndSwap(key, []byte("old"), []byte("v"), ttl).is(true)
		})
	}),

	rule("Counter", "Callers at once that each add one, trying again when another was faster, lose no step: that is what compare-and-swap is for.", func(t *trial) {
		t.counts(t.client)
	}),

	rule("KeepsNoSlice", "CompareAndSwap neither keeps nor changes the slices that it is given.", func(t *trial) {
		t.keepsNoSlice(func(value []byte) *outcome {
			t.Set("k", "old", t.long()).ok()
			old := append(make([]byte, 0, 8), "old"...)
			o := t.CompareAndSwap("k", old, value, t.long()).is(true)
			if string(old) != "old" {
				o.wanted("the old slice left as it is, not %s", showBytes(old))
			}
			return o
		})
	}),
)

var compareAndDeleteCases = group("CompareAndDelete",
	unsupported("CompareAndDelete"),

	rule("Deletes", "The entry is removed if its value still is the old one, and else nothing is changed: who no longer holds a lock cannot release it.", func(t *trial) {
		set := t.Set("k", "mine", t.long()).ok()
		t.CompareAndDelete("k", []byte("yours")).is(false)
		t.Get("k").is("mine")
		t.TTL("k").lasts(set, t.long())
		t.CompareAndDelete("k", []byte("mine")).is(true)
		t.Get("k").miss()
		t.CompareAndDelete("k", []byte("mine")).is(false)
	}),

	rule("WholeValue", "Old and stored value are compared as a whole, byte for byte.", func(t *trial) {
		t.Set("k", "value\x00tail", store.Forever).ok()
		for _, old := range []string{"value", "value\x00", "value\x00tai", "value\x00tails", "VALUE\x00TAIL", "*", ""} {
			t.CompareAndDelete("k", []byte(old)).is(false)
		}
		t.Get("k").is("value\x00tail")
		t.eachOnKey(oddValues(), func(key, value string) {
			t.Set(key, value, store.Forever).ok()
			t.CompareAndDelete(key, []byte(value)).is(true)
			t.Get(key).miss()
		})
	}),

	rule("AbsentIsNoMatch", "An absent or expired key is not deleted, whatever the old value, and that is no error.", func(t *trial) {
		set := t.Set("expired", "v", t.short()).ok()
		t.sleepPast(set, t.short())
		for _, old := range [][]byte{nil, {}, []byte("v")} {
			t.CompareAndDelete("absent", old).is(false)
			t.CompareAndDelete("expired", old).is(false)
		}
	}),

	rule("Empty", "An empty value matches nil and the empty slice, and nothing else does.", func(t *trial) {
		for _, old := range [][]byte{nil, {}} {
			t.Set("k", "", store.Forever).ok()
			t.CompareAndDelete("k", []byte("v")).is(false)
			t.CompareAndDelete("k", old).is(true)
			t.Get("k").miss()
			t.Set("k", "v", store.Forever).ok()
			t.CompareAndDelete("k", old).is(false)
			t.Get("k").is("v")
		}
	}),

	rule("OneWinner", "Of any number of callers at once exactly one deletes the entry.", func(t *trial) {
		const callers, rounds = 16, 20
		for round := range rounds {
			key := fmt.Sprintf("key%d", round)
			t.Set(key, "v", t.long()).ok()
			var deleted [callers]bool
			t.parallel(callers, func(i int) {
				deleted[i] = t.CompareAndDelete(key, []byte("v")).ok().value.(bool)
			})
			if n := len(trueOnes(deleted[:])); n != 1 {
				t.fail(failure{fmt.Sprintf("%d CompareAndDeletes of one entry at once", callers), fmt.Sprintf("%d were told true", n), "one is told true"})
			}
			t.Get(key).miss()
		}
	}),

	rule("SparesNewer", "A value that another caller stores at the same moment is never deleted: comparing and deleting are one step.", func(t *trial) {
		t.each(100, func(round int) {
			key := fmt.Sprintf("key%d", round)
			t.Set(key, "old", t.long()).ok()
			t.parallel(2, func(i int) {
				if i == 0 {
					t.CompareAndDelete(key, []byte("old")).ok()
				} else {
					t.Set(key, "new", t.long()).ok()
				}
			})
			t.Get(key).is("new")
		})
	}),
)

// counts lets callers at once count in one entry, each through one of the
// handles, and others in a second entry at the same time.
func (t *trial) counts(handles ...*client) {
	const callers, steps = 8, 6
	counters := []string{"n", "m"}
	for _, key := range counters {
		t.Set(key, "0", t.long()).ok()
	}
	t.parallel(callers*len(counters), func(i int) {
		key, c := counters[i/callers], handles[i%len(handles)]
		for done, failed := 0, 0; done < steps; {
			old := c.Get(key).bytes()
			n, _ := strconv.Atoi(string(old))
			o := c.CompareAndSwap(key, old, []byte(strconv.Itoa(n+1)), t.long()).ok()
			if o.value.(bool) {
				done++
			} else if failed++; failed > callers*steps {
				o.wanted("true now and then: more were refused than others can have been faster")
			}
		}
	})
	for _, key := range counters {
		t.Get(key).is(strconv.Itoa(callers * steps))
	}
}

func trueOnes(flags []bool) (indices []int) {
	for i, flag := range flags {
		if flag {
			indices = append(indices, i)
		}
	}
	return indices
}

// keepsNoSlice checks what becomes of the slice that write stores under "k".
func (t *trial) keepsNoSlice(write func(value []byte) *outcome) {
	buffer := []byte("value and room behind it")
	before := bytes.Clone(buffer)
	o := write(buffer[:5])
	if !bytes.Equal(buffer, before) {
		t.fail(failure{o.text, "the slice and what is behind it became " + showBytes(buffer), showBytes(before)})
	}
	scribble(buffer)
	t.Get("k").is("value")
}
