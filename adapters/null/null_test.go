package null_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/adapters/null"
	"github.com/cairncache/cairn/store"
)

// calls has one call of every method that takes a key.
func calls(s *null.Store) map[string]func(ctx context.Context, key string, ttl time.Duration) error {
	return map[string]func(ctx context.Context, key string, ttl time.Duration) error{
		"get":    func(ctx context.Context, key string, _ time.Duration) error { _, err := s.Get(ctx, key); return err },
		"set":    func(ctx context.Context, key string, ttl time.Duration) error { return s.Set(ctx, key, nil, ttl) },
		"delete": func(ctx context.Context, key string, _ time.Duration) error { return s.Delete(ctx, key) },
		"ttl":    func(ctx context.Context, key string, _ time.Duration) error { _, err := s.TTL(ctx, key); return err },
		"touch":  func(ctx context.Context, key string, ttl time.Duration) error { return s.Touch(ctx, key, ttl) },
		"getlive": func(ctx context.Context, key string, _ time.Duration) error {
			_, err := s.GetLive(ctx, key)
			return err
		},
		"getmany": func(ctx context.Context, key string, _ time.Duration) error {
			_, err := s.GetMany(ctx, []string{"ok", key})
			return err
		},
		"setmany": func(ctx context.Context, key string, ttl time.Duration) error {
			return s.SetMany(ctx, []store.Item{{Key: "ok"}, {Key: key, TTL: ttl}})
		},
		"deletemany": func(ctx context.Context, key string, _ time.Duration) error {
			return s.DeleteMany(ctx, []string{"ok", key})
		},
		"getwithttl": func(ctx context.Context, key string, _ time.Duration) error {
			_, _, err := s.GetWithTTL(ctx, key)
			return err
		},
		"getmanywithttl": func(ctx context.Context, key string, _ time.Duration) error {
			_, err := s.GetManyWithTTL(ctx, []string{"ok", key})
			return err
		},
		"compareandswap": func(ctx context.Context, key string, ttl time.Duration) error {
			_, err := s.CompareAndSwap(ctx, key, nil, nil, ttl)
			return err
		},
		"compareanddelete": func(ctx context.Context, key string, _ time.Duration) error {
			_, err := s.CompareAndDelete(ctx, key, nil)
			return err
		},
		"setlive": func(ctx context.Context, key string, ttl time.Duration) error {
			return s.SetLive(ctx, key, store.LiveBytes(nil), ttl)
		},
	}
}

// others has the methods without a key.
func others(s *null.Store) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"clear": s.Clear,
		"ping":  s.Ping,
		"keys": func(ctx context.Context) error {
			for key, err := range s.Keys(ctx, "") {
				if err == nil {
					return fmt.Errorf("Keys yields %q", key)
				}
				return err
			}
			return nil
		},
	}
}

func TestRemembersNothing(t *testing.T) {
	ctx := t.Context()
	s := null.New()
	misses := []string{"get", "ttl", "touch", "getlive", "getwithttl"}
	for range 2 {
		for op, call := range calls(s) {
			want := error(nil)
			if slices.Contains(misses, op) {
				want = store.ErrNotFound
			}
			if err := call(ctx, "k", time.Minute); err != want { // a miss is the bare sentinel
				t.Errorf("%s = %v, want %v", op, err, want)
			}
		}
		for op, call := range others(s) {
			if err := call(ctx); err != nil {
				t.Errorf("%s = %v", op, err)
			}
		}
	}
	if values, err := s.GetMany(ctx, []string{"k"}); values == nil || len(values) != 0 || err != nil {
		t.Errorf("GetMany = %v, %v", values, err)
	}
	if entries, err := s.GetManyWithTTL(ctx, []string{"k"}); entries == nil || len(entries) != 0 || err != nil {
		t.Errorf("GetManyWithTTL = %v, %v", entries, err)
	}
	if swapped, err := s.CompareAndSwap(ctx, "k", nil, []byte("v"), 0); swapped || err != nil {
		t.Errorf("CompareAndSwap = %v, %v", swapped, err)
	}
	if deleted, err := s.CompareAndDelete(ctx, "k", nil); deleted || err != nil {
		t.Errorf("CompareAndDelete = %v, %v", deleted, err)
	}
	if _, err := store.Add(ctx, s, "k", nil, 0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Add = %v, want ErrUnsupported", err)
	}
}

func TestChecksArguments(t *testing.T) {
	s := null.New()
	done, cancel := context.WithCancel(t.Context())
	cancel()
	long := strings.Repeat("k", store.MaxKeyLen+1)
	for op, call := range calls(s) {
		for name, got := range map[string]error{
			"empty key":   call(t.Context(), "", 0),
			"long key":    call(t.Context(), long, 0),
			"nil context": call(nil, "k", 0), // what it must refuse
		} {
			if !errors.Is(got, store.ErrInvalid) {
				t.Errorf("%s with %s = %v, want ErrInvalid", op, name, got)
			}
		}
		if err := call(done, "k", 0); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a done context = %v", op, err)
		}
		takesTTL := strings.HasPrefix(op, "set") || op == "touch" || op == "compareandswap"
		if err := call(t.Context(), "k", -1); takesTTL != errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s with a negative ttl = %v", op, err)
		}
	}
	for op, call := range others(s) {
		if err := call(done); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a done context = %v", op, err)
		}
	}
	if err := s.SetLive(t.Context(), "k", nil, 0); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("SetLive of nil = %v, want ErrInvalid", err)
	}
}

func TestClose(t *testing.T) {
	s := null.New()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("Close = %v", err)
		}
	}
	for op, call := range calls(s) {
		if err := call(t.Context(), "k", 0); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after Close = %v, want ErrClosed", op, err)
		}
	}
	for op, call := range others(s) {
		if err := call(t.Context()); !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s after Close = %v, want ErrClosed", op, err)
		}
	}
}

func TestOpen(t *testing.T) {
	if s, err := store.Open(t.Context(), "null:?prefix=app:&ttl=5m"); err != nil {
		t.Errorf("Open = %v", err)
	} else if _, ok := s.(*null.Store); !ok {
		t.Errorf("Open gives a %T", s)
	}
	for _, url := range []string{"null://host", "null:path", "null:?size=1", "null:?ttl=5", "null:?prefix=a&prefix=b"} {
		if _, err := store.Open(t.Context(), url); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Open(%q) = %v, want ErrInvalid", url, err)
		}
	}
}
