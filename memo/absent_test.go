package memo_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// table is what a function reads that may find nothing.
type table struct {
	rows  map[int]string
	loads int
}

func (tb *table) read(_ context.Context, k int) (string, error) {
	tb.loads++
	if row, ok := tb.rows[k]; ok {
		return row, nil
	}
	return "dropped", fmt.Errorf("row %d: %w", k, store.ErrNotFound)
}

// wantAbsent checks what a Get returns for which there is nothing, after so
// many loads.
func wantAbsent(t *testing.T, what string, f *memo.Func[int, string], tb *table, loads int, remembered bool) {
	t.Helper()
	v, err := f.Get(t.Context(), 7)
	if v != "" || !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%s: got %q, %v, want that there is none", what, v, err)
	}
	var e *memo.RememberedError
	if errors.As(err, &e) != remembered || remembered && (!e.Absent || e.Text != "row 7: "+store.ErrNotFound.Error()) {
		t.Errorf("%s: the error is %#v", what, err)
	}
	if tb.loads != loads {
		t.Errorf("%s: %d loads, want %d", what, tb.loads, loads)
	}
}

func TestAbsent(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		for _, shared := range []bool{false, true} {
			tb := new(table)
			o := &memo.FuncOptions[int, string]{Policy: memo.Policy{TTL: time.Hour, Absent: time.Minute, Stale: time.Hour}, Shared: shared, Namespace: fmt.Sprint(shared)}
			m, other := newMemo(t, s, nil), newMemo(t, s, nil)
			f, g := wrap(t, m, "f", tb.read, o), wrap(t, other, "f", tb.read, o)
			wantAbsent(t, "first", f, tb, 1, false)
			time.Sleep(time.Minute - 1)
			wantAbsent(t, "again", f, tb, 1, true)
			wantAbsent(t, "another process", g, tb, 1, true)
			r, err := f.Lookup(t.Context(), 7)
			if r.Source != memo.SourceNegative || r.Err != err || r.Value != "" || r.Age != time.Minute-1 || r.TTL != 1 {
				t.Errorf("Lookup: %+v, %v", r, err)
			}
			if has, err := f.Has(t.Context(), 7); has || err != nil {
				t.Errorf("Has: %v, %v", has, err)
			}
			if _, err := f.TTL(t.Context(), 7); err != store.ErrNotFound {
				t.Errorf("TTL: %v", err)
			}
			if meta, err := f.Meta(t.Context(), 7); !meta.Absent || meta.Failure || err != nil {
				t.Errorf("Meta: %+v, %v", meta, err)
			}
			if n := m.Stats().NegativeHits; n != 2 {
				t.Errorf("%d negative hits, want 2", n)
			}
			time.Sleep(time.Nanosecond)
			wantAbsent(t, "when it is over", f, tb, 2, false) // Stale is for values
		}
	})
}

func TestAbsentIsOverwritten(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		tb := new(table)
		o := &memo.FuncOptions[int, string]{Policy: memo.Policy{TTL: time.Hour, Absent: time.Hour, Stale: time.Hour}}
		f := wrap(t, newMemo(t, s, nil), "f", tb.read, o)
		loads := 0
		for what, do := range map[string]func() error{
			"Delete":         func() error { return f.Delete(t.Context(), 7) },
			"DeleteMany":     func() error { return f.DeleteMany(t.Context(), []int{7}) },
			"Expire":         func() error { return f.Expire(t.Context(), 7) },
			"Clear":          func() error { return f.Clear(t.Context()) },
			"Set and Delete": func() error { return errors.Join(f.Set(t.Context(), 7, ""), f.Delete(t.Context(), 7)) },
			"Refresh": func() error {
				if _, err := f.Refresh(t.Context(), 7); !errors.Is(err, store.ErrNotFound) {
					return err
				}
				loads++
				return f.Delete(t.Context(), 7)
			},
		} {
			loads++
			wantAbsent(t, "before "+what, f, tb, loads, false)
			wantAbsent(t, "before "+what, f, tb, loads, true)
			if err := do(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			loads++
			wantAbsent(t, "after "+what, f, tb, loads, false)
			mustDelete(t, f, 7)
		}
		wantAbsent(t, "before Touch", f, tb, loads+1, false)
		if err := f.Touch(t.Context(), 7); err != store.ErrNotFound {
			t.Errorf("Touch: %v", err)
		}
		wantAbsent(t, "after Touch", f, tb, loads+1, true)
		if err := f.Set(t.Context(), 7, "set"); err != nil {
			t.Error(err)
		}
		if v := get(t, f, 7); v != "set" {
			t.Errorf("after Set: got %q", v)
		}
	})
}

// With no Absent nothing is stored, and what is stored is removed.
func TestAbsentZero(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		for _, absent := range []time.Duration{0, memo.Off} {
			tb := &table{rows: map[int]string{7: "row"}}
			o := &memo.FuncOptions[int, string]{Policy: memo.Policy{TTL: time.Minute, Absent: absent, Stale: time.Hour}, Namespace: fmt.Sprint(absent)}
			f := wrap(t, newMemo(t, s, nil), "f", tb.read, o)
			stored := func() bool {
				_, err := s.Get(t.Context(), theKeyOf(t, f, 7))
				return err == nil
			}
			get(t, f, 7)
			delete(tb.rows, 7)
			for what, call := range map[string]memo.Call{"refused by its etag": {ETag: new("2")}, "too old": {MaxAge: 1}, "refreshed": {Refresh: true}} {
				tb.rows = map[int]string{7: "row"}
				mustDelete(t, f, 7)
				get(t, f, 7)
				time.Sleep(time.Second)
				tb.rows = nil
				tb.loads = 0
				if r, err := f.Lookup(t.Context(), 7, call); !errors.Is(err, store.ErrNotFound) || r.Value != "" {
					t.Errorf("%s: %+v, %v", what, r, err)
				}
				if stored() {
					t.Errorf("what was %s is still stored", what)
				}
				wantAbsent(t, what, f, tb, 2, false)
				wantAbsent(t, what, f, tb, 3, false)
			}
			tb.rows = map[int]string{7: "row"}
			get(t, f, 7)
			time.Sleep(2 * time.Minute)
			tb.rows = nil
			if v := get(t, f, 7); v != "row" {
				t.Errorf("stale: got %q", v)
			}
			synctest.Wait()
			if stored() {
				t.Error("what was stale is still stored")
			}
			tb.loads = 0
			wantAbsent(t, "after a refresh in the background", f, tb, 1, false)
		}
	})
}

// An absence that is to be remembered replaces a value, stale or not, and a
// value replaces an absence.
func TestAbsentReplacesValue(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		tb := &table{rows: map[int]string{7: "row"}}
		o := &memo.FuncOptions[int, string]{Policy: memo.Policy{TTL: time.Minute, Absent: time.Minute, Stale: time.Hour}}
		f := wrap(t, newMemo(t, s, nil), "f", tb.read, o)
		get(t, f, 7)
		time.Sleep(2 * time.Minute)
		tb.rows = nil
		get(t, f, 7)
		synctest.Wait()
		wantAbsent(t, "refreshed", f, tb, 2, true)
		tb.rows = map[int]string{7: "row"}
		if v, err := f.Refresh(t.Context(), 7); v != "row" || err != nil {
			t.Errorf("Refresh: %q, %v", v, err)
		}
		if v := get(t, f, 7); v != "row" || tb.loads != 3 {
			t.Errorf("got %q after %d loads", v, tb.loads)
		}
	})
}

// No value is taken for the absence of one: neither what looks like one when
// stored, nor an empty one. And no absence is taken for a value.
func TestNoValueIsAbsent(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, nil)
		policy := memo.Policy{TTL: time.Hour, Absent: time.Hour}
		missing := wrap(t, m, "missing", new(table).read, &memo.FuncOptions[int, string]{Policy: policy, Codec: memo.String()})
		_, _ = missing.Get(t.Context(), 7)
		stored, err := s.Get(t.Context(), theKeyOf(t, missing, 7))
		if err != nil {
			t.Fatal(err)
		}
		texts := []string{
			"", "null", "nil", "\x00", "not found", store.ErrNotFound.Error(), "row 7: " + store.ErrNotFound.Error(),
			string(stored), string(stored[:29]), "\xca\x17", "\xca\x17\x01\x01", strings.Repeat("\xff", 64),
		}
		for i, text := range texts {
			calls := 0
			asText := wrap(t, m, fmt.Sprint("text", i), func(context.Context, int) (string, error) { calls++; return text, nil },
				&memo.FuncOptions[int, string]{Policy: policy, Codec: memo.String()})
			asBytes := wrap(t, m, fmt.Sprint("bytes", i), func(context.Context, int) ([]byte, error) { calls++; return []byte(text), nil },
				&memo.FuncOptions[int, []byte]{Policy: policy, Codec: memo.Bytes()})
			asAny := wrap(t, m, fmt.Sprint("json", i), func(context.Context, int) (any, error) { calls++; return nil, nil },
				&memo.FuncOptions[int, any]{Policy: policy})
			for range 3 {
				if v := get(t, asText, 7); v != text {
					t.Errorf("got %q, want %q", v, text)
				}
				if v := get(t, asBytes, 7); string(v) != text {
					t.Errorf("got %q, want %q", v, text)
				}
				if v := get(t, asAny, 7); v != nil {
					t.Errorf("got %v, want nil", v)
				}
			}
			if calls != 3 {
				t.Errorf("%q: %d loads, want 3", text, calls)
			}
		}
	})
}

func TestAbsentIsNotStored(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		o := &memo.FuncOptions[int, string]{Policy: memo.Policy{TTL: time.Hour, Absent: time.Hour}}
		tb := new(table)
		f := wrap(t, newMemo(t, s, nil), "f", func(ctx context.Context, k int) (string, error) {
			memo.NoStore(ctx)
			return tb.read(ctx, k)
		}, o)
		wantAbsent(t, "NoStore", f, tb, 1, false)
		wantAbsent(t, "NoStore", f, tb, 2, false)
		tb = new(table)
		g := wrap(t, newMemo(t, s, nil), "g", tb.read, o)
		_, _ = g.Lookup(t.Context(), 7, memo.Call{NoStore: true})
		wantAbsent(t, "Call.NoStore", g, tb, 2, false)
		wantAbsent(t, "Call.NoStore", g, tb, 2, true)
	})
}

// Those who wait for a load that finds nothing get what the first gets.
func TestAbsentIsShared(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		for _, absent := range []time.Duration{0, time.Hour} {
			var loads atomic.Int64
			m := newMemo(t, s, &memo.Options{Namespace: absent.String()})
			f := wrap(t, m, "f", func(context.Context, int) (int, error) {
				loads.Add(1)
				time.Sleep(time.Second)
				return 0, store.ErrNotFound
			}, &memo.FuncOptions[int, int]{Policy: memo.Policy{Absent: absent}})
			first, joined := ask(t.Context(), f, 7), ask(t.Context(), f, 7)
			wantFailure(t, "first", first, store.ErrNotFound, time.Second)
			wantFailure(t, "joined", joined, store.ErrNotFound, time.Second)
			if loads.Load() != 1 {
				t.Errorf("%d loads", loads.Load())
			}
			if st := m.Stats(); st.Absent != 1 || st.LoadErrors != 0 {
				t.Errorf("%+v", st)
			}
		}
	})
}
