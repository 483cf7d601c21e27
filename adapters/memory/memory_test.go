package memory

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/cairncache/cairn/adapters/memory/internal/cache"
	"github.com/cairncache/cairn/store"
)

func newStore(t *testing.T, o *Options) *Store {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func set(t *testing.T, s store.Store, key, value string, ttl time.Duration) {
	t.Helper()
	if err := s.Set(t.Context(), key, []byte(value), ttl); err != nil {
		t.Fatal(err)
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	for field, o := range map[string]*Options{
		"MaxEntries": {MaxEntries: -1},
		"MaxBytes":   {MaxBytes: -1},
		"Policy":     {Policy: 99},
		"TTL":        {TTL: -1},
	} {
		_, err := New(o)
		if !errors.Is(err, store.ErrInvalid) || !strings.Contains(fmt.Sprint(err), "store: new: "+field) {
			t.Errorf("New(%+v) = %v, want ErrInvalid that names %s", *o, err, field)
		}
	}
}

func TestBoundOfOptions(t *testing.T) {
	for want, o := range map[cache.Limits]*Options{
		{Entries: 100_000}:                       nil,
		{Entries: 7}:                             {MaxEntries: 7},
		{Entries: math.MaxInt, Bytes: 1000}:      {MaxBytes: 1000},
		{Entries: 7, Bytes: 1000}:                {MaxEntries: 7, MaxBytes: 1000},
		{Entries: math.MaxInt}:                   {MaxEntries: math.MaxInt},
		{Entries: 100_000, Policy: cache.Random}: {Policy: Random},
	} {
		if got := newStore(t, o).cache.Limits(); got != want {
			t.Errorf("New(%+v) has the limits %+v, want %+v", o, got, want)
		}
	}
	s := newStore(t, &Options{MaxEntries: math.MaxInt})
	for i := range 1000 {
		set(t, s, fmt.Sprint(i), "", 0)
	}
	if n := s.Len(); n != 1000 {
		t.Errorf("without a bound %d entries of 1000 are left", n)
	}
}

// A write that has begun when the Store is closed leaves nothing in it.
func TestCloseDropsEverything(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, &Options{MaxBytes: 1 << 20})
	for i := range 100 {
		set(t, s, fmt.Sprint(i), "v", time.Duration(i)*time.Hour)
	}
	closing := store.NewLive(1, func() ([]byte, error) { return nil, s.Close() })
	if err := s.SetLive(ctx, "late", closing, time.Hour); !errors.Is(err, store.ErrClosed) {
		t.Errorf("SetLive during which the Store is closed = %v, want ErrClosed", err)
	}
	for key := range s.All() {
		t.Errorf("a closed Store holds %q", key)
	}
	if got := s.Stats(); got.Entries != 0 || got.Bytes != 0 {
		t.Errorf("a closed Store counts %d entries and %d bytes", got.Entries, got.Bytes)
	}
	_, err := s.GetLive(ctx, "late")
	for _, err := range []error{err, s.Set(ctx, "k", nil, 0), s.Clear(ctx)} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("after Close: %v, want ErrClosed", err)
		}
	}
}

// A bubble ends only when no goroutine is left in it.
func TestNoGoroutineWithoutClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(&Options{MaxEntries: 10})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			set(t, s, fmt.Sprint(i), "", time.Duration(i)*time.Second)
		}
		time.Sleep(3 * time.Second)
	})
}

func TestForgottenStoreIsCollected(t *testing.T) {
	forgotten := func() weak.Pointer[Store] {
		s, err := New(&Options{OnRemove: func(string, *store.Live, Cause) {}})
		if err != nil {
			t.Fatal(err)
		}
		set(t, s, "k", "v", time.Hour)
		return weak.Make(s)
	}()
	for range 100 {
		if runtime.GC(); forgotten.Value() == nil {
			return
		}
		time.Sleep(10 * time.Millisecond) // for maintenance that is under way
	}
	t.Error("a Store with an entry that expires in an hour is never collected")
}

func TestOpen(t *testing.T) {
	for url, want := range map[string]string{
		"memory:":                                         "",
		"memory:?max_entries=10&ttl=5m":                   "",
		"memory:?max_bytes=64MiB":                         "",
		"memory://?prefix=app:":                           "",
		"memory://localhost":                              "no host and no path",
		"memory:/var/cache":                               "no host and no path",
		"memory:?max_entries=0":                           "max_entries: 0",
		"memory:?max_bytes=0":                             "max_bytes: 0",
		"memory:?max_entries=-1":                          "max_entries: ",
		"memory:?max_bytes=64":                            "max_bytes: ",
		"memory:?ttl=300":                                 "ttl: ",
		"memory:?max_entires=1":                           `unknown parameter "max_entires" (did you mean "max_entries"?`,
		"memory:?max_entries=1&max_bytes=1KiB&policy=mru": "",
		"memory:?policy=Random":                           "",
		"memory:?policy=arc":                              `store: open "memory:?policy=arc": policy: there is no "arc"; write one of tinylfu, lru, mru, lfu, fifo, lifo, random`,
	} {
		s, err := store.Open(t.Context(), url)
		switch {
		case want == "" && err != nil:
			t.Errorf("Open(%q) = %v", url, err)
		case want != "" && (!errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), want)):
			t.Errorf("Open(%q) = %v, want ErrInvalid with %q", url, err, want)
		}
		if s != nil {
			store.Close(s)
		}
	}
}

func TestOpenPrefix(t *testing.T) {
	s, err := store.Open(t.Context(), "memory:?prefix=app:&ttl=1h")
	if err != nil {
		t.Fatal(err)
	}
	set(t, s, "k", "v", 0)
	below := s.(store.Wrapper).Unwrap().(*Store)
	if ttl, err := below.TTL(t.Context(), "app:k"); err != nil || ttl > time.Hour || ttl < 59*time.Minute {
		t.Errorf("TTL of the whole key = %v, %v, want an hour", ttl, err)
	}
	if err := store.Close(s); err != nil {
		t.Fatal(err)
	}
	if _, err := below.Get(t.Context(), "app:k"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Get after Close = %v, want ErrClosed", err)
	}
}
