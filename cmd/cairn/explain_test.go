package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/lock"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/memo/compress"
	"github.com/cairncache/cairn/store"
)

func open(t *testing.T, url string) store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(s) })
	return s
}

type user struct {
	Name string
	Note string `json:",omitempty"`
}

// storeEntries stores entries of three memoized functions: app:user:1, which is
// compressed, app:user:2, which does not exist, and app:gob:1.
func storeEntries(t *testing.T, s store.Store) {
	t.Helper()
	m, err := memo.New(s, &memo.Options{Namespace: "app", Policy: memo.Policy{TTL: time.Minute, Stale: time.Hour, Absent: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	users, err := memo.Wrap(m, "user", func(_ context.Context, id int) (user, error) {
		if id == 2 {
			return user{}, store.ErrNotFound
		}
		return user{"<Ann>", strings.Repeat("x", 2000)}, nil
	}, &memo.FuncOptions[int, user]{
		Tags:        func(int) []string { return []string{"users", "tenant\x1b7"} },
		Compression: &memo.Compression{With: compress.Zstd()},
	})
	if err != nil {
		t.Fatal(err)
	}
	gob, err := memo.Wrap(m, "gob", func(context.Context, int) (user, error) { return user{Name: "Bob"}, nil },
		&memo.FuncOptions[int, user]{Codec: memo.Gob[user]()})
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := users.Get(t.Context(), 1)
	_, err2 := users.Get(t.Context(), 2)
	_, err3 := gob.Get(t.Context(), 1)
	if err1 != nil || !errors.Is(err2, store.ErrNotFound) || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
}

func TestExplain(t *testing.T) {
	onBackends(t, func(t *testing.T, b backend, url string) {
		storeEntries(t, open(t, url))
		here, gone := "store +has it for ", "store  no entry\n"
		if b.name == "layers" {
			here = "L1 +no entry\n( +not asked, .*\n)?L2 +has it for "
			gone = "L1 +no entry\n( +not asked, .*\n)?L2 +no entry\n"
		}
		const date = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`
		script(t, url, []step{
			{args: "set raw xyz"},
			{args: "explain raw", stdout: here + "ever\nsize +3 bytes\nenvelope +none: not an entry of memo\n"},
			{args: "explain app:user:1", stdout: here + `1h0m\S+s
size +\d+ bytes
envelope +of memo, version 1
kind +a value
created +` + date + `, \S+s ago
fresh until +` + date + `, in (1m0s|[45]\S+s)
stale until +as its reader's policy says
load time +\S+s
codec +json
compression +zstd
tags +"tenant\\x1b7"
 +users
`},
			{args: "explain app:user:2", stdout: `(?s).*kind +an error: there is no such thing\n.*`},
			{args: "explain absent", code: exitNotFound, stdout: gone, stderr: "cairn explain: not found\n"},
			{args: "explain absent -json", code: exitNotFound, stdout: `(?s)\{\n  "key": "absent",\n  "found": false,\n.*`, stderr: "cairn explain: not found\n"},
			{args: "explain absent -locks", code: exitNotFound, stdout: gone + "lease +none.*\nlock +none\n", stderr: "cairn explain: not found\n"},
			{args: "explain raw -locks", stdout: "(?s).*none: not an entry of memo\nlock +none\n"},
		})
		for _, args := range []string{"explain app:user:1", "explain -json app:user:1"} {
			if r := cairn(t, url, "", strings.Fields(args)...); strings.Contains(r.stdout, "xxxx") {
				t.Errorf("cairn %s shows the value: %s", args, r.stdout)
			}
		}
		var got struct {
			Found    bool
			Layers   []struct{ Layer, TTL string }
			Envelope struct {
				Kind, Codec, Compression string
				Created                  time.Time
				FreshUntil               time.Time `json:"fresh_until"`
				Tags                     []string
			}
		}
		decodeJSON(t, cairn(t, url, "", "explain", "-json", "app:user:1"), &got)
		e := got.Envelope
		if !got.Found || len(got.Layers) == 0 || e.Kind != "value" || e.Codec != "json" || e.Compression != "zstd" ||
			e.FreshUntil.Sub(e.Created) != time.Minute || len(e.Tags) != 2 {
			t.Errorf("explain -json: %+v", got)
		}
	})
}

func decodeJSON(t *testing.T, r result, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.stdout), v); err != nil || r.code != exitOK {
		t.Fatalf("%v: %+v", err, r)
	}
}

// Looking at leases and locks must not disturb those who have them.
func TestExplainLocks(t *testing.T) {
	onBackends(t, func(t *testing.T, _ backend, url string) {
		s := open(t, url)
		locks, err := lock.New(s, nil)
		if err != nil {
			t.Fatal(err)
		}
		held, err := locks.Lock(t.Context(), "job")
		if err != nil {
			t.Fatal(err)
		}
		look := step{args: "explain -locks job", code: exitNotFound, stderr: "cairn explain: not found\n"}
		look.stdout = `(?s).*lock +taken; ends in \d\S*s\n`
		script(t, url, []step{look, look})
		if err := held.Unlock(t.Context()); err != nil {
			t.Errorf("the lock was lost by looking at it: %v", err)
		}
		look.stdout = `(?s).*lock +none\n`
		script(t, url, []step{look, look})
		if !store.Supports[store.LeaseStore](s) {
			return
		}
		ctx := t.Context()
		found, err := store.GetOrLease(ctx, s, "job", "token", time.Hour, nil)
		if errors.Is(err, errors.ErrUnsupported) {
			return
		}
		if err != nil || found.Lease != store.LeaseGranted {
			t.Fatalf("after a look nobody else gets the lease: %v, %v", found.Lease, err)
		}
		look.stdout = `(?s).*lease +taken, to load it; ends in (1h0m0s|59m\S+s)\n.*`
		script(t, url, []step{look, look})
		if filled, err := store.Fill(ctx, s, "job", "token", store.LiveBytes([]byte("x")), store.Forever); !filled || err != nil {
			t.Errorf("the lease was lost by looking at it: %v, %v", filled, err)
		}
		if err := store.Hold(ctx, s, "job", time.Hour); err != nil {
			t.Fatal(err)
		}
		look.stdout = `(?s).*lease +held, to write it; ends in (1h0m0s|59m\S+s)\n.*`
		script(t, url, []step{look})
	})
}

func TestDecode(t *testing.T) {
	dir := t.TempDir()
	url := "disk:" + filepath.Join(dir, "cache")
	storeEntries(t, open(t, url))
	raw := func(key string) string { return cairn(t, url, "", "get", key).stdout }
	file := filepath.Join(dir, "entry")
	if err := os.WriteFile(file, []byte(raw("app:user:1")), 0o666); err != nil {
		t.Fatal(err)
	}
	json1 := "\n\\{\n  \"Name\": \"(<|\\\\u003c)Ann(>|\\\\u003e)\",\n  \"Note\": \"x+\"\n\\}\n"
	script(t, "", []step{
		{args: "decode", stdin: raw("app:user:1"), stdout: `envelope +of memo, version 1\n(?s).*codec +json\ncompression +zstd\n.*entry +\d+ bytes\npayload +20\d\d bytes\n` + json1},
		{args: "decode " + file, stdout: `(?s).*` + json1},
		{args: "decode -json", stdin: raw("app:user:1"), stdout: `(?s)\{\n  "version": 1,\n  "kind": "value",\n.*  "payload": \{\n    "Name": .*`},
		{args: "decode", stdin: raw("app:gob:1"), stdout: `(?s).*codec +gob\ncompression +none\n.*\n\n.*Bob.*`},
		{args: "decode -json", stdin: raw("app:gob:1"), stdout: `(?s).*"payload": \{\n    "base64": ".*`},
		{args: "decode", stdin: raw("app:user:2"), stdout: `(?s).*kind +an error: there is no such thing\n.*\n\n.*not found.*`},
		{args: "decode -json", stdin: raw("app:user:2"), stdout: `(?s).*"kind": "absent",\n.*"payload": ".*not found.*`},
		{args: "decode", code: exitError, stderr: "cairn decode: there is nothing to decode; .*\n"},
		{args: "decode", stdin: "other", code: exitError, stderr: "cairn decode: .*not written by package memo\n"},
		{args: "decode", stdin: raw("app:user:1")[:20], code: exitError, stderr: "cairn decode: .*\n"},
		{args: "decode", stdin: raw("app:user:1")[:100], code: exitError, stdout: "(?s).*compression +zstd\n.*", stderr: "cairn decode: .*\n"},
		{args: "decode /absent/file", code: exitError, stderr: "cairn decode: open /absent/file: .*\n"},
	})
}

// The layers of a file have other keys than the view of them under a prefix.
func TestExplainLayersUnderPrefix(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "cache.yaml")
	const stores = `
stores:
  near: { url: "memory:" }
  far: { url: "disk:DIR" }
  pages: { layers: [near, far], coherence: "bounded:5s", prefix: "pg:" }
`
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(stores, "DIR", dir+"/far")), 0o666); err != nil {
		t.Fatal(err)
	}
	script(t, "", []step{
		{args: "set k v -config " + file},
		{args: "explain k -config " + file, stdout: `(?s)L1 +no entry\n.*L2 +has it for ever\nsize +1 byte\n.*`},
		{args: "explain pg:k -name far -config " + file, stdout: `(?s)store +has it for ever\n.*`},
	})
}

// What memo keeps for its tags has no envelope, and is memo's all the same.
func TestExplainBookkeeping(t *testing.T) {
	url := "disk:" + t.TempDir()
	storeEntries(t, open(t, url))
	script(t, url, []step{{args: "explain app::#tag:users", stdout: `(?s).*envelope +none: bookkeeping of memo, .*`}})
}

func TestStats(t *testing.T) {
	dir := "disk:" + t.TempDir()
	script(t, dir, []step{
		{args: "set k " + strings.Repeat("x", 1000)},
		{args: "stats", stdout: `Hits +0\nMisses +0\nSets +0\nDamaged +0\nExpired +0\nEvicted +0\nBytes +1\d\d\d\n`},
		{args: "stats -json", stdout: `(?s)\{\n  "Bytes": 1\d\d\d,\n.*`},
	})
	script(t, "memory:", []step{{args: "stats", stdout: `(?s)Hits +0\n.*Entries +0\nBytes +0\n`}})
	script(t, "layered:?bounded=1s | memory: | "+dir, []step{
		{args: "stats", stdout: `(?s)L1Hits +0\n.*ProofAge +0s\nBreaker.State +closed\nBreaker.Since +never\n.*`},
		{args: "stats -json", stdout: `(?s).*"Breaker.State": "closed",\n.*`},
	})
	for _, url := range []string{"redis://localhost:1", "memcache://localhost:1", "null:"} {
		script(t, url, []step{{args: "stats", code: exitError, stderr: "cairn stats: this store counts nothing; .*\n"}})
	}
}
