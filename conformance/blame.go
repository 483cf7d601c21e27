package conformance

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/cairncache/cairn/store"
)

// A failure is a call whose outcome breaks the rule of its case.
type failure struct{ Call, Got, Want string }

// shownCalls is how many calls before the failing one are shown.
const shownCalls = 12

// fail records a failure and ends the goroutine.
func (t *trial) fail(f failure) {
	t.record(f)
	runtime.Goexit()
}

// record notes a failure in the words in which it is reported. What fails
// after it, in other goroutines, is of the same cause or a consequence.
func (t *trial) record(f failure) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failure != "" {
		return
	}
	var b strings.Builder
	line := func(label, text string) {
		fmt.Fprintf(&b, "\n    %-8s%s", label, strings.ReplaceAll(text, "\n", "\n            "))
	}
	b.WriteString(t.c.id)
	if t.way != plainly {
		fmt.Fprintf(&b, ", by the %s", t.way)
	}
	line("call:", f.Call)
	line("got:", f.Got)
	line("want:", f.Want)
	line("rule:", t.c.rule)
	line("where:", t.c.where)
	before := t.log
	if n := len(before); n > 0 && before[n-1] == f.Call+" = "+f.Got {
		before = before[:n-1]
	}
	if len(before) > 0 {
		line("before:", strings.Join(before, "\n"))
	}
	t.failure = b.String()
}

// note keeps the latest events of the trial for a failure's text.
func (t *trial) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.log) == shownCalls {
		t.log = t.log[:copy(t.log, t.log[1:])]
	}
	t.log = append(t.log, fmt.Sprintf(format, args...))
}

// calling tells which calls are under way.
func (t *trial) calling() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var calls []string
	for o := range t.underWay {
		calls = append(calls, o.text)
	}
	if len(calls) == 0 {
		return "none is under way"
	}
	return strings.Join(calls, "; ")
}

// Keys, values and ttls as they are shown. Long ones keep both ends, as some
// differ only there.

func quote(s string) string {
	const head, tail = 40, 12
	if len(s) <= head+tail+8 {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q…%q (%d bytes)", s[:head], s[len(s)-tail:], len(s))
}

func quoteAll(keys []string) string {
	const shown = 6
	var b strings.Builder
	for i, key := range keys {
		if i == shown {
			fmt.Fprintf(&b, " … (%d)", len(keys))
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(quote(key))
	}
	return "[" + b.String() + "]"
}

func showTTL(d time.Duration) string {
	switch d {
	case store.Forever:
		return "Forever"
	case store.UnknownTTL:
		return "UnknownTTL"
	case store.DefaultTTL:
		return "DefaultTTL"
	}
	return d.String()
}

func showBytes(b []byte) string {
	if b == nil {
		return "nil"
	}
	return quote(string(b))
}

// show is a result as it is shown.
func show(value any) string {
	switch v := value.(type) {
	case []byte:
		return showBytes(v)
	case string:
		return quote(v)
	case time.Duration:
		return showLeft(v)
	case valueAndTTL:
		return showBytes(v.value) + ", " + showLeft(v.ttl)
	case map[string][]byte:
		return showMap(v)
	case map[string]store.Entry:
		return showEntries(v)
	case map[string]string:
		return showMap(v)
	case []string:
		return quoteAll(v)
	case *store.Live:
		if v == nil {
			return "nil"
		}
		return "a Live" // asking for its bytes might encode it
	case store.Lookup:
		switch {
		case v == store.Lookup{}:
			return ""
		case v.Lease == store.LeaseNone:
			return "a Lookup with " + show(v.Live) + ", " + showLeft(v.TTL)
		}
		return "a Lookup that says " + v.Lease.String() + ", " + showLeft(v.TTL)
	case store.LockResult:
		return showLock(v)
	case <-chan struct{}:
		if v == nil {
			return ""
		}
		return "a channel"
	case nil:
		return ""
	}
	return fmt.Sprint(value)
}

// showLeft is a result of TTL, where 0 means nothing but 0.
func showLeft(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	return showTTL(d)
}

func showMap[V string | []byte](m map[string]V) string {
	const shown = 4
	var b strings.Builder
	b.WriteByte('{')
	for i, key := range slices.Sorted(maps.Keys(m)) {
		if i == shown {
			fmt.Fprintf(&b, " … (%d)", len(m))
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(quote(key) + ":" + quote(string(m[key])))
	}
	b.WriteByte('}')
	return b.String()
}

// showEntries is showMap with times to live.
func showEntries(m map[string]store.Entry) string {
	shown := make(map[string]string, len(m))
	for key, e := range m {
		shown[key] = string(e.Value) + " for " + showLeft(e.TTL)
	}
	return showMap(shown)
}

// showDifference tells how far a result of several keys is from what is
// wanted, as both may be too many to be shown.
func showDifference(got, want any) string {
	var missing, unwanted, different []string
	switch want := want.(type) {
	case map[string]string:
		got, _ := valuesOf(got)
		for key, value := range want {
			if b, ok := got[key]; !ok {
				missing = append(missing, key)
			} else if string(b) != value {
				different = append(different, key)
			}
		}
		for key := range got {
			if _, ok := want[key]; !ok {
				unwanted = append(unwanted, key)
			}
		}
	case []string:
		got, _ := got.([]string)
		missing = except(want, got)
		unwanted = except(got, want)
	}
	var text string
	for _, d := range []struct {
		label string
		keys  []string
	}{{"missing", missing}, {"unwanted", unwanted}, {"with another value", different}} {
		if len(d.keys) > 0 {
			slices.Sort(d.keys)
			text += "\n" + d.label + ": " + quoteAll(d.keys)
		}
	}
	return text
}

func except(keys, others []string) []string {
	known := make(map[string]bool)
	for _, key := range others {
		known[key] = true
	}
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return known[key] })
}
