package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramErrorBound(t *testing.T) {
	t.Parallel()
	last := -1
	for d := time.Duration(0); d < 1<<histLargest; d += 1 + d/300 {
		b := bucket(d)
		if b < last || b > last+1 || b >= histBuckets {
			t.Fatalf("%v is in bucket %d, after %d", d, b, last)
		}
		last = b
		if off := math.Abs(float64(middle(b) - d)); off > 0.01*float64(d) {
			t.Fatalf("%v counts as %v", d, middle(b))
		}
	}
	if last != histBuckets-1 {
		t.Errorf("the last bucket in use is %d of %d", last, histBuckets)
	}
	for _, d := range []time.Duration{-1, math.MinInt64} {
		if bucket(d) != 0 {
			t.Errorf("%v is in bucket %d", d, bucket(d))
		}
	}
	if bucket(math.MaxInt64) != histBuckets-1 {
		t.Errorf("the longest duration is in bucket %d", bucket(math.MaxInt64))
	}
}

// The p99 of 60 values is the last, as 59 are only 98.3 % of them.
func TestHistogramNearestRank(t *testing.T) {
	t.Parallel()
	var h histogram
	for i := range 60 {
		h.add(time.Duration(i + 1))
	}
	if got := h.quantile(0.99); got != 60 {
		t.Errorf("p99 is %d", got)
	}
	h.reset()
	if h.total != 0 || h.max != 0 || h.quantile(0.99) != 0 {
		t.Errorf("after reset: %d, %v", h.total, h.max)
	}
}

func TestHistogramQuantiles(t *testing.T) {
	t.Parallel()
	var whole, half histogram
	if whole.quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
	r := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	for i := range 100_000 {
		d := time.Duration(math.Exp(r.Float64()*20) * 100)
		all = append(all, d)
		if i%2 == 0 {
			whole.add(d)
		} else {
			half.add(d)
		}
	}
	whole.merge(&half)
	slices.Sort(all)
	if whole.total != uint64(len(all)) || whole.max != all[len(all)-1] || whole.quantile(1) > whole.max {
		t.Errorf("total %d, max %v, p100 %v", whole.total, whole.max, whole.quantile(1))
	}
	for _, q := range []float64{0, 0.1, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[max(0, int(math.Ceil(q*float64(len(all))))-1)]
		if got := whole.quantile(q); math.Abs(float64(got-want)) > 0.01*float64(want) {
			t.Errorf("the quantile %v is %v, want %v", q, got, want)
		}
	}
	var sum uint64
	for i, n := range whole.octaves() {
		sum += n
		first, _ := slices.BinarySearch(all, 1<<i>>1)
		end, _ := slices.BinarySearch(all, 1<<i)
		if i < histLargest && int(n) != end-first {
			t.Errorf("%d durations are from 2^%d to 2^%d ns, want %d", n, i-1, i, end-first)
		}
	}
	if sum != whole.total {
		t.Errorf("the octaves hold %d of %d", sum, whole.total)
	}
}
