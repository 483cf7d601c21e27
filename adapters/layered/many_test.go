package layered_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// batches are the methods that read many keys.
var batches = map[string]func(ctx context.Context, s store.Store, keys ...string) (map[string]string, error){
	"GetMany": func(ctx context.Context, s store.Store, keys ...string) (map[string]string, error) {
		values, err := store.GetMany(ctx, s, keys)
		found := make(map[string]string)
		for key, value := range values {
			found[key] = string(value)
		}
		return found, err
	},
	"GetManyWithTTL": func(ctx context.Context, s store.Store, keys ...string) (map[string]string, error) {
		entries, err := store.GetManyWithTTL(ctx, s, keys)
		found := make(map[string]string)
		for key, e := range entries {
			found[key] = string(e.Value)
		}
		return found, err
	},
}

func wantMany(t testing.TB, s store.Store, keys []string, want map[string]string) {
	t.Helper()
	if found, err := batches["GetMany"](t.Context(), s, keys...); err != nil || !maps.Equal(found, want) {
		t.Errorf("GetMany(%q) = %q, %v; want %q", keys, found, err, want)
	}
}

// ops are the names of calls.
func ops(calls []storetest.Call) (ops []string) {
	for _, c := range calls {
		ops = append(ops, c.Op)
	}
	return ops
}

// What one batch has read, the next one has from L1, and so has Get.
func TestGetManyFillsL1(t *testing.T) {
	for name, read := range batches {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l1, l2 := newMemory(t), newMemory(t)
				log := storetest.NewRecorder(onlyBytes(l2))
				s := newLayered(t, l1, log, watchSecond)
				want := map[string]string{"a": "v of a", "b": "v of b"}
				set(t, l2, "a", "v of a", time.Minute)
				set(t, l2, "b", "v of b", 0)
				log.Reset()
				if found, err := read(t.Context(), s, "a", "b", "none", "b"); err != nil || !maps.Equal(found, want) {
					t.Errorf("%s = %q, %v; want %q", name, found, err, want)
				}
				if got := log.Calls(); len(got) != 1 || got[0].Op != "getmanywithttl" || !slices.Equal(got[0].Keys, []string{"a", "b", "none"}) {
					t.Errorf("L2 was asked %v, want one getmanywithttl of a, b, none", got)
				}
				if ttl, err := l1.TTL(t.Context(), "a"); ttl != time.Minute || err != nil {
					t.Errorf("L1 keeps a for %v, %v; want 1m", ttl, err)
				}
				if ttl, err := l1.TTL(t.Context(), "b"); ttl != store.Forever || err != nil {
					t.Errorf("L1 keeps b for %v, %v; want no expiry", ttl, err)
				}
				log.Reset()
				wantMany(t, s, []string{"b", "a"}, want)
				wantGet(t, s, "a", "v of a")
				if got := log.Calls(); len(got) != 0 {
					t.Errorf("L2 was asked again: %v", got)
				}
				wantMany(t, s, []string{"none", "a", "b"}, want)
				if got := log.Calls(); len(got) != 1 || !slices.Equal(got[0].Keys, []string{"none"}) {
					t.Errorf("L2 was asked %v, want none alone", got)
				}
				if st := s.Stats(); st.L1Hits != 5 || st.L2Hits != 2 || st.Misses != 2 {
					t.Errorf("Stats = %+v", st)
				}
			})
		})
	}
}

// What an L2 does not tell with the values, or keeps in the process, is not
// put into L1 by a batch.
func TestGetManyDoesNotFillL1(t *testing.T) {
	for name, l2 := range map[string]func(s everything) store.Store{
		"no times to live": func(s everything) store.Store { return storetest.Bare(s) },
		"entries":          func(s everything) store.Store { return s },
	} {
		t.Run(name, func(t *testing.T) {
			l1 := newMemory(t)
			s := newLayered(t, l1, l2(newMemory(t)), anHour)
			set(t, s, "k", "v", time.Hour)
			for range 2 {
				wantMany(t, s, []string{"k", "none"}, map[string]string{"k": "v"})
			}
			if n := l1.Len(); n != 0 {
				t.Errorf("L1 has %d entries", n)
			}
		})
	}
}

// Race R1 for batches: L2 has answered the old values, and before the answer
// is there one is replaced or deleted. The others may be kept.
func TestOvertakenBatchIsNotKept(t *testing.T) {
	for name, write := range map[string]func(s *layered.Store, l2 *far){
		"invalidation": func(s *layered.Store, l2 *far) { replace(l2); l2.watcher.Invalidate("k") },
		"flush":        func(s *layered.Store, l2 *far) { replace(l2); l2.watcher.Flush() },
		"Set":          func(s *layered.Store, l2 *far) { s.Set(context.Background(), "k", []byte("new"), time.Hour) },
		"Delete":       func(s *layered.Store, l2 *far) { s.Delete(context.Background(), "k") },
		"DeleteMany":   func(s *layered.Store, l2 *far) { s.DeleteMany(context.Background(), []string{"k"}) },
		"another read": func(s *layered.Store, l2 *far) { replace(l2); s.Get(context.Background(), "k") },
	} {
		for reading, read := range batches {
			t.Run(name+"/"+reading, func(t *testing.T) {
				race(t, "epoch", func(t *testing.T, off string) bool {
					l2, at := newFar(t), newTurnstile()
					l1 := newMemory(t)
					s := newLayered(t, l1, paused(l2, "getmanywithttl", at.pass), watchSecond)
					switchOff(s, off)
					l2.watcher.Proven(store.AlwaysProven)
					set(t, l2, "k", "old", time.Hour)
					set(t, l2, "other", "v", time.Hour)
					at.shut()
					go read(context.Background(), s, "k", "other")
					synctest.Wait() // it has been answered "old"
					write(s, l2)
					at.open()
					synctest.Wait()
					if _, err := l1.Get(t.Context(), "other"); err != nil && name != "flush" {
						t.Errorf("the other key was not kept: %v", err)
					}
					return answers(t, s, "old")
				})
			})
		}
	}
}

// Fault 8 for batches: L1 outlives L2. The time that the answer took counts,
// and each entry has its own.
func TestBatchDoesNotOutliveL2(t *testing.T) {
	for reading, read := range batches {
		for _, o := range []*layered.Options{watchSecond, anHour} {
			synctest.Test(t, func(t *testing.T) {
				l2 := newFar(t)
				slow := paused(l2, "getmanywithttl", func() { time.Sleep(100 * time.Millisecond) })
				s := newLayered(t, newMemory(t), slow, o)
				if l2.watcher != nil {
					l2.watcher.Proven(store.AlwaysProven)
				}
				set(t, l2, "k", "v", time.Second)
				set(t, l2, "longer", "v", time.Minute)
				set(t, l2, "gone", "v", 850*time.Millisecond)
				time.Sleep(800 * time.Millisecond)
				if found, err := read(t.Context(), s, "k", "longer", "gone"); len(found) != 3 || err != nil { // 100 ms later
					t.Errorf("%s = %q, %v", reading, found, err)
				}
				wantGet(t, s, "gone", "")
				time.Sleep(99 * time.Millisecond)
				wantGet(t, s, "k", "v")
				time.Sleep(time.Millisecond)
				wantGet(t, s, "k", "")
				wantGet(t, s, "longer", "v")
				time.Sleep(time.Minute)
				wantGet(t, s, "longer", "")
			})
		}
	}
}

func TestGetManyWithTTLAsksL2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l2 := newMemory(t)
		log := storetest.NewRecorder(onlyBytes(l2))
		s := newLayered(t, newMemory(t), log, watchSecond)
		set(t, l2, "k", "v", time.Minute)
		wantGet(t, s, "k", "v")
		time.Sleep(time.Second)
		if err := l2.Touch(t.Context(), "k", time.Hour); err != nil {
			t.Fatal(err)
		}
		log.Reset()
		entries, err := s.GetManyWithTTL(t.Context(), []string{"k", "none", "k"})
		if e := entries["k"]; len(entries) != 1 || string(e.Value) != "v" || e.TTL != time.Hour || err != nil {
			t.Errorf("GetManyWithTTL = %v, %v; want v for 1h", entries, err)
		}
		if got := ops(log.Calls()); !slices.Equal(got, []string{"getmanywithttl"}) {
			t.Errorf("L2 was asked %v", got)
		}
		if entries, err := s.GetManyWithTTL(t.Context(), nil); entries == nil || len(entries) != 0 || err != nil || len(log.Calls()) != 1 {
			t.Errorf("of no keys: %v, %v after %v", entries, err, log.Calls())
		}
	})
}

func TestBatchOfUnknownTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l1, l2 := newMemory(t), newFar(t)
		blind := struct{ untimed }{untimed{l2}}
		s := newLayered(t, l1, blind, &layered.Options{Coherence: layered.Bounded(time.Hour), UnknownTTL: 3 * time.Second})
		set(t, s, "k", "v", 0)
		wantMany(t, s, []string{"k"}, map[string]string{"k": "v"})
		if ttl, err := l1.TTL(t.Context(), "k"); err != nil || ttl != 3*time.Second {
			t.Errorf("L1 keeps it for %v, %v; want 3s", ttl, err)
		}
	})
}

// untimed knows the times to live of none of its entries.
type untimed struct{ store.Store }

func (u untimed) GetManyWithTTL(ctx context.Context, keys []string) (map[string]store.Entry, error) {
	entries, err := store.GetManyWithTTL(ctx, u.Store, keys)
	for key, e := range entries {
		entries[key] = store.Entry{Value: e.Value, TTL: store.UnknownTTL}
	}
	return entries, err
}

// The values of a batch are the caller's, and not those that L1 keeps.
func TestBatchIsTheCallers(t *testing.T) {
	s := newLayered(t, newMemory(t), onlyBytes(newMemory(t)), anHour)
	set(t, s, "a", "value", 0)
	set(t, s, "b", "value", 0)
	values, err := s.GetMany(t.Context(), []string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := s.GetManyWithTTL(t.Context(), []string{"b"})
	if err != nil {
		t.Fatal(err)
	}
	copy(values["a"], "#####")
	copy(entries["b"].Value, "#####")
	wantMany(t, s, []string{"a", "b"}, map[string]string{"a": "value", "b": "value"})
}

// What L2 could read of a batch that failed is answered and kept.
func TestPartOfABatch(t *testing.T) {
	for reading, read := range batches {
		t.Run(reading, func(t *testing.T) {
			l1 := newMemory(t)
			s := newLayered(t, l1, partly{newFar(t)}, anHour)
			set(t, s, "a", "v", time.Hour)
			set(t, s, "bad", "v", time.Hour)
			found, err := read(t.Context(), s, "a", "bad")
			if !errors.Is(err, store.ErrUnavailable) || !maps.Equal(found, map[string]string{"a": "v"}) {
				t.Errorf("%s = %q, %v; want what could be read, and the error", reading, found, err)
			}
			wantGet(t, l1, "a", "v")
			wantGet(t, l1, "bad", "")
		})
	}
}

// partly cannot read the key "bad".
type partly struct{ *far }

func (p partly) GetManyWithTTL(ctx context.Context, keys []string) (map[string]store.Entry, error) {
	entries, err := p.far.GetManyWithTTL(ctx, keys)
	if slices.Contains(keys, "bad") {
		delete(entries, "bad")
		err = store.Errorf("getmanywithttl", "bad", store.ErrUnavailable, "refused")
	}
	return entries, err
}

// Of three levels each is filled, the second answers for the third, and none
// prolongs what an entry has left.
func TestBatchThroughLevels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, l2 := newMemory(t), newMemory(t), newMemory(t)
		log := storetest.NewRecorder(onlyBytes(l2))
		inner := newLayered(t, second, log, &layered.Options{Coherence: layered.Bounded(time.Minute), Jitter: 1e-9})
		s := newLayered(t, first, inner, anHour)
		set(t, l2, "a", "v", time.Hour)
		set(t, l2, "b", "v", 50*time.Second)
		wantMany(t, inner, []string{"a"}, map[string]string{"a": "v"})
		time.Sleep(40 * time.Second)
		log.Reset()
		both := map[string]string{"a": "v", "b": "v"}
		wantMany(t, s, []string{"a", "b", "none"}, both)
		if got := log.Calls(); len(got) != 1 || !slices.Equal(got[0].Keys, []string{"b", "none"}) {
			t.Errorf("L2 was asked %v, want one call for b and none", got)
		}
		for _, l1 := range []store.Store{first, second} {
			if ttl, err := l1.TTL(t.Context(), "a"); err != nil || ttl > 20*time.Second || ttl < 19*time.Second {
				t.Errorf("a level keeps a for %v, %v; want 20s: what was read 40s ago lives for a minute", ttl, err)
			}
			if ttl, err := l1.TTL(t.Context(), "b"); err != nil || ttl != 10*time.Second {
				t.Errorf("a level keeps b for %v, %v; want 10s", ttl, err)
			}
		}
		log.Reset()
		wantMany(t, s, []string{"a", "b"}, both)
		if got := log.Calls(); len(got) != 0 {
			t.Errorf("L2 was asked again: %v", got)
		}
		time.Sleep(10 * time.Second)
		wantMany(t, s, []string{"a", "b"}, map[string]string{"a": "v"})
	})
}

// A value that cannot be encoded fails its own key alone.
func TestBatchWithoutBytes(t *testing.T) {
	for reading, read := range batches {
		l2 := newMemory(t)
		inner := newLayered(t, newMemory(t), l2, anHour)
		s := newLayered(t, newMemory(t), inner, anHour)
		set(t, s, "good", "v", 0)
		bad := store.NewLive(1, func() ([]byte, error) { return nil, errors.New("no bytes") })
		if err := l2.SetLive(t.Context(), "bad", bad, 0); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"good", "bad"} {
			if _, err := inner.GetLive(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		found, err := read(t.Context(), s, "good", "bad")
		if !errors.Is(err, store.ErrInvalid) || !maps.Equal(found, map[string]string{"good": "v"}) {
			t.Errorf("%s = %q, %v; want good, and ErrInvalid", reading, found, err)
		}
	}
}

// A level that is closed fails what the level above does not have.
func TestBatchOfClosedLevel(t *testing.T) {
	inner := newLayered(t, newMemory(t), newMemory(t), anHour)
	s := newLayered(t, newMemory(t), inner, anHour)
	set(t, s, "k", "v", 0)
	wantGet(t, s, "k", "v")
	inner.Close()
	wantMany(t, s, []string{"k"}, map[string]string{"k": "v"}) // of the first
	if found, err := s.GetMany(t.Context(), []string{"k", "none"}); !errors.Is(err, store.ErrClosed) || string(found["k"]) != "v" {
		t.Errorf("GetMany = %q, %v; want k, and ErrClosed for the other", found, err)
	}
}

// A Delete that L2 keeps refusing hides its own key and no other.
func TestBatchAndADeleteThatIsRefused(t *testing.T) {
	for reading, read := range batches {
		for name, degraded := range map[string]layered.Degraded{"fail": {}, "miss": layered.AnswerMiss()} {
			t.Run(reading+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l1, l2 := newMemory(t), newMemory(t)
					log := storetest.NewRecorder(storetest.Intercept(onlyBytes(l2), func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
						if c.Op == "delete" && c.Key() == "bad" {
							return refuse(ctx, c, next)
						}
						return next(ctx)
					}))
					s := newLayered(t, l1, log, &layered.Options{Coherence: layered.Bounded(time.Hour), Degraded: degraded})
					for _, key := range []string{"a", "bad", "b"} {
						set(t, l2, key, "v", 0)
					}
					if err := s.Delete(t.Context(), "bad"); !errors.Is(err, store.ErrUnavailable) {
						t.Fatal(err)
					}
					log.Reset()
					found, err := read(t.Context(), s, "a", "bad", "b", "none")
					if !maps.Equal(found, map[string]string{"a": "v", "b": "v"}) {
						t.Errorf("%s = %q", reading, found)
					}
					var e *store.Error
					switch {
					case name == "miss" && err != nil:
						t.Error(err)
					case name == "fail" && (!errors.As(err, &e) || e.Key != "bad" || !errors.Is(err, store.ErrUnavailable)):
						t.Errorf("the error is %v, want ErrUnavailable of the key", err)
					}
					if got := ops(log.Calls()); !slices.Equal(got, []string{"delete", "getmanywithttl"}) {
						t.Errorf("L2 was asked %v", got)
					}
					if st := s.Stats(); st.L2Hits != 2 || st.Misses != 1 || name == "miss" && st.Masked != 1 {
						t.Errorf("Stats = %+v", st)
					}
					wantGet(t, l1, "a", "v")
					if _, err := read(t.Context(), s, "bad"); name == "fail" && !errors.Is(err, store.ErrUnavailable) {
						t.Errorf("of that key alone: %v", err)
					}
				})
			})
		}
	}
}

// Deletes of keys that hang are not waited for one after another.
func TestBatchAndDeletesThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l2 := newMemory(t)
		s := newLayered(t, newMemory(t), storetest.Intercept(onlyBytes(l2), func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
			if c.Op == "delete" {
				l2.Get(ctx, "other")
				return hang(ctx, c, next)
			}
			return next(ctx)
		}), &layered.Options{Coherence: layered.Bounded(time.Hour)})
		keys := []string{"other"}
		set(t, l2, "other", "v", 0)
		for _, key := range strings.Split("abcd", "") {
			keys = append(keys, key)
			s.Delete(t.Context(), key)
			wantGet(t, s, "none", "") // the breaker stays closed
		}
		start := time.Now()
		found, err := batches["GetMany"](t.Context(), s, keys...)
		if !maps.Equal(found, map[string]string{"other": "v"}) || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("GetMany = %q, %v", found, err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("it took %v, want no more than the time-out of two calls", took)
		}
	})
}
