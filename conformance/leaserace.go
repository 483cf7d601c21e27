package conformance

import (
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/cairncache/cairn/store"
)

// leaseRaceCases are those of the group Lease about what happens at once.
var leaseRaceCases = group("Lease",
	rule("Exclusion", "Of any number of callers in several processes who ask at once, one gets the lease. That is what makes one load of a thousand misses, and one of a thousand hits that are too old.", func(t *trial) {
		handles, done := t.handles()
		defer done()
		for round := range 16 {
			key := fmt.Sprintf("key%d", round)
			var despite *store.Live
			if round%2 == 1 {
				despite = store.LiveBytes([]byte("old"))
				t.Set(key, "old", t.long()).ok()
			}
			var granted [64]bool
			t.parallel(len(granted), func(i int) {
				o := handles[i%len(handles)].GetOrLease(key, tokenOf(i), t.long(), despite)
				granted[i] = o.lookup().Lease == store.LeaseGranted
				if !granted[i] {
					o.leased(store.LeaseTaken)
				}
			})
			holders := trueOnes(granted[:])
			if len(holders) != 1 {
				t.fail(failure{"64 calls of GetOrLease for one key at once", fmt.Sprintf("%d leases were granted", len(holders)), "one lease, and 63 answers that it is taken"})
			}
			t.Fill(key, tokenOf(holders[0]+1), "stolen", t.long()).is(false)
			t.Fill(key, tokenOf(holders[0]), "v", t.long()).is(true)
			t.Get(key).is("v")
		}
	}),

	rule("LoadOrWrite", "GetOrLease, Fill and each write are one step. When a load and a write have returned, nothing is there that was loaded before the write, whichever came first.", func(t *trial) {
		writers, done := t.handles()
		defer done()
		for i, c := range writers {
			t.loadOr(c, fmt.Sprint("held", i), func(key string) { c.Hold(key, t.long()).ok() }, func(got *outcome) { got.miss() })
			t.loadOr(c, fmt.Sprint("set", i), func(key string) { c.Set(key, "new", t.long()).ok() }, func(got *outcome) { got.is("new") })
			t.loadOr(c, fmt.Sprint("deleted", i), func(key string) { c.Delete(key).ok() }, func(got *outcome) {
				if got.err == nil { // loaded after the Delete
					got.is("new")
					return
				}
				got.miss()
			})
		}
	}),
)

// loadOr has t load keys while c writes them, and checks what c then gets.
// Every second load has begun before.
func (t *trial) loadOr(c *client, name string, write func(key string), check func(*outcome)) {
	t.each(48, func(round int) {
		key := fmt.Sprintf("%s%d", name, round)
		var despite *store.Live
		if round%2 == 1 {
			despite = store.LiveBytes([]byte("old"))
			t.Set(key, "old", t.long()).ok()
		}
		var written atomic.Bool
		load := func() (value string, granted bool) {
			granted = t.GetOrLease(key, "token", t.long(), despite).lookup().Lease == store.LeaseGranted
			if written.Load() {
				return "new", granted
			}
			return "loaded", granted
		}
		begun := round/2%2 == 1
		var value string
		if begun {
			value, _ = load()
		}
		t.parallel(2, func(i int) {
			if i == 1 {
				for range round / 4 { // to come between any two steps of the load
					runtime.Gosched()
				}
				written.Store(true)
				write(key)
				return
			}
			granted := begun
			if !begun {
				value, granted = load()
			}
			if granted {
				t.Fill(key, "token", value, t.long()).ok()
			}
		})
		check(c.Get(key))
	})
}
