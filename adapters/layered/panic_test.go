package layered_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// measured is an L2 in the process that encodes entries, to know their size.
func measured(t *testing.T) *memory.Store {
	t.Helper()
	s, err := memory.New(&memory.Options{MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var errBroken = errors.New("broken")

// recovered returns what a call panics with.
func recovered(call func()) (v any) {
	defer func() { v = recover() }()
	call()
	return nil
}

// A panic of the caller's own function is the caller's.
func TestPanicOfAnEncoder(t *testing.T) {
	bad := store.NewLive(1, func() ([]byte, error) { panic(errBroken) })
	for name, l2 := range map[string]func(t *testing.T) store.Store{
		"live":   func(t *testing.T) store.Store { return measured(t) },
		"bytes":  func(t *testing.T) store.Store { return onlyBytes(newMemory(t)) },
		"layers": func(t *testing.T) store.Store { return newLayered(t, newMemory(t), measured(t), anHour) },
	} {
		for what, call := range map[string]func(ctx context.Context, s *layered.Store) error{
			"SetLive": func(ctx context.Context, s *layered.Store) error { return s.SetLive(ctx, "k", bad, 0) },
			"Fill": func(ctx context.Context, s *layered.Store) error {
				s.Delete(ctx, "k")
				s.GetOrLease(ctx, "k", "token", time.Hour, nil)
				_, err := s.Fill(ctx, "k", "token", bad, 0)
				return err
			},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newLayered(t, newMemory(t), l2(t), anHour)
					for range 10 {
						var err error
						if v := recovered(func() { err = call(t.Context(), s) }); v != any(errBroken) {
							t.Fatalf("recovered %v, error %v; want the panic of the encoder", v, err)
						}
					}
					if st := s.Stats(); st.L2Errors != 0 || st.Breaker != (layered.BreakerStats{}) {
						t.Errorf("Stats = %+v", st)
					}
					set(t, s, "k", "v", 0)
					wantGet(t, s, "k", "v")
				})
			})
		}
	}
}

// The caller has left: nobody could recover it.
func TestPanicAfterTheTimeout(t *testing.T) {
	for name, test := range map[string]struct {
		patience time.Duration // of the caller
		errors   uint64        // of L2: the time-out, and the panic
	}{"time-out": {time.Hour, 2}, "cancelled": {time.Second / 10, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newLayered(t, newMemory(t), measured(t), anHour)
				ctx, cancel := context.WithTimeout(t.Context(), test.patience)
				defer cancel()
				err := s.SetLive(ctx, "k", store.NewLive(1, func() ([]byte, error) {
					time.Sleep(time.Minute)
					panic(errBroken)
				}), 0)
				if err == nil {
					t.Error("SetLive succeeded")
				}
				time.Sleep(time.Hour)
				if st := s.Stats(); st.L2Errors != test.errors || st.Breaker.State != layered.BreakerClosed {
					t.Errorf("Stats = %+v, want %d errors of L2", st, test.errors)
				}
			})
		})
	}
}

// A write that panics may have been made, or not: L1 holds neither value, and a
// Delete is repeated.
func TestPanicOfAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l2, at := newFar(t), newTurnstile()
		var broken atomic.Bool
		s := newLayered(t, newMemory(t), storetest.Intercept(l2, func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
			if c.Op != "set" && c.Op != "delete" || !broken.Load() {
				return next(ctx)
			}
			at.pass()
			if c.Op == "set" {
				next(ctx)
			}
			panic(errBroken)
		}), watchSecond)
		l2.watcher.Proven(store.AlwaysProven)
		set(t, s, "k", "old", time.Hour)
		broken.Store(true)
		at.shut()
		panicked := make(chan any)
		go func() {
			panicked <- recovered(func() { s.Set(context.Background(), "k", []byte("new"), time.Hour) })
		}()
		synctest.Wait()
		wantGet(t, s, "k", "old") // is in L1 again
		at.open()
		if v := <-panicked; v != any(errBroken) {
			t.Errorf("recovered %v", v)
		}
		wantGet(t, s, "k", "new")

		if v := recovered(func() { s.Delete(t.Context(), "k") }); v != any(errBroken) {
			t.Errorf("Delete: recovered %v", v)
		}
		// Of two readers one repeats it and the other waits. Each gets a panic.
		at.shut()
		for range 2 {
			go func() { panicked <- recovered(func() { s.Get(context.Background(), "k") }) }()
		}
		synctest.Wait()
		at.open()
		for range 2 {
			if v := <-panicked; v != any(errBroken) {
				t.Errorf("a Get after a Delete that panicked: recovered %v", v)
			}
		}
		before := s.Stats().L2Errors
		time.Sleep(10 * time.Second) // the background does not end the program
		if st := s.Stats(); st.PendingDeletes != 1 || st.L2Errors < before+9 {
			t.Errorf("Stats = %+v, had %d errors of L2", st, before)
		}
		broken.Store(false)
		time.Sleep(2 * time.Second)
		wantGet(t, l2, "k", "")
		wantGet(t, s, "k", "")
	})
}
