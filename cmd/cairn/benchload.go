package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cairncache/cairn/store"
)

// A load is what is done to a store.
type load struct {
	Duration    time.Duration `json:"duration_ns"`
	Concurrency int           `json:"concurrency"`
	Size        int64         `json:"size"`
	Keys        int           `json:"keys"`
	TTL         time.Duration `json:"ttl_ns"`
	Read        float64       `json:"read"`
	Zipf        float64       `json:"zipf"`
}

// A target is a store under load, and what was measured of it so far.
type target struct {
	*load
	name   string // for the report, without secrets
	s      store.Store
	prefix string
	value  []byte

	reached int  // how many keys were stored, or may have been
	stored  bool // some of them were for certain
	callers []*caller
	measured
}

func newTarget(l *load, name string, s store.Store) *target {
	value := make([]byte, l.Size)
	rand.Read(value) // what cannot be compressed
	return &target{load: l, name: name, s: s, prefix: "cairn-bench-" + strings.ToLower(rand.Text()[:12]) + ":", value: value}
}

func (t *target) key(i int) string { return t.prefix + strconv.Itoa(i) }

// measure loads the targets one by one, in rounds if there are two. It returns
// what the rounds compare to. That ctx ends is no error.
func measure(ctx context.Context, targets []*target, line *progress) (ratios [][]float64, err error) {
	for _, t := range targets {
		if err := t.fill(ctx, line); err != nil {
			if ctx.Err() != nil {
				err = errors.New("interrupted while storing the keys")
			}
			return nil, err
		}
	}
	l := targets[0].load
	rounds := 1
	if len(targets) > 1 {
		rounds = int(max(1, l.Duration/(250*time.Millisecond)))
	}
	ratios = make([][]float64, len(ratioNames))
	for i := range rounds {
		of := make([]*measured, len(targets))
		for j := range targets {
			if i%2 == 1 { // the other one first, as a drift would favour the later
				j = len(targets) - 1 - j
			}
			of[j] = targets[j].round(ctx, l.Duration/time.Duration(rounds), line)
			targets[j].merge(of[j])
		}
		if ctx.Err() != nil {
			break // one of them was cut short
		}
		if len(targets) > 1 {
			addRatios(ratios, of[0], of[1])
		}
	}
	return ratios, nil
}

// fill stores all keys. It ends between two batches: one that ctx cut short
// could still reach the server after clean.
func (t *target) fill(ctx context.Context, line *progress) error {
	items := make([]store.Item, 0, t.batch())
	for i := range t.Keys {
		items = append(items, store.Item{Key: t.key(i), Value: t.value, TTL: t.TTL})
		if len(items) < cap(items) && i < t.Keys-1 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		t.reached = i + 1
		if err := store.SetMany(context.WithoutCancel(ctx), t.s, items); err != nil {
			return err
		}
		t.stored = true
		items = items[:0]
		line.show(fmt.Sprintf("storing %d of %d keys", i+1, t.Keys))
	}
	return nil
}

// batch is how many keys go into one call: not so many that they time out.
func (t *target) batch() int { return int(max(1, min(500, 1<<20/max(1, t.Size)))) }

// clean deletes the keys that were stored, in a bounded time.
func (t *target) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	keys := make([]string, 0, 500)
	for i := range t.reached {
		keys = append(keys, t.key(i))
		if len(keys) < cap(keys) && i < t.reached-1 {
			continue
		}
		if err := store.DeleteMany(ctx, t.s, keys); err != nil {
			if !t.stored {
				return nil // the store has answered nothing at all
			}
			return fmt.Errorf("entries whose keys begin with %s are left in %s until they expire, within %v: %w", t.prefix, t.name, t.TTL, err)
		}
		keys = keys[:0]
	}
	return nil
}

// A measured is what came of the calls.
type measured struct {
	get, set     histogram
	hits, misses uint64
	failed       uint64
	first        error // of those that failed
	elapsed      time.Duration
	samples      []sample
}

// A sample is how many calls ended in a moment of the run.
type sample struct {
	elapsed time.Duration
	calls   uint64
}

func (m *measured) merge(other *measured) {
	m.get.merge(&other.get)
	m.set.merge(&other.set)
	m.hits += other.hits
	m.misses += other.misses
	m.failed += other.failed
	if m.first == nil {
		m.first = other.first
	}
	m.elapsed += other.elapsed
	m.samples = append(m.samples, other.samples...)
}

// perSecond is the throughput without what failed.
func (m *measured) perSecond() float64 { return rate(m.get.total+m.set.total, m.elapsed) }

func rate(n uint64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}
