package memo

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

func TestRegionErrors(t *testing.T) {
	for _, test := range []struct {
		regions map[string]Region
		want    string
	}{
		{
			map[string]Region{"user": {Policy: Policy{TTL: -time.Second}}},
			`memo: new: Options.Regions["user"].Policy.TTL: -1s is negative; leave it zero to inherit, or write memo.Off for no limit`,
		},
		{
			map[string]Region{"": {}, "user": {}},
			`memo: new: Options.Regions[""]: the name is empty; name the region, or set the Options themselves for what all regions inherit`,
		},
		{
			map[string]Region{"user": {Parent: "shrot"}, "short": {}},
			`memo: new: Options.Regions["user"].Parent: there is no region "shrot"; Options.Regions has "short", "user"`,
		},
		{
			map[string]Region{"user": {Parent: "user"}},
			`memo: new: Options.Regions["user"].Parent: the region is its own parent; leave it empty to inherit from the Memo`,
		},
		{
			map[string]Region{"a": {Parent: "b"}, "b": {Parent: "a"}},
			`memo: new: Options.Regions["a"].Parent: the parents go in a circle: "a" → "b" → "a"; leave one of them empty to inherit from the Memo`,
		},
		{ // only what is in the circle is shown
			map[string]Region{"a": {Parent: "d"}, "b": {Parent: "c"}, "c": {Parent: "d"}, "d": {Parent: "b"}, "e": {}},
			`memo: new: Options.Regions["d"].Parent: the parents go in a circle: "d" → "b" → "c" → "d"; leave one of them empty to inherit from the Memo`,
		},
		{ // two circles
			map[string]Region{"w": {Parent: "x"}, "x": {Parent: "w"}, "y": {Parent: "z"}, "z": {Parent: "y"}},
			`memo: new: Options.Regions["w"].Parent: the parents go in a circle: "w" → "x" → "w"; leave one of them empty to inherit from the Memo`,
		},
		{ // the first by name
			map[string]Region{"z": {Parent: "z"}, "y": {Parent: "none"}, "x": {Policy: Policy{Jitter: 1}}, "w": {}},
			`memo: new: Options.Regions["x"].Policy.Jitter: 1 is not a fraction between 0 and 1; write 0.1 for 10 %, leave it zero to inherit, or write memo.Off for none`,
		},
	} {
		for range 20 { // maps have no order
			regions, err := resolveRegions(region{}, test.regions)
			if !errors.Is(err, store.ErrInvalid) || err.Error() != test.want {
				t.Fatalf("got  %v\nwant %v", err, test.want)
			}
			if regions != nil {
				t.Error("there are regions although there is an error")
			}
		}
	}
}

func TestUnknownRegion(t *testing.T) {
	for _, test := range []struct {
		regions map[string]Region
		want    string
	}{
		{nil, `there is no region "usr"; declare it in Options.Regions of the Memo`},
		{map[string]Region{"user": {}, "page": {}}, `there is no region "usr"; Options.Regions has "page", "user"`},
	} {
		resolved, err := resolveRegions(region{}, test.regions)
		if err != nil {
			t.Fatal(err)
		}
		if err := unknownRegion("usr", resolved); !errors.Is(err, store.ErrInvalid) || err.Error() != test.want {
			t.Errorf("got  %v\nwant %v", err, test.want)
		}
	}
}

// A storeNamed is told from others by its name. It is never asked.
type storeNamed struct {
	store.Store
	name string
}

func TestRegionNamespace(t *testing.T) {
	regions, err := resolveRegions(region{namespace: "app"}, map[string]Region{
		"plain":     {},
		"user":      {Namespace: "user"},
		"user/odd":  {Parent: "user", Namespace: "odd"},
		"user/same": {Parent: "user"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"plain": "app", "user": "user", "user/odd": "odd", "user/same": "user"} {
		if got := regions[name]; got.namespace != want || got.name != name {
			t.Errorf("%s: got %+v, want the namespace %s", name, got, want)
		}
	}
}

// Who has no store of its own has that of the parent, also when this is not
// known before Bind.
func TestRegionPlace(t *testing.T) {
	root := region{place: newPlace(storeNamed{name: "root"})}
	regions, err := resolveRegions(root, map[string]Region{
		"plain":      {},
		"own":        {Store: storeNamed{name: "own"}},
		"own/child":  {Parent: "own"},
		"own/other":  {Parent: "own", Store: storeNamed{name: "own"}},
		"late":       {Parent: "own", Store: Later},
		"late/child": {Parent: "late"},
		"later":      {Store: Later},
	})
	if err != nil {
		t.Fatal(err)
	}
	groups := [][]string{{"plain"}, {"own", "own/child"}, {"own/other"}, {"late", "late/child"}, {"later"}}
	seen := map[*place]string{}
	for _, group := range groups {
		at := regions[group[0]].place
		if other, ok := seen[at]; ok {
			t.Errorf("%s has the place of %s", group[0], other)
		}
		seen[at] = group[0]
		for _, name := range group {
			if regions[name].place != at {
				t.Errorf("%s has another place than %s", name, group[0])
			}
		}
	}
	if regions["plain"].place != root.place {
		t.Error("a region without a store or parent has another place than the Memo")
	}
}

func TestLongChainOfRegions(t *testing.T) {
	const length = 20_000
	declared := map[string]Region{"0": {Policy: Policy{TTL: time.Minute}}}
	for i := 1; i < length; i++ {
		declared[fmt.Sprint(i)] = Region{Parent: fmt.Sprint(i - 1)}
	}
	regions, err := resolveRegions(region{namespace: "app"}, declared)
	if err != nil {
		t.Fatal(err)
	}
	if last := regions[fmt.Sprint(length-1)]; last.policy.TTL != time.Minute || last.namespace != "app" {
		t.Errorf("got %+v", last)
	}
}

// Regions at random come to what a simple search through the parents finds.
func TestRandomRegions(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		root := region{namespace: "root", policy: randomPolicy(r), place: newPlace(Later)}
		declared := map[string]Region{}
		stores := map[string]bool{} // the regions with a store of their own
		for i, shuffled := range r.Perm(1 + r.IntN(30)) {
			// A parent is one of those before it, so there are no circles, and
			// names are in no order.
			name := fmt.Sprint("r", shuffled)
			d := Region{Policy: randomPolicy(r)}
			if names := keys(declared); i > 0 && r.IntN(4) > 0 {
				d.Parent = names[r.IntN(len(names))]
			}
			if r.IntN(3) == 0 {
				d.Namespace = fmt.Sprint("n", r.IntN(5))
			}
			if stores[name] = r.IntN(3) == 0; stores[name] {
				d.Store = Later
			}
			declared[name] = d
		}
		resolved, err := resolveRegions(root, declared)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if len(resolved) != len(declared) {
			t.Errorf("seed %d: %d regions, want %d", seed, len(resolved), len(declared))
		}
		for name, got := range resolved {
			want := region{name, root.namespace, root.policy, root.place, declared[name].Store != nil}
			for i, policy := range reflect.ValueOf(&want.policy).Elem().Fields() {
				for at := name; at != ""; at = declared[at].Parent {
					if v := reflect.ValueOf(declared[at].Policy).FieldByIndex(i.Index); !v.IsZero() {
						policy.Set(v)
						break
					}
				}
			}
			for at := name; at != ""; at = declared[at].Parent {
				if n := declared[at].Namespace; n != "" {
					want.namespace = n
					break
				}
			}
			for at := name; at != ""; at = declared[at].Parent {
				if stores[at] {
					want.place = resolved[at].place
					break
				}
			}
			if got != want {
				t.Fatalf("seed %d: %s of %+v is %+v, want %+v", seed, name, declared, got, want)
			}
			if stores[name] && got.place == root.place {
				t.Errorf("seed %d: %s has the place of the Memo", seed, name)
			}
		}
	}
}

// keys returns the names of the regions in the order of their text, so that a
// seed always makes the same.
func keys(regions map[string]Region) []string {
	return slices.Sorted(maps.Keys(regions))
}

// randomPolicy states about half of the fields, some of them as Off.
func randomPolicy(r *rand.Rand) Policy {
	var p Policy
	for _, field := range policyFields {
		switch r.IntN(4) {
		case 0:
			setField(&p, field, Off)
		case 1:
			setField(&p, field, 1+r.Int64N(99))
		}
	}
	return p
}
