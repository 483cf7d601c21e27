package conformance

import (
	"errors"
	"fmt"
	"time"

	"github.com/cairncache/cairn/store"
)

// A thing is a value that is not its bytes: two of equal content are different.
type thing struct{ text string }

func encodeThing(v *thing) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(v.text), nil }
}

func decodeThing(b []byte) (*thing, error) { return &thing{string(b)}, nil }

func newThing(text string) (*thing, *store.Live) {
	v := &thing{text}
	return v, store.NewLive(v, encodeThing(v))
}

// thingOf is the value that a GetLive has returned.
func (o *outcome) thing() *thing {
	v, err := store.LiveValue(o.live(), decodeThing)
	if err != nil {
		o.wanted("a Live with a value; LiveValue failed: %v", err)
	}
	return v
}

func (o *outcome) live() *store.Live {
	o.ok()
	l := o.value.(*store.Live)
	if l == nil {
		o.wanted("a Live beside the nil error")
	}
	return l
}

var liveCases = group("Live",
	rule("BytesOfValue", "What SetLive stores is read as bytes by Get: a program that does not use live values, or another process, must see the same entry.", func(t *trial) {
		_, l := newThing("text")
		t.SetLive("k", l, store.Forever).ok()
		t.Get("k").is("text")
		t.GetLive("k").is("text")
		t.SetLive("bytes", store.LiveBytes([]byte("raw")), store.Forever).ok()
		t.Get("bytes").is("raw")
		t.SetLive("empty", store.LiveBytes(nil), store.Forever).ok()
		t.Get("empty").is("")
	}),

	rule("ValueOfBytes", "What Set stores is read by GetLive, and is decoded on demand.", func(t *trial) {
		t.Set("k", "text", store.Forever).ok()
		if v := t.GetLive("k").is("text").thing(); v.text != "text" {
			t.fail(failure{`LiveValue of GetLive("k")`, quote(v.text), `"text"`})
		}
		t.Set("empty", "", store.Forever).ok()
		t.GetLive("empty").is("")
	}),

	rule("SameValue", "A live store hands out the value itself, not a copy made through its bytes: that is all that it is for.", func(t *trial) {
		v, l := newThing("text")
		t.SetLive("k", l, store.Forever).ok()
		if got := t.GetLive("k").thing(); got != v {
			t.fail(failure{`GetLive("k")`, "another value of the same text", "the value that SetLive was given"})
		}
	}, need("Live")),

	rule("NeverEncodes", "A live store does not encode a value that nobody has asked for as bytes: encoding costs more than the cache saves.", func(t *trial) {
		encoded := false
		l := store.NewLive(&thing{"text"}, func() ([]byte, error) {
			encoded = true
			return []byte("text"), nil
		})
		t.SetLive("k", l, t.long()).ok()
		t.GetLive("k").ok()
		t.TTL("k").ok()
		if encoded {
			t.fail(failure{`SetLive("k", …), GetLive("k"), TTL("k")`, "the value was encoded", "the value itself kept and handed out"})
		}
	}, need("Live"), noMaxValue),

	rule("DecodedOnce", "Bytes are decoded once, and the value is shared by all later readers of the entry.", func(t *trial) {
		t.Set("k", "text", store.Forever).ok()
		first := t.GetLive("k").thing()
		if second := t.GetLive("k").thing(); second != first {
			t.fail(failure{`GetLive("k") twice`, "two values, decoded one by one", "one value, decoded once"})
		}
	}, need("Live")),

	rule("NewBytesNewValue", "A value belongs to the bytes that it was decoded from. When the entry is replaced, in whatever way, its old value must not be taken for the new bytes.", func(t *trial) {
		for i, w := range t.writers() {
			if !w.replaces {
				continue
			}
			key := fmt.Sprintf("key%d", i)
			_, l := newThing("old")
			t.SetLive(key, l, t.long()).ok()
			t.GetLive(key).thing()
			w.write(t.client, key, "new", t.long()).ok()
			if v := t.GetLive(key).is("new").thing(); v.text != "new" {
				t.fail(failure{"LiveValue of GetLive(" + quote(key) + ")", quote(v.text), `"new"`})
			}
			t.Get(key).is("new")
		}
	}),

	rule("GetIsTheCallers", "Get copies the bytes of a live entry: its caller may write to them, and nobody else's value may change.", func(t *trial) {
		raw := []byte("value")
		t.SetLive("k", store.LiveBytes(raw), store.Forever).ok()
		scribble(t.Get("k").is("value").bytes())
		t.Get("k").is("value")
		t.GetLive("k").is("value")
		if string(raw) != "value" {
			t.fail(failure{`Get("k")`, "the bytes that SetLive was given, which became " + showBytes(raw), "a copy of them"})
		}
	}),

	rule("SetKeepsNoSlice", "The slice given to Set is not what GetLive hands out.", func(t *trial) {
		buffer := []byte("value")
		t.setBytes("k", buffer, store.Forever).ok()
		l := t.GetLive("k").live()
		scribble(buffer)
		if b, err := l.Bytes(); err != nil || string(b) != "value" {
			t.fail(failure{`GetLive("k").Bytes()`, showBytes(b), `"value"`})
		}
		t.GetLive("k").is("value")
	}),

	rule("Miss", "A miss is nil and the bare ErrNotFound, for absent, deleted and expired entries.", func(t *trial) {
		t.GetLive("absent").miss()
		_, l := newThing("text")
		t.SetLive("deleted", l, store.Forever).ok()
		t.Delete("deleted").ok()
		t.GetLive("deleted").miss()
		set := t.SetLive("k", l, t.short()).ok()
		t.sleepPast(set, t.short())
		t.GetLive("k").miss()
		t.Get("k").miss()
	}),

	rule("TTL", "A ttl means what it means to Set: a live entry must not outlive its data.", func(t *trial) {
		t.obeys(func(key string, ttl time.Duration) *outcome {
			_, l := newThing("v")
			return t.SetLive(key, l, ttl).ok()
		})
	}),

	rule("Nil", "A nil Live is ErrInvalid, and changes nothing.", func(t *trial) {
		t.Set("k", "old", store.Forever).ok()
		t.SetLive("k", nil, store.Forever).fails(store.ErrInvalid)
		t.Get("k").is("old")
		t.SetLive("absent", nil, store.Forever).fails(store.ErrInvalid)
		t.Get("absent").miss()
	}),

	rule("CannotEncode", "A value that cannot be encoded is an error for whoever wants its bytes, never a miss and never an empty value.", func(t *trial) {
		broken := errors.New("this thing has no bytes")
		l := store.NewLive(&thing{"text"}, func() ([]byte, error) { return nil, broken })
		t.Set("k", "old", store.Forever).ok()
		if set := t.SetLive("k", l, store.Forever); set.err != nil {
			set.fails(store.ErrInvalid).fails(broken)
			t.Get("k").is("old")
			return
		}
		t.Get("k").fails(broken)
		if got := t.GetLive("k").thing(); got.text != "text" {
			t.fail(failure{`GetLive("k")`, quote(got.text), `"text"`})
		}
	}),
)

var liveAtCases = group("LiveAt",
	rule("SameAsGetLive", "With the present time GetLiveAt is GetLive: the same bytes for each hit, and the bare ErrNotFound for a miss.", func(t *trial) {
		t.GetLiveAt("k", time.Now()).miss()
		t.Set("k", "text", t.long()).ok()
		t.GetLiveAt("k", time.Now()).is("text")
		t.GetLiveAt("k", time.Now()).is("text")
		t.Set("k", "new", t.long()).ok()
		t.GetLiveAt("k", time.Now()).is("new")
		t.Delete("k").ok()
		t.GetLiveAt("k", time.Now()).miss()
	}),

	rule("DecodedOnce", "Bytes are decoded once for all who read the entry by GetLiveAt, as for those who read it by GetLive.", func(t *trial) {
		t.Set("k", "text", t.long()).ok()
		first := t.GetLiveAt("k", time.Now()).thing()
		if second := t.GetLiveAt("k", time.Now()).thing(); second != first {
			t.fail(failure{`GetLiveAt("k", time.Now()) twice`, "two values, decoded one by one", "one value, decoded once"})
		}
	}, need("LiveAt")),

	rule("ByThatTime", "The time that GetLiveAt is given decides what has expired, not the clock, and the entry stays: who has read the clock for another promise would otherwise get what expires in between.", func(t *trial) {
		ttl := t.long()
		set := t.Set("k", "text", ttl).ok()
		t.GetLiveAt("k", set.began.wall.Add(ttl-time.Minute)).is("text")
		t.GetLiveAt("k", set.ended.wall.Add(t.suite.longest(ttl))).miss()
		t.GetLiveAt("k", time.Now()).is("text")
		t.Get("k").is("text")
	}, need("LiveAt"), noAdvance),
)

var pingCases = group("Ping",
	rule("Answers", "Ping of a store that works is nil, and touches no entry.", func(t *trial) {
		t.Ping().ok()
		t.Set("k", "v", store.Forever).ok()
		t.Ping().ok()
		t.Get("k").is("v")
		t.holds("k")
	}),
)

// holds checks that the store lists these keys alone, if it can list them.
func (t *trial) holds(keys ...string) {
	if t.suite.offers("Keys") {
		t.by(byFunction).Keys("", nil).is(keys)
	}
}
