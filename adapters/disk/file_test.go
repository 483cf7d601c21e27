package disk

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

func TestFile(t *testing.T) {
	for _, key := range []string{"k", strings.Repeat("k", store.MaxKeyLen)} {
		for _, value := range []string{"", "v", strings.Repeat("v", 1000)} {
			b := encode(key, []byte(value), 7)
			h, got, err := decode(b)
			if err != nil || h.key != key || h.deadline != 7 || string(got) != value || h.size() != int64(len(b)) {
				t.Errorf("decode(encode) of a key of %d and a value of %d bytes = %+v, %q, %v", len(key), len(value), h, got, err)
			}
			for n := range b {
				if _, _, err := decode(b[:n]); err == nil {
					t.Errorf("the first %d bytes are taken for a file with a key of %d", n, len(key))
				}
			}
			if _, _, err := decode(append(b, 0)); err == nil {
				t.Error("a file with a byte too many is taken for whole")
			}
		}
	}
}

// Whatever bit has changed is noticed.
func TestFileChecksEveryBit(t *testing.T) {
	b := encode("key", []byte("value"), 1<<60)
	for i := range len(b) * 8 {
		b[i/8] ^= 1 << (i % 8)
		if h, value, err := decode(b); err == nil {
			t.Errorf("bit %d of byte %d: read as %+v, %q", i%8, i/8, h, value)
		}
		b[i/8] ^= 1 << (i % 8)
	}
}

func FuzzDecode(f *testing.F) {
	good := encode("key", []byte("value"), 1<<60)
	f.Add(good)
	f.Add(good[:headerSize])
	f.Add([]byte{})
	for _, i := range []int{7, 8, 24, 27, 28, 32, 39, 40, headerSize} {
		bad := bytes.Clone(good)
		bad[i] ^= 0xff
		f.Add(bad)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, value, err := decode(b)
		if err != nil {
			return
		}
		again := encode(h.key, value, h.deadline)
		copy(again[16:24], b[16:24]) // when it was written
		sum := headerSum(again[:40], []byte(h.key))
		if h.size() != int64(len(b)) || !bytes.Equal(again[:40], b[:40]) || !bytes.Equal(again[44:], b[44:]) || headerSum(b[:40], []byte(h.key)) != sum {
			t.Errorf("%q is read as %+v, %q, which is written as %q", b, h, value, again)
		}
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, ttl := range []time.Duration{1, time.Hour, math.MaxInt64 - 1} {
			h := &header{deadline: deadlineAfter(ttl)}
			if h.left() != ttl || h.expired() {
				t.Errorf("of %v are left %v", ttl, h.left())
			}
		}
		h := &header{deadline: deadlineAfter(time.Hour)}
		time.Sleep(time.Hour - time.Nanosecond)
		if h.expired() || h.left() != 1 {
			t.Errorf("1 ns before its end: expired %v, left %v", h.expired(), h.left())
		}
		time.Sleep(time.Nanosecond)
		if !h.expired() {
			t.Error("it has not expired at its end")
		}
		if h := (&header{deadline: deadlineAfter(store.Forever)}); h.left() != store.Forever || h.expired() {
			t.Errorf("Forever: left %v", h.left())
		}
	})
}
