package redis

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cairncache/cairn/internal/testservers"
)

// leaseKeys are keys of each form, and what their leases are called.
var leaseKeys = map[string]string{
	"abc":         "cairn:lease:{abc}",
	"a{b}c":       "cairn:lease::a{b}c",
	"{abc}":       "cairn:lease::{abc}",
	"{abc}:":      "cairn:lease::{abc}:",
	"a{{b}c":      "cairn:lease::a{{b}c",
	"a}b{c}":      "cairn:lease::a}b{c}",
	"\x00\xff \n": "cairn:lease:{\x00\xff \n}",
	"a{}{b}":      "", // with a tag that is made up
	"a{b":         "",
	"a}b":         "",
	"{":           "",
	"}":           "",
	"{}":          "",
	":{t":         "",
}

func TestLeaseKey(t *testing.T) {
	for full, want := range leaseKeys {
		got := leaseKey(full)
		if want == "" {
			tag, _ := hashTag(got)
			if want = leaseMark + "{" + tag + "}:" + full; len(tag) == 0 || len(tag) > 4 {
				t.Errorf("leaseKey(%q) = %q, want a short tag", full, got)
			}
		}
		if got != want {
			t.Errorf("leaseKey(%q) = %q, want %q", full, got, want)
		}
	}
	for _, key := range []string{"", "cairn", "cairn:lease", "cairn:lease:", "cairn:lease:x", "app:cairn:lease:{x}"} {
		if full, ok := leased(key); ok {
			t.Errorf("leased(%q) = %q, want none", key, full)
		}
	}
}

// The servers of a cluster must agree that a key and its lease are in one slot.
func TestLeaseKeyIsInTheSlotOfItsKey(t *testing.T) {
	client := newCluster(t)
	keys := []string{strings.Repeat("long", 1000), leaseMark, leaseKey("x"), leaseKey("{")}
	for full := range leaseKeys {
		keys = append(keys, full)
	}
	const alphabet = "{}{}:a"
	for range 200 {
		key := make([]byte, 1+rand.IntN(6))
		for i := range key {
			key[i] = alphabet[rand.IntN(len(alphabet))]
		}
		keys = append(keys, string(key))
	}
	for _, full := range keys {
		want, err := client.ClusterKeySlot(t.Context(), full).Result()
		if err != nil {
			t.Fatal(err)
		}
		got, err := client.ClusterKeySlot(t.Context(), leaseKey(full)).Result()
		if got != want || err != nil {
			t.Errorf("%q is in slot %d, and its lease %q in %d, %v", full, want, leaseKey(full), got, err)
		}
	}
}

// No two keys may share a lease, so each must be found in its lease key again.
func FuzzLeaseKey(f *testing.F) {
	for full := range leaseKeys {
		f.Add(full)
		f.Add(leaseKey(full))
	}
	hashed := func(key string) string {
		if tag, _ := hashTag(key); tag != "" {
			return tag
		}
		return key
	}
	f.Fuzz(func(t *testing.T, full string) {
		if full == "" {
			return
		}
		lease := leaseKey(full)
		if got, ok := leased(lease); got != full || !ok {
			t.Errorf("leased(leaseKey(%q)) = %q, %v", full, got, ok)
		}
		if a, b := slot(hashed(full)), slot(hashed(lease)); a != b {
			t.Errorf("%q is in slot %d, and its lease %q in %d", full, a, lease, b)
		}
	})
}

// A store without a prefix sees all keys of the database, but leases are no
// entries, and Clear of a store ends its own leases alone.
func TestLeasesAreNoEntries(t *testing.T) {
	client := newClient(t, testservers.StartRedis(t).Addr)
	whole := newStore(t, client, &Options{Timeout: patience})
	ctx := t.Context()
	for prefix, leases := range map[string]int{"": 0, "app:": 4, "app:{tag}:": 1, "app": 4, "b{": 1, "c": 0, "cairn:": 0} {
		t.Run(prefix, func(t *testing.T) {
			if err := client.FlushDB(ctx).Err(); err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"app:plain", "app:{tag}:x", "app:}x", "app:y", "b{r", "dog"} {
				if _, err := whole.GetOrLease(ctx, key, "token", patience, nil); err != nil {
					t.Fatal(err)
				}
			}
			s := newStore(t, client, &Options{Prefix: prefix, Timeout: patience})
			for key, err := range s.Keys(ctx, "") {
				t.Errorf("Keys: %q, %v, though there are only leases", key, err)
			}
			if prefix == "" {
				return
			}
			if err := s.Clear(ctx); err != nil {
				t.Fatal(err)
			}
			if left := client.DBSize(ctx).Val(); left != int64(6-leases) {
				t.Errorf("%d leases are left of 6, want %d", left, 6-leases)
			}
		})
	}
}

func TestClearEndsLeasesOnACluster(t *testing.T) {
	client := newCluster(t)
	s := newStore(t, client, &Options{Prefix: unique(t), Timeout: patience})
	other := newStore(t, client, &Options{Prefix: unique(t), Timeout: patience})
	ctx := t.Context()
	var keys []string
	for i := range 20 {
		keys = append(keys, fmt.Sprint(i), fmt.Sprintf("{%d}", i), fmt.Sprintf("}%d", i))
	}
	for _, key := range keys {
		grant(t, s, key, "token", nil)
		grant(t, other, key, "token", nil)
	}
	if err := s.Clear(ctx); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		wantFill(t, s, key, "token", false)
		wantFill(t, other, key, "token", true)
	}
}
