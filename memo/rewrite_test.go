package memo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/memo/compress"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

func TestTouch(t *testing.T) {
	for _, stale := range []time.Duration{0, time.Hour} {
		onRewritable(t, func(t *testing.T, s store.Store) {
			var o origin
			f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: stale}))
			get(t, f, 7)
			age := time.Duration(0)
			for range 5 {
				time.Sleep(59 * time.Second)
				age += 59 * time.Second
				must(t, f.Touch(t.Context(), 7))
				wantLookup(t, f, seen{1, sourceOf(s), age, time.Minute, nil})
				wantTTL(t, f, time.Minute+stale)
			}
			if stale > 0 {
				time.Sleep(30 * time.Minute) // it is stale, and becomes fresh again
				age += 30 * time.Minute
				must(t, f.Touch(t.Context(), 7))
				wantLookup(t, f, seen{1, sourceOf(s), age, time.Minute, nil})
			}
			time.Sleep(time.Minute + stale)
			wantGone(t, f) // what is over is not brought back, even where the store still has it
			get(t, f, 7)
			o.want(t, 2)
		})
	}
}

func TestTouchAt(t *testing.T) {
	onRewritable(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Hour, Stale: time.Minute, Jitter: 0.9}))
		for _, past := range []time.Time{{}, time.Now(), time.Now().Add(-1), time.Unix(0, 0)} {
			if err := f.TouchAt(t.Context(), 7, past); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "call Expire") {
				t.Errorf("TouchAt(%v) without a value: %v", past, err)
			}
		}
		get(t, f, 7)
		for _, d := range []time.Duration{24 * time.Hour, time.Hour, 1} { // shortens, too
			until := time.Now().Add(d)
			must(t, f.TouchAt(t.Context(), 7, until))
			wantLookup(t, f, seen{1, sourceOf(s), 0, d, nil})
			wantTTL(t, f, d+time.Minute)
			if meta, err := f.Meta(t.Context(), 7); !meta.FreshUntil.Equal(until) || err != nil {
				t.Errorf("Meta: %+v, %v", meta, err)
			}
			if err := f.TouchAt(t.Context(), 7, time.Now()); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("TouchAt: %v", err)
			}
			wantTTL(t, f, d+time.Minute)
		}
		// Times beyond those that an entry can hold are no limit.
		must(t, f.TouchAt(t.Context(), 7, time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)))
		time.Sleep(1000 * time.Hour)
		wantLookup(t, f, seen{1, sourceOf(s), 1000 * time.Hour, store.UnknownTTL, nil})
		wantTTL(t, f, store.Forever)
		o.want(t, 1)
	})
}

// A touch that happens again and again does not keep a newer value out.
func TestTouchDuringRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o origin
		f := wrap(t, newMemo(t, newSwapStore(), nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, RefreshAhead: 0.5}))
		get(t, f, 7)
		time.Sleep(30 * time.Second)
		o.takes(20 * time.Second)
		get(t, f, 7)
		for range 4 {
			time.Sleep(3 * time.Second)
			must(t, f.Touch(t.Context(), 7))
			if v := get(t, f, 7); v != 1 {
				t.Errorf("got %d", v)
			}
		}
		time.Sleep(8 * time.Second)
		synctest.Wait()
		if v := get(t, f, 7); v != 2 {
			t.Errorf("got %d", v)
		}
		o.want(t, 2)
	})
}

// What another process stores between the read and the write of a rewrite is
// not lost.
func TestRewriteAgainstOtherProcess(t *testing.T) {
	type function = memo.Func[int, int]
	for name, rewrite := range map[string]func(context.Context, *function) error{
		"expire": func(ctx context.Context, f *function) error { return f.Expire(ctx, 7) },
		"touch":  func(ctx context.Context, f *function) error { return f.Touch(ctx, 7) },
		"touch at": func(ctx context.Context, f *function) error {
			return f.TouchAt(ctx, 7, time.Now().Add(2*time.Hour))
		},
	} {
		for _, deletes := range []bool{false, true} {
			t.Run(fmt.Sprint(name, deletes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					for _, s := range []store.Store{newSwapStore(), bytesWithSwap{s: newSwapStore()}} {
						var o, other origin
						p := policy(memo.Policy{TTL: time.Hour, Stale: time.Hour})
						theirs := wrap(t, newMemo(t, s, nil), "f", other.load, p)
						between := func() {}
						mine := storetest.Intercept(s, func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
							err := next(ctx)
							if c.Op == "get" && !ofVersions(c) {
								between()
								between = func() {}
							}
							return err
						})
						f := wrap(t, newMemo(t, mine, nil), "f", o.load, p)
						get(t, f, 7)
						synctest.Wait()
						between = func() {
							if deletes {
								mustDelete(t, theirs, 7)
							} else {
								must(t, theirs.Set(t.Context(), 7, 99))
							}
						}
						err := rewrite(t.Context(), f)
						switch {
						case !deletes:
							must(t, err)
							if r, err := theirs.Lookup(t.Context(), 7); r.Value != 99 || err != nil || (r.Source == memo.SourceStale) != (name == "expire") {
								t.Errorf("got %+v, %v", r, err)
							}
							synctest.Wait()
						case name == "expire":
							must(t, err)
							wantGone(t, theirs)
						default:
							if err != store.ErrNotFound {
								t.Errorf("got %v", err)
							}
							wantGone(t, theirs)
						}
					}
				})
			})
		}
	}
}

// All that an entry carries survives being rewritten.
func TestRewriteKeepsTheRest(t *testing.T) {
	onRewritable(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, &memo.Options{Compression: &memo.Compression{With: compress.S2(), Above: 10}})
		calls := 0
		f := wrap(t, m, "f", func(ctx context.Context, _ int) (string, error) {
			calls++
			memo.SetETag(ctx, "e1")
			time.Sleep(3 * time.Millisecond)
			return strings.Repeat("long ", 1000), nil
		}, &memo.FuncOptions[int, string]{
			Policy: memo.Policy{TTL: time.Hour, Stale: time.Hour},
			Tags:   func(int) []string { return []string{"a", "b"} },
		})
		want := get(t, f, 7)
		before, err := f.Meta(t.Context(), 7)
		must(t, err)
		if before.Size > 1000 || before.ETag == nil || *before.ETag != "e1" || len(before.Tags) != 2 || before.LoadTime != 3*time.Millisecond {
			t.Errorf("Meta: %+v", before)
		}
		for _, rewrite := range []func() error{
			func() error { return f.Touch(t.Context(), 7) },
			func() error { return f.TouchAt(t.Context(), 7, time.Now().Add(time.Minute)) },
			func() error { return f.Expire(t.Context(), 7) },
			func() error { return f.Touch(t.Context(), 7) },
		} {
			must(t, rewrite())
			after, err := f.Meta(t.Context(), 7)
			must(t, err)
			after.FreshUntil, after.StaleUntil, after.TTL = before.FreshUntil, before.StaleUntil, before.TTL
			if !reflect.DeepEqual(after, before) {
				t.Errorf("got  %+v\nwant %+v", after, before)
			}
			r, err := f.Lookup(t.Context(), 7, memo.Call{StaleOK: true})
			if r.Value != want || r.ETag != "e1" || err != nil {
				t.Errorf("got %+v, %v", r, err)
			}
			synctest.Wait()
			must(t, m.InvalidateTags(t.Context(), "other"))
			before, err = f.Meta(t.Context(), 7)
			must(t, err)
		}
		must(t, m.InvalidateTags(t.Context(), "b"))
		if has, err := f.Has(t.Context(), 7); has || err != nil {
			t.Errorf("Has: %v, %v", has, err)
		}
		if err := f.Touch(t.Context(), 7); err != store.ErrNotFound {
			t.Errorf("Touch: %v; an entry that is invalid is not brought back", err)
		}
		must(t, f.Expire(t.Context(), 7))
	})
}

// An entry that says that there is no such thing is no value.
func TestMethodsOverAbsence(t *testing.T) {
	onRewritable(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Hour, Stale: time.Hour, Absent: time.Minute}))
		o.fails(store.ErrNotFound)
		_, _ = f.Get(t.Context(), 7)
		meta, err := f.Meta(t.Context(), 7)
		if err != nil || !meta.Absent || meta.Failure || meta.FreshUntil.Sub(meta.Created) != time.Minute || !meta.StaleUntil.IsZero() || meta.Size == 0 {
			t.Errorf("Meta: %+v, %v", meta, err)
		}
		if !isLong(t) && meta.TTL != time.Minute {
			t.Errorf("Meta: %+v", meta)
		}
		if has, err := f.Has(t.Context(), 7); has || err != nil {
			t.Errorf("Has: %v, %v", has, err)
		}
		if _, err := f.TTL(t.Context(), 7); err != store.ErrNotFound {
			t.Errorf("TTL: %v", err)
		}
		if err := f.Touch(t.Context(), 7); err != store.ErrNotFound {
			t.Errorf("Touch: %v", err)
		}
		wantLookup(t, f, seen{0, memo.SourceNegative, 0, time.Minute, store.ErrNotFound})
		must(t, f.Expire(t.Context(), 7)) // and who asks then loads
		o.fails(nil)
		wantLookup(t, f, seen{2, memo.SourceLoaded, 0, time.Hour, nil})
	})
}

// Stale values are there, and Meta says until when.
func TestMethodsOverStale(t *testing.T) {
	onRewritable(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Hour}))
		o.takes(time.Millisecond)
		get(t, f, 7)
		created := time.Now()
		time.Sleep(30 * time.Minute)
		if has, err := f.Has(t.Context(), 7); !has || err != nil {
			t.Errorf("Has: %v, %v", has, err)
		}
		wantTTL(t, f, 31*time.Minute)
		meta, err := f.Meta(t.Context(), 7)
		must(t, err)
		want := memo.Meta{
			Created: created, FreshUntil: created.Add(time.Minute), StaleUntil: created.Add(61 * time.Minute),
			TTL: 31 * time.Minute, LoadTime: time.Millisecond, Size: meta.Size,
		}
		if isLong(t) {
			want.TTL = store.Forever
		}
		if !meta.Created.Equal(want.Created) || !meta.FreshUntil.Equal(want.FreshUntil) || !meta.StaleUntil.Equal(want.StaleUntil) {
			t.Errorf("got  %+v\nwant %+v", meta, want)
		}
		meta.Created, meta.FreshUntil, meta.StaleUntil = want.Created, want.FreshUntil, want.StaleUntil
		if !reflect.DeepEqual(meta, want) || meta.Size == 0 {
			t.Errorf("got  %+v\nwant %+v", meta, want)
		}
		o.want(t, 1) // none of them loads
	})
}

func TestMethodsWithoutTTL(t *testing.T) {
	onRewritable(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		for name, p := range map[string]memo.Policy{"store": {}, "off": {TTL: memo.Off}} {
			var o origin
			f := wrap(t, m, name, o.load, policy(p))
			get(t, f, 7)
			for range 2 {
				meta, err := f.Meta(t.Context(), 7)
				if err != nil || !meta.FreshUntil.IsZero() || !meta.StaleUntil.IsZero() || meta.TTL != store.Forever {
					t.Errorf("Meta: %+v, %v", meta, err)
				}
				must(t, f.Touch(t.Context(), 7))
			}
			must(t, f.TouchAt(t.Context(), 7, time.Now().Add(time.Minute)))
			wantTTL(t, f, time.Minute)
			time.Sleep(time.Minute)
			wantGone(t, f)
		}
	})
}

func TestMethodsOverVagueStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, s := range []store.Store{vagueStore{newLiveStore()}, storetest.Bare(vagueStore{newLiveStore()})} {
			var o origin
			f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Minute, Retry: memo.Off}))
			get(t, f, 7)
			o.fails(errOrigin)
			for range 2 {
				must(t, f.Expire(t.Context(), 7))
				if ttl, err := f.TTL(t.Context(), 7); ttl != store.UnknownTTL || err != nil {
					t.Errorf("TTL: %v, %v", ttl, err)
				}
				if meta, err := f.Meta(t.Context(), 7); meta.TTL != store.UnknownTTL || err != nil {
					t.Errorf("Meta: %+v, %v", meta, err)
				}
				wantLookup(t, f, seen{1, memo.SourceStale, 0, 0, nil})
			}
			must(t, f.Touch(t.Context(), 7))
			wantLookup(t, f, seen{1, sourceOf(s), 0, time.Minute, nil})
		}
	})
}

// Each method says what went wrong, and reports the store.
func TestRewriteErrors(t *testing.T) {
	type function = memo.Func[int, int]
	methods := map[string]func(context.Context, *function) error{
		"expire":  func(ctx context.Context, f *function) error { return f.Expire(ctx, 7) },
		"touch":   func(ctx context.Context, f *function) error { return f.Touch(ctx, 7) },
		"touchat": func(ctx context.Context, f *function) error { return f.TouchAt(ctx, 7, time.Now().Add(time.Hour)) },
		"has":     func(ctx context.Context, f *function) error { _, err := f.Has(ctx, 7); return err },
		"ttl":     func(ctx context.Context, f *function) error { _, err := f.TTL(ctx, 7); return err },
		"meta":    func(ctx context.Context, f *function) error { _, err := f.Meta(ctx, 7); return err },
	}
	onRewritable(t, func(t *testing.T, s store.Store) {
		for op, method := range methods {
			var told events
			down := false
			faulty := storetest.Faulty(s, func(c storetest.Call) error {
				if down && !ofVersions(c) {
					return errOrigin
				}
				return nil
			}, nil)
			m, err := memo.New(faulty, &memo.Options{Namespace: op, Trace: told.trace(), Logger: slog.New(slog.DiscardHandler)})
			must(t, err)
			f := wrap(t, m, "f", echo, policy(memo.Policy{TTL: time.Minute, Stale: time.Minute}))
			get(t, f, 7)
			down = true
			if err := method(t.Context(), f); !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, errOrigin) {
				t.Errorf("%s: %v", op, err)
			}
			told.want(t, 1, 1, 0, 0)
			if len(told.storeErrors) == 1 && told.storeErrors[0].Op != op {
				t.Errorf("%s: reported %+v", op, told.storeErrors[0])
			}
			down = false
			must(t, method(t.Context(), f))
			told.want(t, 1, 1, 0, 0)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			var e *memo.Error
			if err := method(ctx, f); !errors.Is(err, context.Canceled) || !errors.As(err, &e) || e.Op != op {
				t.Errorf("%s with a context that has ended: %v", op, err)
			}
			must(t, m.Close(t.Context()))
			if err := method(t.Context(), f); !errors.Is(err, memo.ErrClosed) {
				t.Errorf("%s after Close: %v", op, err)
			}
		}
	})
}
