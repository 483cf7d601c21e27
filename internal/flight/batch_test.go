package flight

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// outcomes is what a DoMany returned, and when.
type outcomes struct {
	all []Outcome[int]
	at  time.Duration
}

// requestMany calls DoMany in a goroutine of its own and waits until it waits.
// A Batch without Fill fills nothing. The keys are the letters of keys.
func requestMany(ctx context.Context, g *Group[int], keys string, b Batch[int]) <-chan outcomes {
	b.Keys = strings.Split(keys, "")
	if b.Fill == nil {
		b.Fill = func(context.Context, []int, []int) {}
	}
	c := make(chan outcomes, 1)
	start := time.Now()
	go func() {
		all := g.DoMany(ctx, b)
		c <- outcomes{all, time.Since(start)}
	}()
	synctest.Wait()
	return c
}

// each returns a load of a batch that takes d and brings for each key what load
// returns for its index, whatever the context says.
func each(d time.Duration, load func(i int) (int, error)) func(context.Context, []int, bool) ([]int, []error) {
	return func(_ context.Context, keys []int, _ bool) ([]int, []error) {
		time.Sleep(d)
		values, errs := make([]int, len(keys)), make([]error, len(keys))
		for i, key := range keys {
			values[i], errs[i] = load(key)
		}
		return values, errs
	}
}

// tens are the values 10, 11, 12 and so on.
func tens(i int) (int, error) { return 10 + i, nil }

// together returns a load of a batch that fails as a whole as load does, and
// else brings the one value for all.
func together(load func(context.Context, bool) (int, error)) func(context.Context, []int, bool) ([]int, []error) {
	return func(ctx context.Context, keys []int, again bool) ([]int, []error) {
		value, err := load(ctx, again)
		return each(0, func(int) (int, error) { return value, err })(ctx, keys, again)
	}
}

func unwantedBatch(t *testing.T) func(context.Context, []int, bool) ([]int, []error) {
	return func(_ context.Context, keys []int, _ bool) ([]int, []error) {
		t.Errorf("a second load, of %v", keys)
		return make([]int, len(keys)), make([]error, len(keys))
	}
}

// wantOutcomes checks values, which has an entry for each key: the value, with
// a star if the caller led, or an error.
func wantOutcomes(t *testing.T, what string, c <-chan outcomes, at time.Duration, want ...any) {
	t.Helper()
	o := <-c
	ok := len(o.all) == len(want) && o.at == at
	for i := 0; ok && i < len(want); i++ {
		got := o.all[i]
		if err, is := want[i].(error); is {
			ok = errors.Is(got.Err, err)
			continue
		}
		text := fmt.Sprint(got.Value)
		if got.Led {
			text += "*"
		}
		ok = got.Err == nil && text == want[i]
	}
	if !ok {
		t.Errorf("%s: got %+v, want %v after %v", what, o, want, at)
	}
}

func TestDoMany(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		type name struct{}
		var loaded, filled []string
		b := Batch[int]{
			Load: func(ctx context.Context, keys []int, again bool) ([]int, []error) {
				loaded = append(loaded, fmt.Sprint(keys, again, " ", ctx.Value(name{})))
				return each(time.Second, tens)(ctx, keys, again)
			},
			Fill: func(ctx context.Context, keys, values []int) {
				filled = append(filled, fmt.Sprint(keys, values, ctx.Value(name{}), ctx.Err()))
			},
			Void: func(n int) { t.Errorf("%d are void", n) },
		}
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), name{}, "mine"), time.Minute)
		defer cancel()
		first := requestMany(ctx, g, "abc", b)
		joined := requestMany(t.Context(), g, "cdb", Batch[int]{Load: func(ctx context.Context, keys []int, again bool) ([]int, []error) {
			if fmt.Sprint(keys) != "[1]" {
				t.Errorf("loads %v, want the one that nobody loads", keys)
			}
			return each(time.Minute, tens)(ctx, keys, again)
		}})
		single := begin(t.Context(), g, "a", unwanted(t), mustNotFill(t))
		wantOutcomes(t, "first", first, time.Second, "10*", "11*", "12*")
		wantOutcomes(t, "joined", joined, time.Minute, "12", "11*", "11")
		wantOutcome(t, "single", single, 10, false, time.Second)
		if got := fmt.Sprint(loaded, filled); got != "[[0 1 2] false mine] [[0 1 2] [10 11 12]mine<nil>]" {
			t.Errorf("loaded and filled %s", got)
		}
		if got := g.DoMany(t.Context(), Batch[int]{Load: unwantedBatch(t)}); len(got) != 0 {
			t.Errorf("of no keys: got %v", got)
		}
	})
}

func TestDoManyJoinsSingle(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		single := begin(t.Context(), g, "b", after(time.Minute, 1, nil), l.fill)
		wantOutcomes(t, "batch", requestMany(t.Context(), g, "abc", Batch[int]{Load: each(time.Second, tens), Fill: l.fillMany}),
			time.Minute, "10*", "1", "12*")
		wantOutcome(t, "single", single, 1, true, time.Minute)
		l.want(t, "[10 12 1]", 0)
		wantOutcomes(t, "all in the hands of others", func() <-chan outcomes {
			requestMany(t.Context(), g, "ab", Batch[int]{Load: each(time.Second, tens)})
			return requestMany(t.Context(), g, "ba", Batch[int]{Load: unwantedBatch(t)})
		}(), time.Second, "11", "10")
	})
}

func TestDoManyErrors(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		failed := errors.New("failed")
		b := Batch[int]{Fill: l.fillMany, Void: l.skipMany, Load: each(time.Second, func(i int) (int, error) {
			if i == 1 {
				return 11, failed
			}
			return tens(i)
		})}
		wantOutcomes(t, "first", requestMany(t.Context(), g, "abc", b), time.Second, "10*", failed, "12*")
		l.want(t, "[10 12]", 0)
		b.Load = each(0, func(int) (int, error) { return 0, failed })
		b.Fill = func(context.Context, []int, []int) { t.Error("filled with nothing") }
		wantOutcomes(t, "all", requestMany(t.Context(), g, "ab", b), 0, failed, failed)
	})
}

func TestDoManyMark(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var again []bool
		ask := func(keys string, seen Mark) {
			<-requestMany(t.Context(), g, keys, Batch[int]{Seen: seen, Load: func(ctx context.Context, keys []int, a bool) ([]int, []error) {
				again = append(again, a)
				return each(0, func(int) (int, error) { return 0, errors.New("failed") })(ctx, keys, a)
			}})
		}
		before := g.Mark()
		ask("ab", before)
		<-requestMany(t.Context(), g, "bc", Batch[int]{Load: each(0, tens)})
		ask("ab", before)
		ask("ba", before)
		ask("ab", g.Mark())
		if got := fmt.Sprint(again); got != "[false true true false]" {
			t.Errorf("told to look again: %s", got)
		}
	})
}

func TestDoManyContext(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var cause atomic.Value
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		early := begin(t.Context(), g, "c", after(0, 1, nil), slowFill)
		slow := begin(t.Context(), g, "b", after(time.Minute, 2, nil), noFill)
		wantOutcomes(t, "ends", requestMany(ctx, g, "abc", Batch[int]{Load: together(caused(&cause))}),
			time.Second, context.DeadlineExceeded, context.DeadlineExceeded, "1")
		wantCause(t, &cause, errAbandoned)
		wantOutcomes(t, "has ended", requestMany(ctx, g, "abc", Batch[int]{Load: unwantedBatch(t)}),
			0, context.DeadlineExceeded, context.DeadlineExceeded, context.DeadlineExceeded)
		wantOutcome(t, "early", early, 1, true, time.Minute)
		wantOutcome(t, "slow", slow, 2, true, time.Minute)
	})
}

// What has ended by then has its own outcome.
func TestDoManyContextEndsLater(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		failed := errors.New("failed")
		for range 50 {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			slow := begin(t.Context(), g, "a", after(time.Minute, 1, nil), noFill)
			fails := begin(t.Context(), g, "b", after(time.Second, 0, failed), noFill)
			works := begin(t.Context(), g, "c", after(time.Second, 3, nil), noFill)
			wantOutcomes(t, "batch", requestMany(ctx, g, "abc", Batch[int]{Load: unwantedBatch(t)}),
				2*time.Second, context.DeadlineExceeded, failed, "3")
			cancel()
			<-fails
			<-works
			<-slow
		}
	})
}

// The load goes on for the last of those who wait for any of its keys, and all
// of them can be joined as long as it does.
func TestDoManyCancelledWhenNobodyWaits(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var cause atomic.Value
		one, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		two, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		three, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		batch := requestMany(one, g, "abc", Batch[int]{Load: together(caused(&cause))})
		joined := begin(two, g, "b", unwanted(t), noFill)
		wantOutcomes(t, "batch", batch, time.Second, context.DeadlineExceeded, context.DeadlineExceeded, context.DeadlineExceeded)
		other := begin(three, g, "a", unwanted(t), noFill)
		wantError(t, "joined", joined, context.DeadlineExceeded, 2*time.Second)
		wantCause(t, &cause, nil)
		wantError(t, "other", other, context.DeadlineExceeded, 2*time.Second)
		wantCause(t, &cause, errAbandoned)
		for _, key := range []string{"a", "b", "c"} {
			wantOutcome(t, key, begin(t.Context(), g, key, after(0, 1, nil), noFill), 1, true, 0)
		}
	})
}

func TestDoManyTimeout(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		slow := begin(t.Context(), g, "b", after(time.Minute, 1, nil), l.fill)
		b := Batch[int]{Timeout: time.Second, Load: each(time.Hour, tens), Fill: l.fillMany, Void: l.skipMany}
		batch := requestMany(t.Context(), g, "abc", b)
		single := begin(t.Context(), g, "a", unwanted(t), noFill)
		wantError(t, "single", single, ErrTimeout, time.Second)
		wantOutcome(t, "next", begin(t.Context(), g, "a", after(0, 2, nil), l.fill), 2, true, 0)
		wantOutcomes(t, "batch", batch, time.Minute, ErrTimeout, "1", ErrTimeout)
		wantOutcome(t, "slow", slow, 1, true, time.Minute)
		time.Sleep(time.Hour)
		l.want(t, "[2 1 12]", 1)
	})
}

// What failed in time has not timed out, however long the others are stored.
func TestDoManyFailsInTime(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		failed := errors.New("failed")
		o := <-requestMany(t.Context(), g, "ab", Batch[int]{
			Timeout: time.Second,
			Load: each(0, func(i int) (int, error) {
				if i == 0 {
					return 0, failed
				}
				return 1, nil
			}),
			Fill: func(context.Context, []int, []int) { time.Sleep(time.Minute) },
		})
		if o.all[0].Err != failed || o.all[1].Err != nil || o.at != time.Minute {
			t.Errorf("got %+v", o)
		}
	})
}

func TestDoManyPatience(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		single := begin(ctx, g, "b", heeding(time.Minute, 1), l.fill)
		early := begin(t.Context(), g, "d", after(0, 4, nil), slowFill)
		b := Batch[int]{Patience: time.Second, Load: together(heeding(time.Hour, 2)), Fill: l.fillMany}
		wantOutcomes(t, "batch", requestMany(t.Context(), g, "abcd", b), time.Second, ErrPatience, ErrPatience, ErrPatience, "4")
		wantError(t, "single", single, context.DeadlineExceeded, 2*time.Second)
		wantOutcome(t, "joined", begin(t.Context(), g, "c", unwanted(t), noFill), 2, false, time.Hour-2*time.Second)
		l.want(t, "[1 2 2]", 0)
		<-early
	})
}

func TestDoManyAfter(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		single := begin(t.Context(), g, "b", after(time.Second, 1, nil), noFill)
		var mu sync.Mutex
		var loads []int
		b := Batch[int]{After: true, Load: each(time.Minute, func(i int) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			loads = append(loads, i)
			return 10, nil
		})}
		first, second := requestMany(t.Context(), g, "bac", b), requestMany(t.Context(), g, "b", b)
		wantOutcome(t, "single", single, 1, true, time.Second)
		synctest.Wait()
		wantOutcome(t, "joined", begin(t.Context(), g, "a", unwanted(t), noFill), 10, false, time.Minute)
		for _, c := range []<-chan outcomes{first, second} {
			o := <-c
			for _, one := range o.all {
				if o.at != time.Minute+time.Second || one.Value != 10 || one.Err != nil {
					t.Errorf("got %+v", o)
				}
			}
		}
		if len(loads) != 3 {
			t.Errorf("%d loads after the first, want one for each key", len(loads))
		}
	})
}

// Each key that an older load keeps from being loaded has its own outcome.
func TestDoManyAfterGivesUp(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		single := begin(t.Context(), g, "b", after(time.Hour, 1, nil), l.fill)
		b := Batch[int]{After: true, Load: unwantedBatch(t)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantOutcomes(t, "with a deadline", requestMany(ctx, g, "ab", b), time.Second, context.DeadlineExceeded, context.DeadlineExceeded)
		b.Patience, b.Load, b.Fill = time.Second, each(time.Second, tens), l.fillMany
		wantOutcomes(t, "impatient", requestMany(t.Context(), g, "ab", b), time.Second, ErrPatience, ErrPatience)
		wantOutcome(t, "single", single, 1, true, time.Hour)
		l.want(t, "[10 1]", 0)
	})
}

func TestDoManyEpoch(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		old := requestMany(t.Context(), g, "abc", Batch[int]{Load: each(time.Minute, tens), Fill: l.fillMany, Void: l.skipMany})
		newer := requestMany(t.Context(), g, "ba", Batch[int]{Epoch: 1, Load: each(time.Second, tens), Fill: l.fillMany})
		wantOutcomes(t, "newer", newer, time.Second, "10*", "11*")
		wantOutcomes(t, "old", old, time.Minute, "10*", "11*", "12*")
		l.want(t, "[10 11 12]", 2)
	})
}

func TestStartMany(t *testing.T) {
	bubble(t, func(t *testing.T, g *Group[int]) {
		var l ledger
		single := begin(t.Context(), g, "b", after(time.Second, 1, nil), noFill)
		load := func(ctx context.Context, keys []int, again bool) ([]int, []error) {
			if fmt.Sprint(keys) != "[0 2]" {
				t.Errorf("loads %v", keys)
			}
			value, err := heeding(time.Minute, 2)(ctx, again)
			return []int{value, value}, []error{err, err}
		}
		b := Batch[int]{Keys: []string{"a", "b", "c"}, Load: load, Fill: l.fillMany}
		if n := g.StartMany(t.Context(), b); n != 2 {
			t.Errorf("began %d, want 2", n)
		}
		if n := g.StartMany(t.Context(), b); n != 0 {
			t.Errorf("began %d, want none", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantOutcomes(t, "joined for a while", requestMany(ctx, g, "ac", Batch[int]{Load: unwantedBatch(t)}),
			time.Second, context.DeadlineExceeded, context.DeadlineExceeded)
		wantOutcome(t, "single", single, 1, true, time.Second)
		wantOutcome(t, "joined", begin(t.Context(), g, "c", unwanted(t), noFill), 2, false, 59*time.Second)
		l.want(t, "[2 2]", 0)
	})
}

// Batches of the same keys in different orders do not wait for each other in a
// ring.
func TestBatchesCross(t *testing.T) {
	g := group(t)
	for range 500 {
		var loads atomic.Int64
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for _, keys := range []string{"abcdef", "fedcba", "cfabed"} {
			wg.Go(func() {
				<-begin
				for i, o := range g.DoMany(t.Context(), Batch[int]{
					Keys: strings.Split(keys, ""),
					Load: func(_ context.Context, indices []int, _ bool) ([]int, []error) {
						loads.Add(int64(len(indices)))
						values := make([]int, len(indices))
						for i, index := range indices {
							values[i] = int(keys[index])
						}
						return values, make([]error, len(indices))
					},
					Fill: func(context.Context, []int, []int) {},
				}) {
					if o.Value != int(keys[i]) || o.Err != nil {
						t.Errorf("%c: got %+v", keys[i], o)
					}
				}
			})
		}
		close(begin)
		wg.Wait()
		if n := loads.Load(); n < 6 || n > 18 {
			t.Fatalf("%d keys loaded", n)
		}
	}
}
