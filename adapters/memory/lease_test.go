package memory

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

func liveOf(s string) *store.Live { return store.LiveBytes([]byte(s)) }

func getOrLease(t *testing.T, s *Store, key, token string, life time.Duration, despite *store.Live) store.Lookup {
	t.Helper()
	l, err := s.GetOrLease(t.Context(), key, token, life, despite)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// leased takes the lease of key and checks that it is got.
func leased(t *testing.T, s *Store, key, token string, life time.Duration) {
	t.Helper()
	if l := getOrLease(t, s, key, token, life, nil); l.Lease != store.LeaseGranted || l.TTL != life || l.Live != nil {
		t.Fatalf("GetOrLease = %v for %v, want granted for %v", l.Lease, l.TTL, life)
	}
}

func fill(t *testing.T, s *Store, key, token, value string, want bool) {
	t.Helper()
	if filled, err := s.Fill(t.Context(), key, token, liveOf(value), 0); filled != want || err != nil {
		t.Errorf("Fill = %v, %v, want %v", filled, err, want)
	}
}

func wantValue(t *testing.T, s *Store, key, want string) {
	t.Helper()
	l, err := s.GetLive(t.Context(), key)
	if want == "" {
		if err != store.ErrNotFound {
			t.Errorf("GetLive = %v, want ErrNotFound", err)
		}
		return
	}
	if err != nil {
		t.Errorf("GetLive = %v, want %q", err, want)
	} else if b, _ := l.Bytes(); string(b) != want {
		t.Errorf("GetLive = %q, want %q", b, want)
	}
}

func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, nil)
		leased(t, s, "k", "one", time.Minute)
		time.Sleep(time.Second)
		if l := getOrLease(t, s, "k", "two", time.Hour, nil); l.Lease != store.LeaseTaken || l.TTL != 59*time.Second {
			t.Errorf("another's GetOrLease = %v for %v, want taken for 59s", l.Lease, l.TTL)
		}
		fill(t, s, "k", "two", "2", false)
		fill(t, s, "k", "one", "1", true)
		if l := getOrLease(t, s, "k", "two", time.Hour, nil); l.Lease != store.LeaseNone || l.Live == nil || l.TTL != store.Forever {
			t.Errorf("GetOrLease of the entry = %v with %v for %v", l.Lease, l.Live, l.TTL)
		}
		fill(t, s, "k", "one", "again", false)
		wantValue(t, s, "k", "1")
		if got := s.Stats(); got.Sets != 1 || got.Hits != 2 || got.Misses != 2 {
			t.Errorf("Stats counts %d sets, %d hits, %d misses, want 1, 2, 2", got.Sets, got.Hits, got.Misses)
		}
	})
}

// Every write ends the lease and the Hold, and nothing else does.
func TestWhatEndsALease(t *testing.T) {
	ctx := t.Context()
	large := make([]byte, 2000)
	for name, c := range map[string]struct {
		do   func(s *Store) error
		ends bool
	}{
		"Set":              {func(s *Store) error { return s.Set(ctx, "k", nil, 0) }, true},
		"SetLive the same": {func(s *Store) error { return s.SetLive(ctx, "k", old, 0) }, true},
		"Set too large":    {func(s *Store) error { return ignore(store.ErrTooLarge, s.Set(ctx, "k", large, 0)) }, true},
		"SetMany":          {func(s *Store) error { return s.SetMany(ctx, []store.Item{{Key: "k"}}) }, true},
		"Delete":           {func(s *Store) error { return s.Delete(ctx, "k") }, true},
		"DeleteMany":       {func(s *Store) error { return s.DeleteMany(ctx, []string{"k"}) }, true},
		"Clear":            {func(s *Store) error { return s.Clear(ctx) }, true},
		"Swap":             {func(s *Store) error { return did(s.CompareAndSwap(ctx, "k", []byte("old"), nil, 0)) }, true},
		"Swap too large": {func(s *Store) error {
			_, err := s.CompareAndSwap(ctx, "k", []byte("old"), large, 0)
			return ignore(store.ErrTooLarge, err)
		}, true},
		"CompareAndDelete": {func(s *Store) error { return did(s.CompareAndDelete(ctx, "k", []byte("old"))) }, true},
		"Hold":             {func(s *Store) error { return s.Hold(ctx, "k", time.Hour) }, true},

		"Touch":                {func(s *Store) error { return s.Touch(ctx, "k", time.Hour) }, false},
		"Touch nothing":        {func(s *Store) error { return ignore(store.ErrNotFound, s.Touch(ctx, "x", 0)) }, false},
		"Add to it":            {func(s *Store) error { return didNot(s.Add(ctx, "k", nil, 0)) }, false},
		"Swap in vain":         {func(s *Store) error { return didNot(s.CompareAndSwap(ctx, "k", []byte("x"), nil, 0)) }, false},
		"CompareAndDelete not": {func(s *Store) error { return didNot(s.CompareAndDelete(ctx, "k", []byte("x"))) }, false},
		"Set of another key":   {func(s *Store) error { return s.Set(ctx, "l", nil, 0) }, false},
		"eviction":             {func(s *Store) error { return s.Set(ctx, "l", make([]byte, 790), 0) }, false},
		"expiry":               {func(s *Store) error { time.Sleep(time.Minute); s.Len(); return nil }, false},
		"Get":                  {func(s *Store) error { _, err := s.Get(ctx, "k"); return err }, false},
		"a refused Fill":       {func(s *Store) error { return didNot(s.Fill(ctx, "k", "x", old, 0)) }, false},
		"another's Abandon":    {func(s *Store) error { return s.Abandon(ctx, "k", "x") }, false},
		"another's RenewLease": {func(s *Store) error { return didNot(s.RenewLease(ctx, "k", "x", 1)) }, false},
		"another's GetOrLease": {func(s *Store) error { _, err := s.GetOrLease(ctx, "k", "x", 1, old); return err }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t, &Options{MaxBytes: 1000})
				if err := s.SetLive(ctx, "k", old, time.Minute); err != nil {
					t.Fatal(err)
				}
				if l := getOrLease(t, s, "k", "mine", time.Hour, old); l.Lease != store.LeaseGranted {
					t.Fatalf("GetOrLease = %v, want granted", l.Lease)
				}
				if err := c.do(s); err != nil {
					t.Fatal(err)
				}
				fill(t, s, "k", "mine", "new", !c.ends)
			})
		})
	}
}

var old = liveOf("old")

func did(done bool, err error) error {
	if err != nil || !done {
		return fmt.Errorf("%v, %v, want true", done, err)
	}
	return nil
}

func didNot(done bool, err error) error {
	if err != nil || done {
		return fmt.Errorf("%v, %v, want false", done, err)
	}
	return nil
}

// A lease of a key without an entry is ended by what writes the key.
func TestWritesOfAbsentKeysEndLeases(t *testing.T) {
	ctx := t.Context()
	for name, write := range map[string]func(s *Store) error{
		"Delete":     func(s *Store) error { return s.Delete(ctx, "k") },
		"DeleteMany": func(s *Store) error { return s.DeleteMany(ctx, []string{"k"}) },
		"Clear":      func(s *Store) error { return s.Clear(ctx) },
		"Add":        func(s *Store) error { return did(s.Add(ctx, "k", nil, time.Second)) },
		"Set":        func(s *Store) error { return s.Set(ctx, "k", nil, time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(t, nil)
				leased(t, s, "k", "mine", time.Hour)
				if err := write(s); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				fill(t, s, "k", "mine", "new", false)

				if err := s.Hold(ctx, "k", time.Hour); err != nil {
					t.Fatal(err)
				}
				if err := write(s); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				leased(t, s, "k", "another", time.Hour)
			})
		})
	}
}

func TestLifeOfALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := newStore(t, nil)
		leased(t, s, "k", "one", time.Minute)
		time.Sleep(time.Minute - 1)
		leased(t, s, "k", "one", time.Minute) // begins anew
		time.Sleep(time.Minute - 1)
		if err := did(s.RenewLease(ctx, "k", "one", time.Hour)); err != nil {
			t.Error("RenewLease a nanosecond before the end:", err)
		}
		time.Sleep(time.Hour - 1)
		if l := getOrLease(t, s, "k", "two", time.Minute, nil); l.Lease != store.LeaseTaken || l.TTL != 1 {
			t.Errorf("a nanosecond before the end: %v for %v, want taken for 1ns", l.Lease, l.TTL)
		}
		time.Sleep(time.Nanosecond)
		if err := didNot(s.RenewLease(ctx, "k", "one", time.Hour)); err != nil {
			t.Error("RenewLease at the end:", err)
		}
		fill(t, s, "k", "one", "late", false)
		leased(t, s, "k", "two", time.Minute)
		if err := s.Abandon(ctx, "k", "one"); err != nil {
			t.Error(err)
		}
		fill(t, s, "k", "two", "2", true)

		leased(t, s, "l", "one", 1<<63-1)
		if err := s.Abandon(ctx, "l", "one"); err != nil {
			t.Error(err)
		}
		fill(t, s, "l", "one", "1", false)
		leased(t, s, "l", "two", time.Minute)
	})
}

func TestLeaseDespite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := newStore(t, nil)
		encoded, failing := 0, errors.New("on purpose")
		entry := store.NewLive(1, func() ([]byte, error) {
			if encoded++; encoded == 1 {
				return nil, failing
			}
			return []byte("1"), nil
		})
		if err := s.SetLive(ctx, "k", entry, time.Minute); err != nil {
			t.Fatal(err)
		}
		if l := getOrLease(t, s, "k", "one", time.Hour, nil); l.Lease != store.LeaseNone || l.Live != entry || l.TTL != time.Minute {
			t.Errorf("GetOrLease = %v of %v for %v, want the entry", l.Lease, l.Live, l.TTL)
		}
		if l := getOrLease(t, s, "k", "one", time.Hour, entry); l.Lease != store.LeaseGranted || encoded != 0 {
			t.Errorf("despite the very entry: %v, encoded %d times; want granted, without encoding", l.Lease, encoded)
		}
		_, err := s.GetOrLease(ctx, "k", "one", time.Hour, liveOf("1"))
		if !errors.Is(err, store.ErrInvalid) || !errors.Is(err, failing) {
			t.Errorf("despite bytes, if the entry cannot be encoded: %v, want ErrInvalid and the cause", err)
		}
		if l := getOrLease(t, s, "k", "two", time.Hour, liveOf("1")); l.Lease != store.LeaseTaken {
			t.Errorf("despite the same bytes: %v, want taken", l.Lease)
		}
		if l := getOrLease(t, s, "k", "two", time.Hour, liveOf("2")); l.Lease != store.LeaseNone || l.Live != entry {
			t.Errorf("despite other bytes: %v, want the entry", l.Lease)
		}
		wantValue(t, s, "k", "1") // for others
		fill(t, s, "k", "one", "new", true)
		wantValue(t, s, "k", "new")
	})
}

func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := newStore(t, nil)
		do := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		blocked := func(want time.Duration) {
			t.Helper()
			if l := getOrLease(t, s, "k", "mine", time.Hour, nil); l.Lease != store.LeaseBlocked || l.TTL != want {
				t.Errorf("GetOrLease = %v for %v, want blocked for %v", l.Lease, l.TTL, want)
			}
		}
		set(t, s, "k", "old", 0)
		do(s.Hold(ctx, "k", time.Minute))
		wantValue(t, s, "k", "")
		blocked(time.Minute)
		fill(t, s, "k", "mine", "loaded", false)
		do(didNot(s.RenewLease(ctx, "k", "mine", time.Hour)))
		do(s.Abandon(ctx, "k", "mine"))
		time.Sleep(time.Second)
		do(s.Hold(ctx, "k", time.Hour)) // takes its place
		blocked(time.Hour)
		do(s.Hold(ctx, "k", time.Minute))
		blocked(time.Minute)
		do(s.Delete(ctx, "k"))
		leased(t, s, "k", "mine", time.Hour)
		fill(t, s, "k", "mine", "loaded", true)
		wantValue(t, s, "k", "loaded")

		do(s.Hold(ctx, "k", time.Minute))
		time.Sleep(time.Minute - 1)
		blocked(1)
		time.Sleep(time.Nanosecond)
		leased(t, s, "k", "other", time.Minute)
		fill(t, s, "k", "other", "loaded", true)
	})
}

func TestFillThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := newStore(t, &Options{MaxBytes: 1000})
		if err := s.SetLive(ctx, "k", old, 0); err != nil {
			t.Fatal(err)
		}
		getOrLease(t, s, "k", "mine", time.Hour, old)
		failing := errors.New("on purpose")
		unencodable := store.NewLive(1, func() ([]byte, error) { return nil, failing })
		for want, f := range map[error]func() (bool, error){
			store.ErrTooLarge: func() (bool, error) { return s.Fill(ctx, "k", "mine", store.LiveBytes(make([]byte, 2000)), 0) },
			failing:           func() (bool, error) { return s.Fill(ctx, "k", "mine", unencodable, 0) },
			store.ErrInvalid:  func() (bool, error) { return s.Fill(ctx, "k", "mine", nil, 0) },
		} {
			if filled, err := f(); filled || !errors.Is(err, want) {
				t.Errorf("Fill = %v, %v, want %v", filled, err, want)
			}
		}
		if filled, err := s.Fill(ctx, "k", "mine", old, -1); filled || !errors.Is(err, store.ErrInvalid) {
			t.Errorf("Fill with a negative ttl = %v, %v, want ErrInvalid", filled, err)
		}
		wantValue(t, s, "k", "old")
		fill(t, s, "k", "mine", "new", true)
	})
}

// Leases are no entries, and what nobody asks for again is dropped.
func TestLeasesTakeNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, &Options{MaxEntries: 10})
		for i := range 10 {
			set(t, s, fmt.Sprint(i), "v", 0)
		}
		for i := range 100 {
			leased(t, s, fmt.Sprint("lease", i), "mine", time.Second)
			if err := s.Hold(t.Context(), fmt.Sprint("hold", i), time.Second); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.Len(); n != 10 {
			t.Errorf("Len() = %d, want 10", n)
		}
		if got := s.Stats(); got.Entries != 10 || got.Deleted+got.Evicted+got.Expired != 0 {
			t.Errorf("Stats = %+v, want 10 entries and no removal", got)
		}
		for key := range s.Keys(t.Context(), "lease") {
			t.Errorf("Keys has %q", key)
		}
		time.Sleep(time.Second + sweepEvery)
		synctest.Wait()
		if len(s.leases.of) != 0 || s.leases.n.Load() != 0 || s.leases.timer != nil {
			t.Errorf("when their lives are over %d leases are left, %d counted, and the timer is %v", len(s.leases.of), s.leases.n.Load(), s.leases.timer)
		}
	})
}

func TestLeasesAfterClose(t *testing.T) {
	ctx := t.Context()
	s := newStore(t, nil)
	leased(t, s, "k", "mine", time.Hour)
	s.Close()
	s.leases.put("late", lease{"mine", math.MaxInt64}) // as of a call that is under way
	if s.leases.of != nil || s.leases.n.Load() != 0 {
		t.Error("a closed Store keeps a lease")
	}
	_, err := s.GetOrLease(ctx, "k", "mine", 1, nil)
	_, filled := s.Fill(ctx, "k", "mine", old, 0)
	_, renewed := s.RenewLease(ctx, "k", "mine", 1)
	for _, err := range []error{err, filled, renewed, s.Abandon(ctx, "k", "t"), s.Hold(ctx, "k", 1)} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("after Close: %v, want ErrClosed", err)
		}
	}
}

// Whichever comes first, what was filled is not there when both are done.
func TestFillNeverOutlivesAWrite(t *testing.T) {
	ctx := t.Context()
	for name, write := range map[string]func(s *Store) error{
		"Delete": func(s *Store) error { return s.Delete(ctx, "k") },
		"Clear":  func(s *Store) error { return s.Clear(ctx) },
		"Hold":   func(s *Store) error { return s.Hold(ctx, "k", time.Hour) },
		"Set":    func(s *Store) error { return s.Set(ctx, "k", []byte("written"), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, nil)
			for range 2000 {
				s.Delete(ctx, "k")
				leased(t, s, "k", "mine", time.Hour)
				var filling sync.WaitGroup
				filling.Go(func() { s.Fill(ctx, "k", "mine", liveOf("filled"), 0) })
				runtime.Gosched()
				if err := write(s); err != nil {
					t.Fatal(err)
				}
				filling.Wait()
				if l, err := s.GetLive(ctx, "k"); err == nil {
					if b, _ := l.Bytes(); string(b) == "filled" {
						t.Fatal("what was filled is there")
					}
				}
			}
			s.Delete(ctx, "k")
			if n := s.leases.n.Load(); n != 0 || len(s.leases.of) != 0 {
				t.Errorf("%d leases are left, %d counted", len(s.leases.of), n)
			}
		})
	}
}

func TestOneLeaseAtATime(t *testing.T) {
	ctx := context.Background()
	s := newStore(t, nil)
	var granted, filled atomic.Int32
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			token := fmt.Sprint(i)
			for {
				l, err := s.GetOrLease(ctx, "k", token, time.Hour, nil)
				switch {
				case err != nil:
					t.Error(err)
					return
				case l.Lease == store.LeaseNone:
					return
				case l.Lease == store.LeaseGranted:
					if granted.Add(1) == 1 { // the first one lets others wait, and gives up
						runtime.Gosched()
						s.Abandon(ctx, "k", token)
						continue
					}
					if err := did(s.Fill(ctx, "k", token, old, 0)); err == nil {
						filled.Add(1)
					}
				}
				runtime.Gosched()
			}
		})
	}
	callers.Wait()
	if granted.Load() != 2 || filled.Load() != 1 {
		t.Errorf("%d were granted the lease and %d filled it, want 2 and 1", granted.Load(), filled.Load())
	}
}

// A Hold that is lost meanwhile lets a reader store what it has read before the
// commit. It must be gone when Update has returned.
func TestUpdateThatLosesItsHold(t *testing.T) {
	s, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := t.Context()
	readOld := func() {
		if l, err := s.GetOrLease(ctx, "k", "reader", time.Minute, nil); err != nil || l.Lease != store.LeaseGranted {
			t.Fatalf("%+v, %v", l, err)
		}
		if filled, err := s.Fill(ctx, "k", "reader", store.LiveBytes([]byte("old")), time.Hour); err != nil || !filled {
			t.Fatal(filled, err)
		}
	}
	for name, loses := range map[string]func(){
		"a Delete": func() {
			if err := s.Delete(ctx, "k"); err != nil {
				t.Fatal(err)
			}
		},
		"another Update": func() {
			if err := store.Update(ctx, s, "k", time.Minute, func(context.Context) error { return nil }); err != nil {
				t.Fatal(err)
			}
		},
	} {
		err := store.Update(ctx, s, "k", time.Minute, func(context.Context) error {
			loses()
			readOld()
			return nil
		})
		if err != nil {
			t.Fatal(name, ": ", err)
		}
		if b, err := s.Get(ctx, "k"); err != store.ErrNotFound {
			t.Errorf("%s: Get = %q, %v after Update has returned", name, b, err)
		}
	}
}
