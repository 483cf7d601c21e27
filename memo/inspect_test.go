package memo

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

func frozen(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "envelope", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseEnvelopeOfFrozenSamples(t *testing.T) {
	for name, want := range samples {
		b := frozen(t, name)
		e, err := ParseEnvelope(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if e.Version != 1 || e.Codec != "json" || e.Compression != "" {
			t.Errorf("%s: got version %d, %q, %q", name, e.Version, e.Codec, e.Compression)
		}
		if meta := want.describe(0, len(b)); !reflect.DeepEqual(e.Meta, meta) {
			t.Errorf("%s: got %+v, want %+v", name, e.Meta, meta)
		}
		payload, err := e.Decompress(0)
		var value sampled
		if err := errors.Join(err, json.Unmarshal(payload, &value)); err != nil || !reflect.DeepEqual(value, want.value) {
			t.Errorf("%s: got %+v, %v, want %+v", name, value, err, want.value)
		}
	}
}

func TestParseEnvelopeOfAllSections(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	at := func(d time.Duration) int64 { return created.Add(d).UnixNano() }
	h := header{
		flags: flagGeneration | flagStale | flagETag | flagTags, codec: codecGob, generation: 7,
		created: at(0), fresh: at(time.Minute), stale: at(time.Hour), load: time.Second,
		etag: "v1", tags: []tag{{"a", 1}, {"b", 2}},
	}
	b := append(h.append(nil), "payload"...)
	e, err := ParseEnvelope(b)
	if err != nil {
		t.Fatal(err)
	}
	want := Meta{
		Created: created.Local(), FreshUntil: created.Add(time.Minute).Local(), StaleUntil: created.Add(time.Hour).Local(),
		LoadTime: time.Second, ETag: new("v1"), Tags: []string{"a", "b"}, Size: len(b),
	}
	if e.Codec != "gob" || string(e.Payload) != "payload" || !reflect.DeepEqual(e.Meta, want) {
		t.Errorf("got %+v, want %+v", e, want)
	}
}

func TestParseEnvelopeOfAnError(t *testing.T) {
	for _, flag := range []byte{flagAbsent, flagFailure} {
		h := header{flags: flag | flagCompressed, codec: codecBytes} // Memo does not write both
		e, err := ParseEnvelope(append(h.append(nil), "no such user"...))
		if err != nil {
			t.Fatal(err)
		}
		text, err := e.Decompress(0)
		if string(text) != "no such user" || err != nil {
			t.Errorf("got %q, %v", text, err)
		}
		if e.Meta.Absent != (flag == flagAbsent) || e.Meta.Failure != (flag == flagFailure) || e.Compression != "" {
			t.Errorf("got %+v", e)
		}
	}
}

func TestNamesInEnvelope(t *testing.T) {
	for id, want := range map[byte]string{codecCustom: "custom", codecJSON: "json", codecGob: "gob", codecBytes: "bytes", codecString: "string", 5: "unknown 5", 255: "unknown 255"} {
		h := header{codec: id}
		if e, err := ParseEnvelope(h.append(nil)); e.Codec != want || err != nil {
			t.Errorf("codec %d: got %q, %v, want %q", id, e.Codec, err, want)
		}
	}
	for id, want := range map[byte]string{0: "unknown 0", 1: "zstd", 2: "s2", 3: "unknown 3", 127: "unknown 127", 128: "custom 128", 255: "custom 255"} {
		h := header{flags: flagCompressed, compressor: id}
		if e, err := ParseEnvelope(h.append(nil)); e.Compression != want || err != nil {
			t.Errorf("compressor %d: got %q, %v, want %q", id, e.Compression, err, want)
		}
	}
}

func TestParseEnvelopeRefuses(t *testing.T) {
	good := frozen(t, "v1-plain")
	edited := func(at int, with byte) []byte {
		b := bytes.Clone(good)
		b[at] = with
		return b
	}
	for name, b := range map[string][]byte{
		"nothing":       nil,
		"foreign":       []byte(`{"name":"Ada"}`),
		"later version": edited(2, 2),
		"unknown flag":  edited(3, 0x80),
		"cut":           good[:headerLen-1],
		"damaged":       edited(3, flagETag)[:headerLen],
	} {
		e, err := ParseEnvelope(b)
		if !errors.Is(err, store.ErrInvalid) || !strings.HasPrefix(err.Error(), "memo: parse envelope: ") || !reflect.DeepEqual(e, Envelope{}) {
			t.Errorf("%s: got %+v, %v", name, e, err)
		}
	}
}

func TestDecompress(t *testing.T) {
	c := fakeCompressor{id: 200}
	text := strings.Repeat("cairn ", 1000)
	stored, err := newFormat[string](nil, &Compression{With: c}).encode(&entry[string]{header: header{codec: codecJSON}, value: text})
	if err != nil {
		t.Fatal(err)
	}
	e, err := ParseEnvelope(stored)
	if err != nil || e.Compression != "custom 200" {
		t.Fatalf("got %q, %v", e.Compression, err)
	}
	payload, err := e.Decompress(0, nil, fakeCompressor{id: 1}, c)
	if want := `"` + text + `"`; string(payload) != want || err != nil {
		t.Errorf("got %d bytes, %v, want %d", len(payload), err, len(want))
	}
	if payload, err := e.Decompress(len(text)+2, c); len(payload) != len(text)+2 || err != nil {
		t.Errorf("with just enough: got %d bytes, %v", len(payload), err)
	}

	damaged := e
	damaged.Payload = e.Payload[:len(e.Payload)/2]
	panics := fakeCompressor{id: 200, decode: func([]byte, int) ([]byte, error) { panic("oops") }}
	for name, decompress := range map[string]func() ([]byte, error){
		"no compressor":      func() ([]byte, error) { return e.Decompress(0) },
		"another compressor": func() ([]byte, error) { return e.Decompress(0, fakeCompressor{id: 201}) },
		"too large":          func() ([]byte, error) { return e.Decompress(len(text)+1, c) },
		"negative size":      func() ([]byte, error) { return e.Decompress(-1, c) },
		"damaged":            func() ([]byte, error) { return damaged.Decompress(0, c) },
		"panic":              func() ([]byte, error) { return e.Decompress(0, panics) },
	} {
		if payload, err := decompress(); payload != nil || !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: got %d bytes, %v", name, len(payload), err)
		}
	}
}

func FuzzInspect(f *testing.F) {
	for _, e := range samples {
		b, err := newFormat[sampled](nil, nil).encode(&e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	h := header{flags: flagCompressed, compressor: 200, size: 1 << 62}
	f.Add(h.append(nil))
	const limit = 1 << 12
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEnvelope(b)
		if err != nil {
			if !errors.Is(err, store.ErrInvalid) {
				t.Error(err)
			}
			return
		}
		payload, err := e.Decompress(limit, fakeCompressor{id: 200})
		switch {
		case err != nil && !errors.Is(err, store.ErrInvalid):
			t.Error(err)
		case err == nil && e.Compression != "" && len(payload) > limit:
			t.Errorf("decompressed %d bytes", len(payload))
		}
	})
}
