package conformance

import (
	"fmt"
	"strconv"

	"github.com/cairncache/cairn/store"
)

var reopenCases = group("Reopen",
	rule("SeesWrites", "What one process has written another one reads, at once, and the other way round: that is what a shared cache is for.", func(t *trial) {
		t.Set("before", "1", store.Forever).ok()
		second := t.reopen()
		defer t.closeQuietly(second.s)
		second.Get("before").is("1")
		t.Set("k", "first", t.long()).ok()
		second.Get("k").is("first")
		second.Set("k", "second", t.long()).ok()
		t.Get("k").is("second")
		t.eachOf(oddSample(t.suite.opts.MaxKey), func(key string) {
			t.Set(key, "value of "+key, store.Forever).ok()
			second.Get(key).is("value of " + key)
		})
	}, needReopen),

	rule("SeesDeletes", "What one process has deleted is a miss in all others, at once. A handle that still answers serves data that was withdrawn.", func(t *trial) {
		second := t.reopen()
		defer t.closeQuietly(second.s)
		t.Set("k", "v", store.Forever).ok()
		second.Get("k").is("v")
		t.Delete("k").ok()
		second.Get("k").miss()
		second.TTL("k").miss()
		t.Set("k", "w", store.Forever).ok()
		second.Delete("k").ok()
		t.Get("k").miss()
	}, needReopen),

	rule("SeesExpiry", "The expiry belongs to the entry, not to the handle that wrote it.", func(t *trial) {
		second := t.reopen()
		defer t.closeQuietly(second.s)
		long := t.Set("long", "v", t.long()).ok()
		second.TTL("long").lasts(long, t.long())
		set := t.Set("k", "v", t.short()).ok()
		second.Get("k").isWithin(set, t.short(), "v")
		second.TTL("k").lasts(set, t.short())
		t.sleepPast(set, t.short())
		second.Get("k").miss()
		t.Get("k").miss()
	}, needReopen),

	rule("SeesClear", "Clear empties the store for all its handles, and what is written afterwards is seen by all.", func(t *trial) {
		second := t.reopen()
		defer t.closeQuietly(second.s)
		t.Set("k", "v", store.Forever).ok()
		second.Get("k").is("v")
		t.by(byFunction).Clear().ok()
		second.Get("k").miss()
		second.Set("k", "w", store.Forever).ok()
		t.Get("k").is("w")
		second.by(byFunction).Clear().ok()
		t.Get("k").miss()
	}, needReopen, canClear),

	rule("AddExcludes", "Add excludes callers of other processes too: a lock that holds in one process alone is none.", func(t *trial) {
		second := t.reopen()
		defer t.closeQuietly(second.s)
		t.by(byFunction).Add("k", "first", t.long()).is(true)
		second.by(byFunction).Add("k", "second", t.long()).is(false)
		handles := []*client{t.by(byFunction), second.by(byFunction)}
		for round := range 20 {
			key := fmt.Sprintf("key%d", round)
			var added [8]bool
			t.parallel(len(added), func(i int) {
				added[i] = handles[i%2].Add(key, strconv.Itoa(i), t.long()).ok().value.(bool)
			})
			winners := trueOnes(added[:])
			if len(winners) != 1 {
				t.fail(failure{"Adds of one absent key by two handles at once", fmt.Sprintf("%d were told true", len(winners)), "one is told true"})
			}
			second.Get(key).is(strconv.Itoa(winners[0]))
		}
	}, needReopen, need("Add")),

	rule("SwapExcludes", "CompareAndSwap is one step for callers of other processes too.", func(t *trial) {
		second := t.reopen()
		defer t.closeQuietly(second.s)
		t.counts(t.by(byFunction), second.by(byFunction))
	}, needReopen, need("CompareAndSwap")),

	rule("CloseIsOwn", "Closing one handle leaves the others and the data alone.", func(t *trial) {
		second := t.reopen()
		second.Set("k", "v", store.Forever).ok()
		second.Close().ok()
		t.Get("k").is("v")
		t.Set("k", "w", store.Forever).ok()
		t.Get("k").is("w")
	}, needReopen),
)

// canClear is the condition that the store can be emptied, if only key by key.
func canClear(s *suite) string {
	if !s.offers("Clear") && !s.offers("Keys") {
		return "the store offers neither Clear nor Keys"
	}
	return ""
}
