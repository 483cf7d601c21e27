package memo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"

	_ "github.com/cairncache/cairn/adapters/memcache"
	_ "github.com/cairncache/cairn/adapters/memory"
	_ "github.com/cairncache/cairn/adapters/redis"
	"github.com/cairncache/cairn/internal/testprocess"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/memo/compress"
	"github.com/cairncache/cairn/store"
)

func TestMain(m *testing.M) {
	logging.Disable() // go-redis reports every dial that fails
	testprocess.Main(processConfig.run)
	testservers.Main(m)
}

// prefixes counts what tests need for themselves.
var prefixes atomic.Int64

func open(t *testing.T, url string) store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(s); err != nil {
			t.Error(err)
		}
	})
	return s
}

// processes are two Memos that share the entries of a store as two processes
// do. In memory there can be but one store.
type processes struct {
	a, b   *memo.Memo
	stores [2]store.Store
}

func newProcesses(t *testing.T, s1, s2 store.Store, o memo.Options) *processes {
	t.Helper()
	second := o
	return &processes{newMemo(t, s1, &o), newMemo(t, s2, &second), [2]store.Store{s1, s2}}
}

// thing is a value of some size.
type thing struct {
	ID   int
	Load int64 // the number of the load that brought it
	Text string
}

// database is what the functions of all processes read.
type database struct{ loads atomic.Int64 }

func (db *database) load(_ context.Context, id int) (thing, error) {
	n := db.loads.Add(1)
	if id < 0 {
		return thing{}, store.ErrNotFound
	}
	return thing{id, n, strings.Repeat("text ", 1000)}, nil
}

func (db *database) fill(ctx context.Context, ids []int, put func(int, thing)) error {
	for _, id := range ids {
		if v, err := db.load(ctx, id); err == nil {
			put(id, v)
		}
	}
	return nil
}

// wantLoad checks the number of the load that the value for id is of.
func wantLoad(t *testing.T, what string, f *memo.Func[int, thing], id int, load int64) {
	t.Helper()
	if v := get(t, f, id); v.Load != load || v.ID != id || len(v.Text) != 5000 {
		t.Errorf("%s: got %d of load %d, want %d of load %d", what, v.ID, v.Load, id, load)
	}
}

// endToEnd are what users do, in two processes over one store.
var endToEnd = map[string]func(t *testing.T, p *processes){
	"get, delete": func(t *testing.T, p *processes) {
		a, b, _ := p.wrap(t, nil)
		wantLoad(t, "first", a, 7, 1)
		wantLoad(t, "hit", a, 7, 1)
		wantLoad(t, "hit of another process", b, 7, 1)
		mustDelete(t, b, 7)
		wantLoad(t, "deleted by another process", a, 7, 2)
		if ttl, err := b.TTL(t.Context(), 7); err != nil || ttl <= time.Hour || ttl > time.Hour+time.Minute {
			t.Errorf("TTL: %v, %v", ttl, err)
		}
	},
	"set, touch, meta": func(t *testing.T, p *processes) {
		a, b, _ := p.wrap(t, nil)
		if err := a.Set(t.Context(), 7, thing{7, 99, strings.Repeat("t", 5000)}, memo.Call{Policy: memo.Policy{TTL: time.Minute}}); err != nil {
			t.Error(err)
		}
		wantLoad(t, "set", b, 7, 99)
		if err := b.Touch(t.Context(), 7); err != nil {
			t.Error(err)
		}
		if meta, err := a.Meta(t.Context(), 7); err != nil || time.Until(meta.FreshUntil) < 59*time.Minute || meta.TTL < 59*time.Minute {
			t.Errorf("Meta: %+v, %v", meta, err)
		}
		wantLoad(t, "touched", a, 7, 99)
		if err := a.Touch(t.Context(), 8); err != store.ErrNotFound {
			t.Errorf("Touch of nothing: %v", err)
		}
	},
	"stale": func(t *testing.T, p *processes) {
		a, b, _ := p.wrap(t, nil)
		wantLoad(t, "first", a, 7, 1)
		if err := a.Expire(t.Context(), 7); err != nil {
			t.Error(err)
		}
		r, err := b.Lookup(t.Context(), 7)
		if err != nil || r.Source != memo.SourceStale || r.Value.Load != 1 {
			t.Errorf("expired: %v, %v of load %d", err, r.Source, r.Value.Load)
		}
		for deadline := time.Now().Add(10 * time.Second); get(t, a, 7).Load == 1; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("not refreshed")
			}
		}
	},
	"expired": func(t *testing.T, p *processes) {
		a, b, _ := p.wrap(t, &memo.FuncOptions[int, thing]{Policy: memo.Policy{TTL: 50 * time.Millisecond, Stale: memo.Off}})
		wantLoad(t, "first", a, 7, 1)
		time.Sleep(50 * time.Millisecond)
		wantLoad(t, "expired", b, 7, 2)
	},
	"absent": func(t *testing.T, p *processes) {
		a, b, db := p.wrap(t, nil)
		for _, f := range []*memo.Func[int, thing]{a, b} {
			if _, err := f.Get(t.Context(), -1); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("absent: %v", err)
			}
		}
		if db.loads.Load() != 1 {
			t.Errorf("%d loads", db.loads.Load())
		}
		if err := a.Set(t.Context(), -1, thing{-1, 9, strings.Repeat("t", 5000)}); err != nil {
			t.Error(err)
		}
		wantLoad(t, "set", b, -1, 9)
	},
	"tags": func(t *testing.T, p *processes) {
		a, b, _ := p.wrap(t, &memo.FuncOptions[int, thing]{Tags: func(id int) []string { return []string{fmt.Sprint("mod ", id%2)} }})
		for id := range 4 {
			wantLoad(t, "first", a, id, int64(id+1))
			wantLoad(t, "hit", b, id, int64(id+1))
		}
		if err := p.b.InvalidateTags(t.Context(), "mod 1"); err != nil {
			t.Error(err)
		}
		wantLoad(t, "another tag", a, 2, 3)
		wantLoad(t, "invalidated", a, 3, 5)
		wantLoad(t, "and loaded", b, 3, 5)
		wantLoad(t, "invalidated", b, 1, 6)
	},
	"clear": func(t *testing.T, p *processes) {
		a, b, _ := p.wrap(t, nil)
		wantLoad(t, "first", a, 7, 1)
		wantLoad(t, "hit", b, 7, 1)
		if err := b.Clear(t.Context()); err != nil {
			t.Error(err)
		}
		wantLoad(t, "cleared", a, 7, 2)
		wantLoad(t, "and loaded", b, 7, 2)
	},
	"many": func(t *testing.T, p *processes) {
		a, b, db := p.wrap(t, nil)
		get(t, a, 3)
		ids := append(upTo(50), -1)
		for i, f := range []*memo.Func[int, thing]{a, b, a} {
			results, err := f.GetMany(t.Context(), ids)
			if err != nil || len(results) != 51 || !errors.Is(results[50].Err, store.ErrNotFound) {
				t.Fatalf("%d results, %v", len(results), err)
			}
			for id, r := range results[:50] {
				if r.Value.ID != id || r.Err != nil || (r.Source == memo.SourceLoaded) != (i == 0 && id != 3) {
					t.Errorf("got %d from %v for %d, %v", r.Value.ID, r.Source, id, r.Err)
				}
			}
		}
		if n := db.loads.Load(); n != 51 {
			t.Errorf("%d loads", n)
		}
		if err := b.DeleteMany(t.Context(), upTo(49)); err != nil {
			t.Error(err)
		}
		wantLoad(t, "not deleted", a, 49, 50)
		wantLoad(t, "deleted", a, 48, 52)
	},
	"compression": func(t *testing.T, p *processes) {
		for i, with := range []memo.Compressor{compress.Zstd(), compress.S2()} {
			a, b, _ := p.wrap(t, &memo.FuncOptions[int, thing]{Version: fmt.Sprint(i), Compression: &memo.Compression{With: with}})
			wantLoad(t, "first", a, 7, 1)
			wantLoad(t, "hit", b, 7, 1)
			if meta, err := b.Meta(t.Context(), 7); err != nil || meta.Size > 1000 {
				t.Errorf("%d bytes are stored, %v", meta.Size, err)
			}
			plain, _, _ := p.wrap(t, &memo.FuncOptions[int, thing]{Version: fmt.Sprint(i)})
			wantLoad(t, "read by who does not compress", plain, 7, 1)
		}
	},
	"etag": func(t *testing.T, p *processes) {
		var etag atomic.Value
		etag.Store("one")
		a, b, _ := p.wrap(t, &memo.FuncOptions[int, thing]{ETag: func(context.Context, int) (string, error) { return etag.Load().(string), nil }})
		wantLoad(t, "first", a, 7, 1)
		wantLoad(t, "hit", b, 7, 1)
		etag.Store("two")
		wantLoad(t, "changed", b, 7, 2)
		wantLoad(t, "and loaded", a, 7, 2)
	},
	"keys": func(t *testing.T, p *processes) {
		for i, key := range []string{"k", " \x00\n", "ü", strings.Repeat("long ", 100)} {
			if v := mustGet(t, p.a, key, i, nil); v != i {
				t.Errorf("got %d", v)
			}
			if v := mustGet(t, p.b, key, -1, nil); v != i {
				t.Errorf("got %d for %q from another process, want %d", v, key, i)
			}
			if v := mustGet(t, p.b, key, "another V", nil); v != "another V" {
				t.Errorf("got %q", v)
			}
			if err := memo.Delete(t.Context(), p.a, key, nil); err != nil {
				t.Error(err)
			}
			if v := mustGet(t, p.b, key, -1, nil); v != -1 {
				t.Errorf("got %d for %q, which was deleted", v, key)
			}
		}
	},
	"codec": func(t *testing.T, p *processes) {
		load := func(context.Context, int) ([]byte, error) { return []byte{0, 255, 10}, nil }
		o := &memo.FuncOptions[int, []byte]{Codec: memo.Bytes()}
		a, b := wrap(t, p.a, "bytes", load, o), wrap(t, p.b, "bytes", load, o)
		get(t, a, 1)
		if r, err := b.Lookup(t.Context(), 1); err != nil || r.Source == memo.SourceLoaded || !bytes.Equal(r.Value, []byte{0, 255, 10}) {
			t.Errorf("got %+v, %v", r, err)
		}
	},
}

// wrap returns the same function in both processes, each with its name and
// options, and the database that it reads.
func (p *processes) wrap(t *testing.T, o *memo.FuncOptions[int, thing]) (a, b *memo.Func[int, thing], db *database) {
	t.Helper()
	if o == nil {
		o = new(memo.FuncOptions[int, thing])
	}
	db = new(database)
	o.FillMany = db.fill
	name := fmt.Sprint("thing", prefixes.Add(1))
	return wrap(t, p.a, name, db.load, o), wrap(t, p.b, name, db.load, o), db
}

// backends open stores that share their entries, and no others'.
var backends = map[string]func(t *testing.T) (s1, s2 store.Store){
	"memory": func(t *testing.T) (s1, s2 store.Store) {
		s := open(t, "memory:")
		return s, s
	},
	"redis": func(t *testing.T) (s1, s2 store.Store) {
		url := fmt.Sprintf("redis://%s/0?timeout=10s&prefix=t%d:", testservers.Redis(t).Addr, prefixes.Add(1))
		return open(t, url), open(t, url)
	},
	"memcached": func(t *testing.T) (s1, s2 store.Store) {
		url := fmt.Sprintf("memcache://%s?timeout=10s&prefix=t%d:", testservers.Memcached(t).Addr, prefixes.Add(1))
		return open(t, url), open(t, url)
	},
}

func TestEndToEnd(t *testing.T) {
	for name, backend := range backends {
		t.Run(name, func(t *testing.T) {
			s1, s2 := backend(t)
			for name, test := range endToEnd {
				t.Run(name, func(t *testing.T) {
					test(t, newProcesses(t, s1, s2, memo.Options{
						Namespace: fmt.Sprint("n", prefixes.Add(1)),
						Policy:    memo.Policy{TTL: time.Hour, Stale: time.Minute, Absent: time.Minute},
					}))
				})
			}
		})
	}
}

// A server that is killed fails nobody whose value can be loaded. When it is
// back, without what it held, all is soon as if it had always been empty.
func TestServerIsKilled(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) (p *testservers.Process, url string){
		"redis": func(t *testing.T) (*testservers.Process, string) {
			p := testservers.StartRedis(t)
			return p, "redis://" + p.Addr + "/0?prefix=p:&timeout=2s"
		},
		"memcached": func(t *testing.T) (*testservers.Process, string) {
			p := testservers.StartMemcached(t)
			return p, "memcache://" + p.Addr + "?prefix=p:&timeout=2s"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, url := start(t)
			p := newProcesses(t, open(t, url), open(t, url), memo.Options{Logger: slog.New(slog.DiscardHandler)})
			a, b, db := p.wrap(t, &memo.FuncOptions[int, thing]{Tags: func(int) []string { return []string{"t"} }})
			ids := upTo(20)
			check := func(what string, f *memo.Func[int, thing], loads int64) {
				t.Helper()
				before := db.loads.Load()
				results, err := f.GetMany(t.Context(), ids)
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
				for id, r := range results {
					if r.Value.ID != id || r.Err != nil {
						t.Errorf("%s: got %+v for %d", what, r, id)
					}
				}
				if n := db.loads.Load() - before; n != loads {
					t.Errorf("%s: %d loads, want %d", what, n, loads)
				}
			}
			check("empty", a, 20)
			check("full", b, 0)
			server.Kill()
			check("dead", a, 20)
			check("dead", b, 20)
			if v, err := a.Get(t.Context(), 3); err != nil || v.ID != 3 {
				t.Errorf("dead: Get: %+v, %v", v, err)
			}
			if a.Stats().StoreErrors == 0 {
				t.Error("no errors of the store are counted")
			}
			for what, err := range map[string]error{
				"Delete":         a.Delete(t.Context(), 3),
				"InvalidateTags": p.a.InvalidateTags(t.Context(), "t"),
				"Clear":          a.Clear(t.Context()),
			} {
				if !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("dead: %s: %v", what, err)
				}
			}
			server.Restart()
			for _, s := range p.stores {
				for deadline := time.Now().Add(10 * time.Second); store.Ping(t.Context(), s) != nil; time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatal("the server does not answer")
					}
				}
			}
			time.Sleep(300 * time.Millisecond) // until nobody trusts a generation that was lost
			check("back", b, 20)
			check("full again", a, 0)
			check("full again", b, 0)
			if err := p.b.InvalidateTags(t.Context(), "t"); err != nil {
				t.Error(err)
			}
			check("invalidated", a, 20)
			if err := a.Clear(t.Context()); err != nil {
				t.Error(err)
			}
			check("cleared", b, 20)
			check("full once more", a, 0)
			if results, _ := a.GetMany(t.Context(), ids); slices.ContainsFunc(results, func(r memo.Result[thing]) bool { return r.Source != memo.SourceStore }) {
				t.Error("something was not in the store")
			}
		})
	}
}
