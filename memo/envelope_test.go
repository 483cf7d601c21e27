package memo

import (
	"bytes"
	"encoding/hex"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// sampled is the type of the frozen samples. Its fields are part of them.
type sampled struct {
	Name  string `json:"name"`
	Born  time.Time
	Score *float64 `json:",omitempty"`
	Next  *sampled
	Bytes []byte
}

var samples = map[string]entry[sampled]{
	"v1-plain": {
		header: header{codec: codecJSON, shape: shapeOf(reflect.TypeFor[sampled](), codecJSON, ""), created: 1767323045000000006, fresh: 1767323345000000006, load: 12345 * time.Microsecond},
		value:  sampled{Name: "Ada <é>", Born: time.Date(1815, 12, 10, 0, 0, 0, 0, time.UTC), Score: new(0.5), Next: &sampled{Name: "Bo"}, Bytes: []byte{0, 0xff}},
	},
	"v1-forever": {
		header: header{codec: codecJSON, shape: shapeOf(reflect.TypeFor[sampled](), codecJSON, ""), created: 1767323045000000006, load: math.MaxUint32 * time.Microsecond},
		value:  sampled{},
	},
}

var writeSamples = flag.Bool("write-samples", false, "write the samples of the envelope that are missing in testdata")

// Entries outlive deployments: what was once written stays readable, and this
// version still writes the same bytes. A sample is never changed, only added.
func TestFrozenEnvelopes(t *testing.T) {
	for name, want := range samples {
		path := filepath.Join("testdata", "envelope", name+".hex")
		written, err := newFormat[sampled](nil, nil).encode(&want)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) && *writeSamples {
			text = []byte(strings.Join(chunks(hex.EncodeToString(written), 64), "\n") + "\n")
			err = os.WriteFile(path, text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		frozen, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
		if err != nil {
			t.Fatal(err)
		}
		got, err := newFormat[sampled](nil, nil).decode(frozen)
		if err != nil {
			t.Errorf("%s cannot be read: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: got %+v, want %+v", name, *got, want)
		}
		if !bytes.Equal(written, frozen) {
			t.Errorf("%s is now written as %x, want %x", name, written, frozen)
		}
	}
}

func chunks(s string, n int) (list []string) {
	for ; len(s) > n; s = s[n:] {
		list = append(list, s[:n])
	}
	return append(list, s)
}

func TestNewHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UnixNano()
		for _, test := range []struct {
			ttl  time.Duration
			want int64
		}{
			{0, 0},
			{1, now + 1},
			{time.Hour, now + int64(time.Hour)},
			{math.MaxInt64, 0},
			{math.MaxInt64 - time.Duration(now), 0},
			{math.MaxInt64 - time.Duration(now) - 1, math.MaxInt64 - 1},
		} {
			if h := newFormat[int](nil, nil).header(0, test.ttl); h.fresh != test.want || h.created != now {
				t.Errorf("ttl %v: fresh until %d, want %d", test.ttl, h.fresh, test.want)
			}
		}
	})
}

func TestLoadTimeIsCapped(t *testing.T) {
	for load, want := range map[time.Duration]time.Duration{
		0:               0,
		-time.Second:    0,
		1999:            time.Microsecond,
		time.Hour:       time.Hour,
		100 * time.Hour: math.MaxUint32 * time.Microsecond,
	} {
		h := header{load: load}
		got, payload, err := parseEnvelope(append(h.append(nil), 'x'))
		if got.load != want || string(payload) != "x" || err != nil {
			t.Errorf("%v: got %v, %q, %v", load, got.load, payload, err)
		}
	}
}

// Whatever bytes there are in a store, reading them is an error or an entry
// that is written as the same bytes.
func FuzzParseEnvelope(f *testing.F) {
	for _, e := range samples {
		b, err := newFormat[sampled](nil, nil).encode(&e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:headerLen])
		f.Add(b[:headerLen-1])
		f.Add(b[:3])
	}
	f.Add([]byte(nil))
	f.Add([]byte(`{"name":"Ada"}`))
	format := newFormat[sampled](nil, nil)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, payload, err := parseEnvelope(b)
		if err == nil {
			if again := append(h.append(nil), payload...); !bytes.Equal(again, b) {
				t.Errorf("%x is written as %x", b, again)
			}
		}
		if e, err := format.decode(b); (e == nil) == (err == nil) {
			t.Errorf("decode: %v, %v", e, err)
		}
	})
}
