package memcache

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

func TestHeader(t *testing.T) {
	for _, key := range []string{"", "k", strings.Repeat("k", store.MaxKeyLen)} {
		for _, value := range []string{"", "v", strings.Repeat("v", 1000)} {
			in := header{generation: math.MaxUint64, deadline: math.MaxInt64, key: key}
			b := in.encode([]byte(value))
			stamp(b, in.generation, in.deadline)
			out, got, ok := parse(b)
			if !ok || out != in || string(got) != value {
				t.Errorf("parse(encode) of a key of %d and a value of %d bytes = %v, %q, %v", len(key), len(value), out, got, ok)
			}
			for n := range min(len(b), headerLen+len(key)) {
				if _, _, ok := parse(b[:n]); ok {
					t.Errorf("the first %d bytes of a header with a key of %d are taken for one", n, len(key))
				}
			}
		}
	}
}

func TestHeaderWithLease(t *testing.T) {
	for _, key := range []string{"", "k"} {
		for _, l := range []lease{{toFill, 7, "t"}, {toFill, 7, strings.Repeat("t", 64)}, {onHold, math.MaxInt64, ""}} {
			in := header{generation: 1, deadline: longAgo, key: key, lease: l}
			b := in.encode([]byte("value"))
			if out, value, ok := parse(b); !ok || out != in || string(value) != "value" {
				t.Errorf("parse(encode(%v)) = %v, %q, %v", in, out, value, ok)
			}
			for n := range len(b) - len("value") {
				if _, _, ok := parse(b[:n]); ok {
					t.Errorf("the first %d bytes of a header with a lease are taken for one", n)
				}
			}
		}
	}
	for _, l := range []lease{{toFill, 7, ""}, {onHold, 7, "t"}} {
		if _, _, ok := parse(header{generation: 1, deadline: longAgo, lease: l}.encode([]byte("value"))); ok {
			t.Errorf("%v is taken for a lease or a Hold", l)
		}
	}
}

func FuzzHeader(f *testing.F) {
	good := header{key: "key"}.encode([]byte("value"))
	stamp(good, 7, 1_800_000_000_000_000)
	f.Add(good)
	for _, change := range []func(b []byte){
		func(b []byte) { b[0]++ },                         // another magic
		func(b []byte) { b[2]++ },                         // another version
		func(b []byte) { stamp(b, 0, 0) },                 // no generation
		func(b []byte) { stamp(b, 1, -1) },                // a negative deadline
		func(b []byte) { b[19], b[20] = 0, 9 },            // a key longer than all
		func(b []byte) { b[19], b[20] = 0xff, 0xff },      // and than allowed
		func(b []byte) { stamp(b, 1<<63, math.MaxInt64) }, // the far future
	} {
		b := bytes.Clone(good)
		change(b)
		f.Add(b)
	}
	f.Add([]byte{})
	f.Add(good[:headerLen])
	leased := header{key: "key", lease: lease{toFill, 7, "token"}}.encode([]byte("value"))
	stamp(leased, 7, longAgo)
	f.Add(leased)
	f.Add(leased[:headerLen+len("key")+leaseLen])
	held := header{key: "key", lease: lease{onHold, 7, ""}}.encode(nil)
	stamp(held, 7, longAgo)
	f.Add(held)
	for i, to := range map[int]byte{0: 9, 1: 0xff, 9: 0xff} { // another kind, a negative deadline, a long token
		b := bytes.Clone(leased)
		b[headerLen+len("key")+i] = to
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, value, ok := parse(b)
		if !ok {
			if value != nil || h != (header{}) {
				t.Errorf("parse(%x) refuses it, and returns %v, %x", b, h, value)
			}
			return
		}
		again := h.encode(value)
		stamp(again, h.generation, h.deadline)
		if !bytes.Equal(again, b) {
			t.Errorf("parse(%x) = %v, %x, which is encoded as %x", b, h, value, again)
		}
		if d := left(time.Now(), h.deadline); d > store.Forever || h.deadline != 0 && d == store.Forever {
			t.Errorf("the deadline %d is %v away", h.deadline, d)
		}
	})
}

func TestDeadline(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 123_456_789, time.UTC)
	for _, ttl := range []time.Duration{1, 999, time.Microsecond, time.Millisecond, time.Second, 31 * 24 * time.Hour, math.MaxInt64 - 1} {
		d := deadline(now, ttl)
		got := left(now, d)
		if most := math.MaxInt64 - 2*time.Microsecond; got >= store.Forever || got < min(ttl, most) || got-ttl > 3*time.Microsecond {
			t.Errorf("a ttl of %v is %v at first", ttl, got)
		}
		if end := time.UnixMicro(d); left(end, d) > 0 || left(end.Add(-1), d) != 1 {
			t.Errorf("a ttl of %v is %v at its end, %v just before", ttl, left(end, d), left(end.Add(-1), d))
		}
	}
	if d := deadline(now, store.Forever); d != 0 || left(now, d) != store.Forever {
		t.Errorf("Forever has the deadline %d", d)
	}
}

func TestExpiration(t *testing.T) {
	now := time.Unix(1_700_000_000, 500)
	const day = 24 * time.Hour
	for _, test := range []struct {
		ttl  time.Duration
		want int32
	}{
		{1, 2},
		{time.Second - 1, 2},
		{time.Second, 3},
		{time.Second + 1, 3},
		{30*day - 2*time.Second, 30 * 24 * 3600},
		{30*day - time.Second, 1_700_000_000 + 30*24*3600 + 1}, // relative no more
		{31 * day, 1_700_000_000 + 31*24*3600 + 2},
		{(math.MaxInt32 - 1_700_000_002) * time.Second, math.MaxInt32},
		{(math.MaxInt32 - 1_700_000_001) * time.Second, 0},
		{math.MaxInt64 - 1, 0},
		{store.Forever, 0},
	} {
		if got := expiration(now, test.ttl); got != test.want {
			t.Errorf("expiration(%v) = %d, want %d", test.ttl, got, test.want)
		}
	}
}
