package memo_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// verifying makes a Memo in verify mode that counts what it tells of.
func verifying(t *testing.T, s store.Store, o memo.Options) (*memo.Memo, *atomic.Int64, *strings.Builder) {
	var told atomic.Int64
	log := new(strings.Builder)
	o.Trace = &memo.Trace{Mismatch: func(_ context.Context, info memo.MismatchInfo) {
		if info.Func == "" {
			t.Error("Mismatch without the function's name")
		}
		told.Add(1)
	}}
	o.Logger = slog.New(slog.NewTextHandler(log, nil))
	return newMemo(t, s, &o), &told, log
}

func TestVerify(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m, told, log := verifying(t, s, memo.Options{Verify: true})
		calls := 0
		f := wrap(t, m, "drifts", func(_ context.Context, k int) (int, error) {
			calls++
			return k * calls, nil
		}, &memo.FuncOptions[int, int]{Policy: memo.Policy{Stale: time.Hour, TTL: time.Hour}})
		for i := range 4 {
			if v := get(t, f, 7); v != 7 {
				t.Errorf("got %d, want what is stored", v)
			}
			if calls != i+1 || told.Load() != int64(i) {
				t.Errorf("%d calls, %d mismatches after %d hits", calls, told.Load(), i)
			}
		}
		if _, err := f.GetMany(t.Context(), []int{7}); err != nil || told.Load() != 4 {
			t.Errorf("GetMany: %v, %d mismatches", err, told.Load())
		}
		if n := m.Stats().Mismatches; n != 4 || !strings.Contains(log.String(), "drifts") {
			t.Errorf("%d mismatches in Stats; the log has %q", n, log)
		}
	})
}

func TestVerifyByEnvironment(t *testing.T) {
	for value, want := range map[string]int64{"1": 1, "true": 1, "0": 0, "": 0} {
		t.Setenv("CAIRN_MEMO_VERIFY", value)
		calls := 0
		m, told, _ := verifying(t, newLiveStore(), memo.Options{})
		f := wrap(t, m, "f", func(context.Context, int) (int, error) { calls++; return calls, nil }, nil)
		get(t, f, 1)
		get(t, f, 1)
		if told.Load() != want {
			t.Errorf("CAIRN_MEMO_VERIFY=%q: %d mismatches, want %d", value, told.Load(), want)
		}
	}
}

func TestEnvironmentIsUnderstood(t *testing.T) {
	for _, variable := range []string{"CAIRN_MEMO_REFRESH", "CAIRN_MEMO_SKIP", "CAIRN_MEMO_VERIFY"} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, "yes")
			if m, err := memo.New(newLiveStore(), nil); m != nil || !errors.Is(err, store.ErrInvalid) || !strings.HasSuffix(err.Error(), variable+`: "yes" is not 1, true, 0 or false`) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// lossy is of those types that come back from their codec otherwise than they
// went in.
type lossy struct {
	Name    string
	Hidden  string `json:"-"`
	private int
	When    time.Time
	Any     any
	Nil     []int
	Empty   map[string]int `json:",omitempty"`
	Float   float64
}

// What a codec loses is no difference, and neither are an error and an answer
// that is stale.
func TestVerifyIsQuiet(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		for _, shared := range []bool{false, true} {
			m, told, log := verifying(t, s, memo.Options{Verify: true, Namespace: map[bool]string{true: "shared"}[shared]})
			when := time.Now().In(time.FixedZone("", 3600))
			a := wrap(t, m, "json", func(context.Context, int) (*lossy, error) {
				return &lossy{"a", "b", 3, when, 5, nil, map[string]int{}, math.Pi}, nil
			}, &memo.FuncOptions[int, *lossy]{Shared: shared})
			b := wrap(t, m, "gob", func(context.Context, int) (map[string]float64, error) {
				return map[string]float64{"a": 1, "b": math.Inf(1), "c": 3, "d": math.Copysign(0, -1)}, nil
			}, &memo.FuncOptions[int, map[string]float64]{Codec: memo.Gob[map[string]float64](), Shared: shared})
			c := wrap(t, m, "nan", func(context.Context, int) (float64, error) { return math.NaN(), nil },
				&memo.FuncOptions[int, float64]{Codec: memo.Gob[float64](), Shared: shared})
			calls := 0
			d := wrap(t, m, "fails", func(context.Context, int) (int, error) {
				if calls++; calls > 1 {
					return 0, errors.New("down")
				}
				return 1, nil
			}, &memo.FuncOptions[int, int]{Shared: shared})
			e := wrap(t, m, "absent", func(context.Context, int) (int, error) { return 0, store.ErrNotFound },
				&memo.FuncOptions[int, int]{Policy: memo.Policy{Absent: time.Hour}, Shared: shared})
			n := new(atomic.Int64)
			g := wrap(t, m, "stale", func(context.Context, int) (int64, error) { return n.Add(1), nil },
				&memo.FuncOptions[int, int64]{Policy: memo.Policy{TTL: time.Nanosecond, Stale: time.Hour}, Shared: shared})
			for range 3 {
				get(t, a, 1)
				get(t, b, 1)
				get(t, c, 1)
				get(t, d, 1)
				_, _ = e.Get(t.Context(), 1)
				get(t, g, 1)
				time.Sleep(time.Second)
			}
			if told.Load() != 0 || strings.Contains(log.String(), "another result") {
				t.Errorf("%d false alarms: %s", told.Load(), log)
			}
		}
	})
}

// A function that was found to be not modified is compared in full.
func TestVerifyAndNotModified(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m, told, _ := verifying(t, s, memo.Options{Verify: true})
		src := &versioned{version: 1}
		f := wrap(t, m, "f", src.read, nil)
		get(t, f, 7)
		get(t, f, 7)
		if told.Load() != 0 || src.full != 2 {
			t.Errorf("%d mismatches, %d full loads", told.Load(), src.full)
		}
		src.version = 2
		if v := get(t, f, 7); v != 1 || told.Load() != 1 {
			t.Errorf("got %d, %d mismatches", v, told.Load())
		}
	})
}
