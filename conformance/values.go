package conformance

import (
	"bytes"
	"strings"

	"github.com/cairncache/cairn/store"
)

var valueCases = group("Value",
	rule("Empty", "The empty value is a value, and so is nil. A store that takes it for a miss makes a program compute the same empty result for ever.", func(t *trial) {
		t.Set("empty", "", store.Forever).ok()
		t.Get("empty").is("")
		t.TTL("empty").ok()
		t.setBytes("nil", nil, store.Forever).ok()
		t.Get("nil").is("")
		t.Set("k", "v", store.Forever).ok()
		t.Set("k", "", store.Forever).ok()
		t.Get("k").is("")
	}),

	rule("AnyBytes", "A value comes back byte for byte, whatever it holds: compressed and encrypted data has every byte in every place.", func(t *trial) {
		t.eachOnKey(oddValues(), func(key, value string) {
			t.Set(key, value, store.Forever).ok()
			t.Get(key).is(value)
		})
	}),

	rule("NoMagic", "No value has a meaning of its own. One that equals a placeholder for \"absent\" or \"being loaded\" would be missing for ever, or loaded thousands of times.", func(t *trial) {
		for _, value := range []string{
			"nil", "null", "NULL", "<nil>", "none", "0", "false", "-1", "OK", "(nil)", "\x00", "NOT_FOUND", "not found",
			"store: not found", "cairn", "cairn:absent", "placeholder", "loading", "lock", "tombstone", "deleted", "*", "{}", "[]", `""`,
		} {
			t.Set("k", value, store.Forever).ok()
			t.Get("k").is(value)
		}
	}),

	rule("SetKeepsNoSlice", "Set does not keep the slice that it is given. A caller that reuses its buffer would otherwise rewrite what is cached.", func(t *trial) {
		buffer := []byte("value and room behind it")
		t.setBytes("k", buffer[:5], store.Forever).ok()
		scribble(buffer)
		t.Get("k").is("value")
	}),

	rule("SetChangesNoSlice", "Set does not write to the slice that it is given, nor to its spare capacity. Other goroutines may be reading it.", func(t *trial) {
		buffer := []byte("value and room behind it")
		before := bytes.Clone(buffer)
		o := t.setBytes("k", buffer[:5], t.long()).ok()
		if !bytes.Equal(buffer, before) {
			t.fail(failure{o.text, "the slice and what is behind it became " + showBytes(buffer), showBytes(before)})
		}
	}),

	rule("GetIsTheCallers", "The caller owns what Get returns, up to its capacity. If the store keeps it, one reader's change shows in every later read.", func(t *trial) {
		t.Set("k", "value", store.Forever).ok()
		first := t.Get("k").is("value").bytes()
		second := t.Get("k").is("value").bytes()
		scribble(first)
		if string(second) != "value" {
			t.fail(failure{`Get("k")`, showBytes(second) + " after another reader wrote to its own result", `"value"`})
		}
		t.Get("k").is("value")
	}),

	rule("Large", "A value of some hundred kilobytes comes back whole. Pages and lists are that large, and buffers that are too small cut them.", func(t *trial) {
		sizes := []int{1 << 10, 4<<10 - 1, 64 << 10, 64<<10 + 1, 256 << 10}
		for _, size := range sizes {
			if limit := t.suite.opts.MaxValue; limit > 0 && size > limit {
				continue
			}
			value := pattern(size)
			t.Set("k", value, store.Forever).ok()
			t.Get("k").is(value)
		}
	}),

	rule("Largest", "A value of the stated greatest length is taken and comes back whole.", func(t *trial) {
		value := pattern(t.suite.opts.MaxValue)
		t.Set("k", value, store.Forever).ok()
		t.Get("k").is(value)
	}, needMaxValue),

	rule("TooLarge", "A value that is too large is ErrTooLarge, from every method that writes, and what was there before is not left readable: it is outdated.", func(t *trial) {
		value := pattern(2*t.suite.opts.MaxValue + 2)
		for _, w := range t.writers() {
			switch {
			case w.replaces:
				t.Set("k", "old", t.long()).ok()
				w.write(t.client, "k", value, t.long()).fails(store.ErrTooLarge)
				t.Get("k").miss()
			case w.adds:
				w.write(t.client, "absent", value, t.long()).fails(store.ErrTooLarge)
				t.Get("absent").miss()
			}
		}
	}, needMaxValue),
)

// scribble overwrites a slice up to its capacity.
func scribble(b []byte) {
	b = b[:cap(b)]
	for i := range b {
		b[i] = '#'
	}
}

// pattern is a text of which no two parts of some length are alike, so that
// lost and doubled blocks show.
func pattern(size int) string {
	var b strings.Builder
	b.Grow(size)
	for x := uint32(1); b.Len() < size; {
		x = x*1664525 + 1013904223
		b.WriteByte(byte(x >> 24))
	}
	return b.String()
}

// oddValues holds every single byte, all of them at once, and what has a
// meaning in some protocol.
func oddValues() []string {
	var all [256]byte
	values := make([]string, 0, 300)
	for i := range all {
		all[i] = byte(i)
		values = append(values, string(all[i:i+1]))
	}
	return append(values, string(all[:]), "\r\n", "END\r\n", "$-1\r\n", "*1\r\n$4\r\nPING\r\n", "value\r\n", "\n", " ", "\x00\x00",
		"\x1f\x8b\x08\x00", "\xff\xfe", "\xef\xbb\xbftext", `{"a":1}`, "%s%d%%", strings.Repeat("\x00", 100))
}
