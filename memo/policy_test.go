package memo

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

// policyFields are the fields of a Policy. A test of all of them fails for a
// new one that check, inherit or settle has forgotten.
var policyFields = reflect.VisibleFields(reflect.TypeFor[Policy]())

// setField sets a field to a duration of n nanoseconds, or to n hundredths, or
// to Off.
func setField(p *Policy, field reflect.StructField, n int64) {
	v := reflect.ValueOf(p).Elem().FieldByIndex(field.Index)
	switch {
	case v.CanInt():
		v.SetInt(n)
	case n == Off:
		v.SetFloat(Off)
	default:
		v.SetFloat(float64(n) / 100)
	}
}

// policyWith is a Policy that states one field.
func policyWith(field reflect.StructField, n int64) Policy {
	var p Policy
	setField(&p, field, n)
	return p
}

func TestPolicyInRange(t *testing.T) {
	accepted := []Policy{
		{},
		{TTL: store.Forever, Stale: store.Forever, Absent: store.Forever, Retry: store.Forever},
		{Jitter: math.Nextafter(1, 0), RefreshAhead: math.SmallestNonzeroFloat64, EarlyRefresh: math.MaxFloat64},
		{Jitter: math.Copysign(0, -1)},
		{EarlyRefresh: 1},
	}
	for _, field := range policyFields {
		accepted = append(accepted, policyWith(field, 1), policyWith(field, 99), policyWith(field, Off))
	}
	for _, p := range accepted {
		if err := p.check(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

func TestPolicyOutOfRange(t *testing.T) {
	refused := func(field string, p Policy) {
		t.Helper()
		err := p.check()
		if !errors.Is(err, store.ErrInvalid) || !strings.HasPrefix(err.Error(), "Policy."+field+": ") || !strings.Contains(err.Error(), "memo.Off") {
			t.Errorf("%+v: got %v, want ErrInvalid that names %s and memo.Off", p, err, field)
		}
	}
	for _, field := range policyFields {
		refused(field.Name, policyWith(field, -1))
		refused(field.Name, policyWith(field, Off+1_000_000))
		if field.Type.Kind() != reflect.Float64 {
			continue
		}
		for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -math.SmallestNonzeroFloat64} {
			var p Policy
			reflect.ValueOf(&p).Elem().FieldByIndex(field.Index).SetFloat(x)
			refused(field.Name, p)
		}
	}
	refused("Jitter", Policy{Jitter: 1})
	refused("RefreshAhead", Policy{RefreshAhead: 1})
}

func TestPolicyErrorText(t *testing.T) {
	for _, test := range []struct {
		p    Policy
		want string
	}{
		{Policy{TTL: -time.Second}, "Policy.TTL: -1s is negative; leave it zero to inherit, or write memo.Off for no limit"},
		{Policy{SoftTimeout: -1}, "Policy.SoftTimeout: -1ns is negative; leave it zero to inherit, or write memo.Off to wait for the load"},
		{Policy{Jitter: 10}, "Policy.Jitter: 10 is not a fraction between 0 and 1; write 0.1 for 10 %, leave it zero to inherit, or write memo.Off for none"},
		{Policy{EarlyRefresh: math.NaN()}, "Policy.EarlyRefresh: NaN is not a finite number more than 0; write 1 for the optimum of XFetch, leave it zero to inherit, or write memo.Off for none"},
	} {
		if err := test.p.check(); err == nil || err.Error() != test.want {
			t.Errorf("got  %v\nwant %v", err, test.want)
		}
	}
}

// Each field is that of the nearest level which does not leave it zero, and
// Off is not zero.
func TestPolicyPrecedence(t *testing.T) {
	const levels = 6 // call, function, region, parent, grandparent, Memo
	for _, field := range policyFields {
		for choice := range 729 { // 3 to the number of levels
			var stated [levels]Policy
			var want Policy
			for level, rest := levels-1, choice; level >= 0; level, rest = level-1, rest/3 {
				switch rest % 3 {
				case 1:
					stated[level] = policyWith(field, int64(level+1))
					want = stated[level]
				case 2:
					stated[level] = policyWith(field, Off)
					want = stated[level]
				}
			}
			regions, err := resolveRegions(region{policy: stated[5]}, map[string]Region{
				"region":      {Parent: "parent", Policy: stated[2]},
				"parent":      {Parent: "grandparent", Policy: stated[3]},
				"grandparent": {Policy: stated[4]},
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := stated[0].inherit(stated[1].inherit(regions["region"].policy)); got != want {
				t.Fatalf("%s: %+v come to %+v, want %+v", field.Name, stated, got, want)
			}
		}
	}
}

// Fields are inherited each for itself.
func TestPolicyInheritsEachField(t *testing.T) {
	for _, field := range policyFields {
		var parent Policy
		for i, other := range policyFields {
			setField(&parent, other, int64(i+2))
		}
		want := parent
		setField(&want, field, 1)
		if got := policyWith(field, 1).inherit(parent); got != want {
			t.Errorf("%s: got %+v, want %+v", field.Name, got, want)
		}
	}
}

func TestSettle(t *testing.T) {
	full := Policy{
		TTL: 1, Stale: 2, Absent: 3, Jitter: .4, RefreshAhead: .5, EarlyRefresh: 6,
		SoftTimeout: 7, LoadTimeout: 8, WaitTimeout: 9, Retry: 10,
	}
	off := Policy{
		TTL: Off, Stale: Off, Absent: Off, Jitter: Off, RefreshAhead: Off, EarlyRefresh: Off,
		SoftTimeout: Off, LoadTimeout: Off, WaitTimeout: Off, Retry: Off,
	}
	for _, test := range []struct{ p, want Policy }{
		{full, full},
		{Policy{}, Policy{Retry: time.Second}},
		{off, Policy{TTL: store.Forever, SoftTimeout: store.Forever}},
		{Policy{TTL: store.Forever, Stale: 1}, Policy{TTL: store.Forever, Stale: 1, Retry: time.Second}},
		{
			Policy{TTL: Off, Stale: 1, RefreshAhead: .5, EarlyRefresh: 1},
			Policy{TTL: store.Forever, Stale: 1, RefreshAhead: .5, EarlyRefresh: 1, Retry: time.Second},
		},
		{Policy{Stale: Off, RefreshAhead: Off, EarlyRefresh: Off}, Policy{Retry: time.Second}},
		{Policy{Absent: 1, Jitter: .5}, Policy{Absent: 1, Jitter: .5, Retry: time.Second}},
	} {
		if got, err := test.p.settle(); got != test.want || err != nil {
			t.Errorf("%+v: got %+v, %v, want %+v", test.p, got, err, test.want)
		}
	}
	for _, field := range policyFields {
		p, err := policyWith(field, Off).settle()
		if v := reflect.ValueOf(p).FieldByIndex(field.Index); err != nil || v.CanInt() && v.Int() < 0 || v.CanFloat() && v.Float() != 0 {
			t.Errorf("%s: Off is settled as %v, %v", field.Name, v, err)
		}
	}
}

func TestSettleNeedsTTL(t *testing.T) {
	const rest = " without a TTL, which only the store knows; state one in the function, its Region or the Memo, or memo.Off for no limit"
	for _, test := range []struct {
		p    Policy
		want string
	}{
		{Policy{Stale: time.Hour}, "Policy.Stale: 1h0m0s" + rest},
		{Policy{RefreshAhead: 0.8}, "Policy.RefreshAhead: 0.8" + rest},
		{Policy{EarlyRefresh: 1}, "Policy.EarlyRefresh: 1" + rest},
	} {
		if _, err := test.p.settle(); !errors.Is(err, store.ErrInvalid) || err.Error() != test.want {
			t.Errorf("got  %v\nwant %v", err, test.want)
		}
	}
}

func TestLife(t *testing.T) {
	for _, test := range []struct{ ttl, stale, want time.Duration }{
		{time.Minute, 0, time.Minute},
		{time.Minute, time.Hour, 61 * time.Minute},
		{time.Minute, store.Forever, store.Forever},
		{store.Forever, 0, store.Forever},
		{store.Forever, time.Hour, store.Forever},
		{store.Forever, store.Forever, store.Forever},
		{store.Forever - 1, 1, store.Forever},
		{store.Forever - 1, 2, store.Forever},
		{store.DefaultTTL, time.Hour, store.DefaultTTL},
		{store.DefaultTTL, store.Forever, store.DefaultTTL},
	} {
		if got := (Policy{}).life(test.ttl, test.stale); got != test.want {
			t.Errorf("%v and %v stale: got %v, want %v", test.ttl, test.stale, got, test.want)
		}
	}
}

func TestJittered(t *testing.T) {
	const draws = 10_000
	for _, jitter := range []float64{0, math.SmallestNonzeroFloat64, 0.1, 0.5, math.Nextafter(1, 0)} {
		p := Policy{Jitter: jitter}
		for _, ttl := range []time.Duration{store.DefaultTTL, store.Forever} {
			if got := p.jittered(ttl); got != ttl {
				t.Errorf("Jitter %v: %v becomes %v", jitter, ttl, got)
			}
		}
		for _, ttl := range []time.Duration{1, 2, time.Second, 100 * 365 * 24 * time.Hour, store.Forever - 1} {
			shortest := max(1, float64(ttl)*(1-jitter)*(1-1e-12)-1)
			least, most := ttl, time.Duration(0)
			for range draws {
				got := p.jittered(ttl)
				if got > ttl || got < 1 || float64(got) < shortest {
					t.Fatalf("Jitter %v: %v becomes %v", jitter, ttl, got)
				}
				least, most = min(least, got), max(most, got)
			}
			// The chance that none of the draws is within a tenth of an end is nil.
			if part := jitter * float64(ttl); part > 1000 && (float64(ttl-least) < 0.9*part || float64(ttl-most) > 0.1*part) {
				t.Errorf("Jitter %v: %v becomes only %v to %v", jitter, ttl, least, most)
			}
			if jitter == 0 && least != ttl {
				t.Errorf("without Jitter %v becomes %v", ttl, least)
			}
		}
	}
}

func TestPause(t *testing.T) {
	for _, test := range []struct {
		retry    time.Duration
		failures int
		want     time.Duration
	}{
		{time.Second, 0, 0},
		{time.Second, 1, time.Second},
		{time.Second, 2, 2 * time.Second},
		{time.Second, 3, 4 * time.Second},
		{time.Second, 6, 32 * time.Second},
		{time.Second, 7, 32 * time.Second},
		{time.Second, math.MaxInt, 32 * time.Second},
		{0, 9, 0},
		{store.Forever, 1, store.Forever},
		{store.Forever, 9, store.Forever},
		{store.Forever / 2, 2, store.Forever - 1},
		{store.Forever / 2, 3, store.Forever},
	} {
		if got := (Policy{Retry: test.retry}).pause(test.failures); got != test.want {
			t.Errorf("Retry %v after %d failures: got %v, want %v", test.retry, test.failures, got, test.want)
		}
	}
}
