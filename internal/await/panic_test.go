package await

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPanicIsTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group
		var none []int
		for name, test := range map[string]struct {
			call func()
			is   func(recovered any) bool
		}{
			"a value":       {func() { panic("broken") }, func(v any) bool { return v == "broken" }},
			"an error":      {func() { panic(context.Canceled) }, func(v any) bool { return v == context.Canceled }},
			"nil":           {func() { panic(nil) }, func(v any) bool { _, ok := v.(*runtime.PanicNilError); return ok }},
			"the runtime's": {func() { none[0]++ }, func(v any) bool { _, ok := v.(runtime.Error); return ok }},
		} {
			func() {
				defer func() {
					if v := recover(); !test.is(v) {
						t.Errorf("%s: recovered %v (%[2]T)", name, v)
					}
				}()
				Do(t.Context(), &g, func() (int, error) { test.call(); return 7, nil })
				t.Errorf("%s: Do returned", name)
			}()
		}
		if g.workers != 1 || g.Panics() != 0 {
			t.Errorf("%d goroutines, %d panics that nobody has seen; want one that is kept, and none", g.workers, g.Panics())
		}
		if n, err := Do(t.Context(), &g, func() (int, error) { return 7, nil }); n != 7 || err != nil {
			t.Errorf("afterwards: %d, %v", n, err)
		}
		g.Wait()
	})
}

// Nobody is there to recover it.
func TestAPanicAfterTheCallerHasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group
		for want := uint64(1); want <= 3; want++ {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := Do(ctx, &g, func() (int, error) {
				time.Sleep(time.Minute)
				panic("broken")
			})
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := g.Panics(); n != want {
				t.Errorf("%d panics counted, want %d", n, want)
			}
		}
		g.Wait()
	})
}

func TestGoexitIsTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group
		ended := make(chan bool)
		go func() {
			returned := false
			defer func() { ended <- returned }()
			Do(t.Context(), &g, func() (int, error) { runtime.Goexit(); return 7, nil })
			returned = true
		}()
		if <-ended {
			t.Error("Do returned")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		Do(ctx, &g, func() (int, error) {
			time.Sleep(time.Minute)
			runtime.Goexit()
			return 7, nil
		})
		g.Wait()
		if g.workers != 0 {
			t.Errorf("%d goroutines", g.workers)
		}
	})
}
