package conformance

import (
	"math"
	"time"

	"github.com/cairncache/cairn/store"
)

var expiryCases = group("Expiry",
	rule("LivesItsTTL", "An entry is readable until its ttl has passed and gone from then on. One that goes early costs the work that it should save; one that stays is stale data.", func(t *trial) {
		ttl := t.short()
		set := t.Set("k", "v", ttl).ok()
		t.lives(set, "k", "v", ttl)
	}),

	rule("GoneAtItsEnd", "An entry exactly at its expiry is expired. Two levels of a cache that judge this moment differently disagree about what is there.", func(t *trial) {
		ttl := t.short()
		set := t.Set("k", "v", ttl).ok()
		t.sleepUntil(set.ended, ttl)
		t.Get("k").miss()
		t.TTL("k").miss()
	}, needVirtualTime),

	rule("RoundsUp", "A ttl between two steps of the store's clock is rounded up, never down: rounded down it becomes 0 at the end, which means \"for ever\" or \"at once\" to most backends.", func(t *trial) {
		proved := false
		for _, steps := range []float64{2.4, 1.6, 3.2} {
			ttl := time.Duration(steps * float64(t.suite.opts.TTLStep))
			for range t.tries() {
				set := t.Set("k", "v", ttl).ok()
				if t.lives(set, "k", "v", ttl) {
					proved = true
					break
				}
			}
		}
		if !proved {
			t.skip("the machine or the network was too slow to see an entry in the last part of %v", t.suite.opts.TTLStep)
		}
	}),

	rule("Shortest", "A ttl shorter than the clock's step is one step: not an error, and not \"for ever\", which is what 0 means to most backends.", func(t *trial) {
		for _, ttl := range []time.Duration{1, t.suite.opts.TTLStep / 2, t.suite.opts.TTLStep - 1} {
			ttl = max(ttl, 1)
			set := t.Set("k", "v", ttl).ok()
			t.lives(set, "k", "v", ttl)
		}
	}),

	rule("HalfASecond", "500 ms stay 500 ms. Stores that count in seconds have made an hour of them, or no expiry at all, where a short ttl was chosen to keep data fresh.", func(t *trial) {
		const ttl = 500 * time.Millisecond
		set := t.Set("k", "v", ttl).ok()
		t.TTL("k").lasts(set, ttl)
		t.lives(set, "k", "v", ttl)
	}),

	rule("WholeSeconds", "A ttl of one and a half seconds is neither one nor two.", func(t *trial) {
		const ttl = 1500 * time.Millisecond
		set := t.Set("k", "v", ttl).ok()
		t.TTL("k").lasts(set, ttl)
		t.lives(set, "k", "v", ttl)
	}),

	rule("SetReplacesTTL", "Set replaces the expiry with the value, to a shorter and to a longer one. A kept expiry drops new data early or serves it too long.", func(t *trial) {
		short, long := t.short(), t.long()
		t.Set("shorter", "old", long).ok()
		shorter := t.Set("shorter", "new", short).ok()
		t.Set("longer", "old", short).ok()
		longer := t.Set("longer", "new", long).ok()
		t.TTL("longer").lasts(longer, long)
		t.lives(shorter, "shorter", "new", short)
		t.sleepWellPast(longer, short)
		t.Get("longer").is("new")
		t.TTL("longer").lasts(longer, long)
	}),

	rule("ForeverOverTTL", "Set with Forever removes an earlier expiry: the entry must not vanish when the old ttl has passed.", func(t *trial) {
		ttl := t.short()
		first := t.Set("k", "old", ttl).ok()
		second := t.Set("k", "new", store.Forever).ok()
		t.TTL("k").lasts(second, store.Forever)
		t.sleepWellPast(first, ttl)
		t.Get("k").is("new")
		t.TTL("k").lasts(second, store.Forever)
	}),

	rule("TTLOverForever", "Set with a ttl gives an entry that had no expiry one.", func(t *trial) {
		ttl := t.short()
		t.Set("k", "old", store.Forever).ok()
		set := t.Set("k", "new", ttl).ok()
		t.TTL("k").lasts(set, ttl)
		t.lives(set, "k", "new", ttl)
	}),

	rule("DeleteEndsTTL", "The expiry of a deleted entry dies with it: the timer of the old entry must not remove what is stored under the key afterwards.", func(t *trial) {
		ttl := t.short()
		first := t.Set("k", "old", ttl).ok()
		t.Delete("k").ok()
		t.Set("k", "new", t.long()).ok()
		t.sleepWellPast(first, ttl)
		t.Get("k").is("new")
	}),

	rule("AfterExpiry", "A key whose entry has expired can be set anew, and has nothing of the old one.", func(t *trial) {
		ttl := t.short()
		first := t.Set("k", "old", ttl).ok()
		t.sleepPast(first, ttl)
		t.Get("k").miss()
		second := t.Set("k", "new", t.long()).ok()
		t.Get("k").is("new")
		t.TTL("k").lasts(second, t.long())
	}),

	rule("ReadsDoNotProlong", "Reading an entry does not prolong its life. A sliding expiry keeps the most used data stale for ever.", func(t *trial) {
		ttl := t.short()
		set := t.Set("k", "v", ttl).ok()
		for _, age := range []time.Duration{ttl / 4, ttl / 2, ttl - ttl/4} {
			t.sleepUntil(set.began, age)
			t.Get("k").isWithin(set, ttl, "v")
			t.TTL("k")
		}
		t.sleepPast(set, ttl)
		t.Get("k").miss()
	}),

	rule("Month", "31 days, a year and a century are long, not over at once or never: one protocol takes more than 30 days for a date in 1970, and milliseconds overflow 32 bits after 25 days.", func(t *trial) {
		const day = 24 * time.Hour
		for _, ttl := range []time.Duration{25 * day, 30*day - time.Second, 30 * day, 30*day + time.Second, 31 * day, 50 * day, 366 * day, 36525 * day} {
			set := t.Set("k", "v", ttl).ok()
			t.Get("k").is("v")
			t.TTL("k").lasts(set, ttl)
		}
	}),

	rule("MonthPasses", "An entry of 31 days lives for 31 days and is gone then: what the clock was asked at Set is one thing, what timers and counters make of it another.", func(t *trial) {
		const ttl = 31 * 24 * time.Hour
		set := t.Set("k", "v", ttl).ok()
		t.lives(set, "k", "v", ttl)
	}, needVirtualTime),

	rule("Longest", "The longest ttl below Forever neither overflows into the past nor turns into no expiry.", func(t *trial) {
		for _, ttl := range []time.Duration{math.MaxInt64 - 1, math.MaxInt64 - time.Second, math.MaxInt64 / 2} {
			set := t.Set("k", "v", ttl).ok()
			t.Get("k").is("v")
			t.TTL("k").lasts(set, ttl)
			t.sleep(t.suite.opts.TTLStep)
			t.Get("k").is("v")
		}
	}),

	rule("Forever", "An entry with Forever has no expiry, and TTL says so.", func(t *trial) {
		set := t.Set("k", "v", store.Forever).ok()
		t.TTL("k").lasts(set, store.Forever)
		t.sleep(t.short())
		t.Get("k").is("v")
		t.TTL("k").lasts(set, store.Forever)
	}),

	rule("Default", "DefaultTTL is the ttl that the store was configured with, or Forever: not an entry that is gone at once, not an error, and not the ttl that the key had before.", func(t *trial) {
		set := t.Set("k", "v", store.DefaultTTL).ok()
		t.Get("k").is("v")
		t.TTL("k").lasts(set, store.DefaultTTL)
		first := t.Set("k", "old", t.short()).ok()
		set = t.Set("k", "new", store.DefaultTTL).ok()
		t.TTL("k").lasts(set, store.DefaultTTL)
		if t.suite.defaultTTL.low > t.long() {
			t.sleepWellPast(first, t.short())
			t.Get("k").is("new")
		}
	}),

	rule("Negative", "A negative ttl is ErrInvalid from every method that takes one, and changes nothing. It comes from a deadline that has passed, or from TTL's UnknownTTL passed on: neither may store, and neither may delete.", func(t *trial) {
		for _, ttl := range []time.Duration{-1, -time.Millisecond, -time.Hour, math.MinInt64} {
			for _, w := range t.writers() {
				w.write(t.client, "absent", "v", ttl).fails(store.ErrInvalid)
				t.Get("absent").miss()
				set := t.Set("k", "old", t.long()).ok()
				w.write(t.client, "k", "new", ttl).fails(store.ErrInvalid)
				t.Get("k").is("old")
				t.TTL("k").lasts(set, t.long())
			}
		}
	}),
)

var ttlCases = group("TTL",
	rule("CountsDown", "TTL is the time left: never more than the truth, as a layer above that trusts it would serve the entry when it is gone.", func(t *trial) {
		ttl := 2 * t.short()
		set := t.Set("k", "v", ttl).ok()
		for _, age := range []time.Duration{0, ttl / 4, ttl / 2} {
			t.sleepUntil(set.began, age)
			t.TTL("k").lasts(set, ttl)
		}
	}, needTTL),

	rule("Exact", "TTL of a fresh entry is the ttl that it was set with, for every length: code that copies entries copies their expiry by it.", func(t *trial) {
		for _, ttl := range testedTTLs() {
			set := t.Set("k", "v", ttl).ok()
			t.TTL("k").lasts(set, ttl)
		}
	}, needTTL),

	rule("NeverZero", "TTL of a live entry is more than 0. Passed on to another store 0 is DefaultTTL, which may be for ever.", func(t *trial) {
		ttl := 2*t.suite.opts.TTLStep + t.suite.opts.TTLStep/2
		for range t.tries() {
			set := t.Set("k", "v", ttl).ok()
			for t.atLeast(set.ended, t.now()) < t.suite.longest(ttl) {
				if o := t.TTL("k"); o.err == nil && o.value.(time.Duration) <= 0 {
					o.wanted("more than 0, or a miss")
				}
				t.sleep(max(t.suite.opts.TTLStep/8, 1))
			}
		}
	}, needTTL),
)
