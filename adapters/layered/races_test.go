package layered_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/store"
)

// Each race is run with the mechanism that decides it, and without: then it
// must be lost, or the test shows nothing.
func race(t *testing.T, mechanism string, run func(t *testing.T, off string) (lost bool)) {
	t.Helper()
	for _, off := range []string{"", mechanism} {
		synctest.Test(t, func(t *testing.T) {
			if lost := run(t, off); lost != (off != "") {
				t.Errorf("without %q: lost %v", off, lost)
			}
		})
	}
}

func switchOff(s *layered.Store, mechanism string) {
	if mechanism != "" {
		s.SwitchOff(mechanism)
	}
}

// answers reports whether s answers value.
func answers(t *testing.T, s store.Store, value string) bool {
	got, err := s.Get(t.Context(), "k")
	if err != nil && err != store.ErrNotFound {
		t.Error(err)
	}
	return string(got) == value
}

// Faults 1 and 2, race R1: a reader has the old value in its hands while it is
// replaced or deleted. What it puts into L1 must not be there afterwards.
func TestOvertakenReadIsNotKept(t *testing.T) {
	for name, write := range map[string]func(s *layered.Store, l2 *far){
		"invalidation":     func(s *layered.Store, l2 *far) { replace(l2); l2.watcher.Invalidate("k") },
		"flush":            func(s *layered.Store, l2 *far) { replace(l2); l2.watcher.Flush() },
		"Set":              func(s *layered.Store, l2 *far) { s.Set(context.Background(), "k", []byte("new"), time.Hour) },
		"Delete":           func(s *layered.Store, l2 *far) { s.Delete(context.Background(), "k") },
		"SetMany":          func(s *layered.Store, l2 *far) { s.SetMany(context.Background(), []store.Item{{Key: "k"}}) },
		"DeleteMany":       func(s *layered.Store, l2 *far) { s.DeleteMany(context.Background(), []string{"k"}) },
		"CompareAndSwap":   func(s *layered.Store, l2 *far) { s.CompareAndSwap(context.Background(), "k", []byte("old"), nil, 0) },
		"CompareAndDelete": func(s *layered.Store, l2 *far) { s.CompareAndDelete(context.Background(), "k", []byte("old")) },
		"Hold":             func(s *layered.Store, l2 *far) { s.Hold(context.Background(), "k", time.Hour) },
		"Clear":            func(s *layered.Store, l2 *far) { s.Clear(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			race(t, "epoch", func(t *testing.T, off string) bool {
				l2, at := newFar(t), newTurnstile()
				l1 := newMemory(t)
				s := newLayered(t, l1, paused(l2, "getwithttl", at.pass), watchSecond)
				switchOff(s, off)
				l2.watcher.Proven(store.AlwaysProven)
				set(t, l2, "k", "old", time.Hour)
				at.shut()
				go s.Get(context.Background(), "k")
				synctest.Wait() // it has been answered "old"
				write(s, l2)
				at.open()
				synctest.Wait()
				return answers(t, s, "old")
			})
		})
	}
}

// Nor is it where L2 does not offer Clear and was cleared in another way: Clear
// declines, but has cleared L1.
func TestOvertakenReadWhereClearDeclines(t *testing.T) {
	race(t, "flush", func(t *testing.T, off string) bool {
		l2, at := newMemory(t), newTurnstile()
		s := newLayered(t, newMemory(t), store.Prefix(paused(l2, "ttl", at.pass), "p:"), anHour)
		switchOff(s, off)
		set(t, l2, "p:k", "old", time.Hour)
		at.shut()
		go s.Get(t.Context(), "k")
		synctest.Wait() // it has been answered "old"
		if err := store.Clear(t.Context(), l2); err != nil {
			t.Error(err)
		}
		if err := s.Clear(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Clear: %v", err)
		}
		at.open()
		synctest.Wait()
		return answers(t, s, "old")
	})
}

func replace(l2 *far) { l2.Set(context.Background(), "k", []byte("new"), time.Hour) }

// Race R12: a reader brings the old value back into L1 after a writer has dropped it and
// before L2 has the new one. The writer drops it again.
func TestReadDuringWriteIsNotKept(t *testing.T) {
	for name, write := range map[string]func(s *layered.Store) error{
		"set":    func(s *layered.Store) error { return s.Set(context.Background(), "k", []byte("new"), time.Hour) },
		"delete": func(s *layered.Store) error { return s.Delete(context.Background(), "k") },
	} {
		t.Run(name, func(t *testing.T) {
			race(t, "forget", func(t *testing.T, off string) bool {
				l2, at := newFar(t), newTurnstile()
				s := newLayered(t, newMemory(t), before(l2, name, at.pass), watchSecond)
				switchOff(s, off)
				l2.watcher.Proven(store.AlwaysProven)
				set(t, l2, "k", "old", time.Hour)
				at.shut()
				go write(s)
				synctest.Wait() // L1 has dropped the key, L2 was not reached
				wantGet(t, s, "k", "old")
				at.open()
				synctest.Wait()
				return answers(t, s, "old")
			})
		})
	}
}

// Race R4: another process replaces the value that this one has just written. What is
// left in L1 must not be the own one.
func TestWriteIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l2, at := newFar(t), newTurnstile()
		s := newLayered(t, newMemory(t), paused(l2, "set", at.pass), watchSecond)
		l2.watcher.Proven(store.AlwaysProven)
		at.shut()
		go s.Set(context.Background(), "k", []byte("own"), time.Hour)
		synctest.Wait()
		replace(l2)
		l2.watcher.Invalidate("k")
		at.open()
		synctest.Wait()
		wantGet(t, s, "k", "new")
	})
}

// Of two reads that are under way at once, the one that was sent first is
// answered the old value, and returns last.
func TestAnswersDoNotGoBackInTime(t *testing.T) {
	for name, write := range map[string]func(l2 *far){
		"new value": replace,
		"no value":  func(l2 *far) { l2.Delete(context.Background(), "k") },
	} {
		for reading, read := range map[string]func(s *layered.Store){
			"Get":        func(s *layered.Store) { s.Get(context.Background(), "k") },
			"GetMany":    func(s *layered.Store) { s.GetMany(context.Background(), []string{"k"}) },
			"GetOrLease": func(s *layered.Store) { s.GetOrLease(context.Background(), "k", "token", time.Hour, nil) },
		} {
			t.Run(name+"/"+reading, func(t *testing.T) {
				race(t, "epoch", func(t *testing.T, off string) bool {
					l2, at := newFar(t), newTurnstile()
					s := newLayered(t, newMemory(t), paused(l2, "getwithttl", at.pass), watchSecond)
					switchOff(s, off)
					l2.watcher.Proven(store.AlwaysProven)
					set(t, l2, "k", "old", time.Hour)
					at.shut()
					go s.Get(context.Background(), "k")
					synctest.Wait()
					write(l2) // nobody tells of it yet
					at.letNext()
					read(s) // has the new one
					at.open()
					synctest.Wait()
					return answers(t, s, "old")
				})
			})
		}
	}
}

// While L1 is bypassed, L2 is read. What L1 has must not come back when it is
// served again.
func TestBypassedReadReplacesWhatL1Has(t *testing.T) {
	for name, read := range map[string]func(s *layered.Store) error{
		"Get":     func(s *layered.Store) error { _, err := s.Get(context.Background(), "k"); return err },
		"GetMany": func(s *layered.Store) error { _, err := s.GetMany(context.Background(), []string{"k"}); return err },
		"GetLive": func(s *layered.Store) error { _, err := s.GetLive(context.Background(), "k"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _, l2 := newWatched(t, watchSecond)
				set(t, l2, "k", "old", time.Hour)
				wantGet(t, s, "k", "old")
				began := time.Now()
				time.Sleep(2 * time.Second)
				replace(l2)
				if err := read(s); err != nil {
					t.Fatal(err)
				}
				l2.watcher.Proven(began.Add(1500 * time.Millisecond)) // before the change
				if answers(t, s, "old") {
					t.Error("L1 answers what was replaced, after the new value was answered")
				}
			})
		})
	}
}

// turnstile holds up those who pass while it is shut.
type turnstile struct {
	mu   sync.Mutex
	next int // may pass although it is shut
	wait chan struct{}
}

func newTurnstile() *turnstile { return &turnstile{} }

func (g *turnstile) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wait == nil {
		g.wait = make(chan struct{})
	}
}

func (g *turnstile) letNext() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next++
}

func (g *turnstile) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.wait)
	g.wait = nil
}

func (g *turnstile) pass() {
	g.mu.Lock()
	wait := g.wait
	if g.next > 0 {
		g.next--
		wait = nil
	}
	g.mu.Unlock()
	if wait != nil {
		<-wait
	}
}
