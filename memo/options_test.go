package memo_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// What is stated wrongly is refused where it is stated, with the name of the
// field.
func TestBadOptions(t *testing.T) {
	region := func(r memo.Region) *memo.Options { return &memo.Options{Regions: map[string]memo.Region{"r": r}} }
	fn := func(p memo.Policy) error {
		_, err := memo.Wrap(newMemo(t, newLiveStore(), nil), "f", echo, policy(p))
		return err
	}
	of := func(o *memo.Options) error {
		_, err := memo.New(newLiveStore(), o)
		return err
	}
	_, badCompression := memo.Wrap(newMemo(t, newLiveStore(), nil), "f", echo, &memo.FuncOptions[int, int]{Compression: &memo.Compression{MaxSize: -1}})
	for want, err := range map[string]error{
		`Options.Regions["r"].Parent: there is no region "none"`:             of(region(memo.Region{Parent: "none"})),
		`Options.Regions["r"].Parent: the region is its own parent`:          of(region(memo.Region{Parent: "r"})),
		`Options.Regions["r"].Policy.Jitter: 1.5 is not a fraction`:          of(region(memo.Region{Policy: memo.Policy{Jitter: 1.5}})),
		"Options.Policy.RefreshAhead: 1 is not a fraction":                   of(&memo.Options{Policy: memo.Policy{RefreshAhead: 1}}),
		"Options.Policy.Stale: -1s is negative":                              of(&memo.Options{Policy: memo.Policy{Stale: -time.Second}}),
		"Options.Compression.Above: -1 is negative":                          of(&memo.Options{Compression: &memo.Compression{Above: -1}}),
		"namespace, name and version make":                                   of(&memo.Options{Namespace: strings.Repeat("n", 2000)}),
		"FuncOptions.Policy.Jitter: -0.1 is not a fraction":                  fn(memo.Policy{Jitter: -0.1}),
		"FuncOptions.Policy.RefreshAhead: NaN is not a fraction":             fn(memo.Policy{RefreshAhead: math.NaN()}),
		"FuncOptions.Policy.EarlyRefresh: +Inf is not a finite number":       fn(memo.Policy{EarlyRefresh: math.Inf(1)}),
		"FuncOptions.Policy.Absent: -1ns is negative":                        fn(memo.Policy{Absent: -1}),
		"Policy.Stale: 1h0m0s without a TTL":                                 fn(memo.Policy{Stale: time.Hour}),
		"Policy.RefreshAhead: 0.5 without a TTL":                             fn(memo.Policy{RefreshAhead: 0.5}),
		"FuncOptions.Compression.MaxSize: -1 is negative; leave it zero for": badCompression,
	} {
		if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ErrInvalid with %q", err, want)
		}
	}
}
