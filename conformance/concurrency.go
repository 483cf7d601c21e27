package conformance

import (
	"fmt"
	"strings"

	"github.com/cairncache/cairn/store"
)

// Sizes of the cases below: enough for races to show under the race detector,
// few enough for a backend behind a network.
const (
	callers = 8
	rounds  = 60
)

// signed is a value that says whose it is in every part, so that a torn or
// mixed one is seen. Values of different rounds have different lengths.
func signed(key string, round int) string {
	return strings.Repeat(fmt.Sprintf("<%s:%d>", key, round), 1+round%40)
}

// isSigned reports whether value is one that signed makes for key.
func isSigned(value, key string) bool {
	part, _, ok := strings.Cut(value, ">")
	part += ">"
	return ok && strings.HasPrefix(part, "<"+key+":") && value == strings.Repeat(part, len(value)/len(part))
}

var concurrencyCases = group("Concurrency",
	rule("NeverTorn", "Any number of callers may write and read one key: each read is one whole value that somebody wrote, never parts of two.", func(t *trial) {
		t.Set("k", signed("k", 0), t.long()).ok()
		t.parallel(callers, func(i int) {
			for round := range rounds {
				if i%2 == 0 {
					t.Set("k", signed("k", i*rounds+round), t.long()).ok()
				} else if o := t.Get("k").ok(); !isSigned(string(o.bytes()), "k") {
					o.wanted("one whole value")
				}
			}
		})
	}),

	rule("NeverMixed", "Callers at work on different keys each see their own: an answer that goes to the wrong caller shows one user another's data.", func(t *trial) {
		t.parallel(callers, func(i int) {
			key := fmt.Sprintf("key%d", i)
			for round := range rounds {
				value := signed(key, round)
				t.Set(key, value, t.long()).ok()
				t.Get(key).is(value)
				if round%4 == 0 {
					t.Delete(key).ok()
					t.Get(key).miss()
				}
			}
		})
	}),

	rule("Batches", "Batches and single calls at once neither tear nor mix values, and a batch's values are those of its keys.", func(t *trial) {
		keys := make([]string, callers)
		for i := range keys {
			keys[i] = fmt.Sprintf("key%d", i)
		}
		for _, w := range []way{byMethod, byFunction} {
			if w == byMethod && (!t.suite.callable["GetMany"] || !t.suite.callable["SetMany"]) {
				continue
			}
			c := t.by(w)
			t.parallel(callers, func(i int) {
				for round := range rounds {
					switch i % 4 {
					case 0:
						t.Set(keys[round%callers], signed(keys[round%callers], round), t.long()).ok()
					case 1:
						c.SetMany(
							store.Item{Key: keys[round%callers], Value: []byte(signed(keys[round%callers], round)), TTL: t.long()},
							store.Item{Key: keys[i], Value: []byte(signed(keys[i], round)), TTL: t.long()},
						).ok()
					default:
						o := c.GetMany(keys...).ok()
						for key, value := range o.value.(map[string][]byte) {
							if !isSigned(string(value), key) {
								o.wanted("for each key one of its own values, whole")
							}
						}
					}
				}
			})
		}
	}),

	rule("EveryMethod", "All methods may be called at once, on the same keys. Run this under the race detector, which sees what no result shows.", func(t *trial) {
		const groups, keys = 3, 3 // of callers, and for each of them
		t.parallel(groups*callers, func(i int) {
			key := fmt.Sprintf("key%d.%d", i/callers, i%keys)
			t.everyMethod(func(c *client, m method) {
				o := m.call(c, key)
				if o.err != nil && o.err != store.ErrNotFound { // the bare sentinel is meant
					o.wanted("success or a miss")
				}
				if b, ok := o.value.([]byte); ok && o.err == nil && string(b) != "new" {
					o.wanted(`"new", the only value that is ever written`)
				}
			})
		})
	}),
)
