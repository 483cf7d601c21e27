package memo

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cairncache/cairn/store"
)

// Region is a named set of options for functions; see [Options].Regions and
// [FuncOptions].Region. What it leaves zero is that of its Parent, of the
// Parent's Parent, and in the end of the Memo.
type Region struct {
	// Parent is the region that this one inherits from. Empty is the Memo
	// itself. A region that does not exist, and a chain of parents that comes
	// back to where it began, are ErrInvalid.
	Parent string

	// Policy overrides that of the Parent, each field for itself.
	Policy Policy

	// Namespace begins the keys of the functions, in place of the Parent's
	// namespace, not after it. Empty is the Parent's.
	Namespace string

	// Store is where the functions keep their values, or Later for one that
	// Bind gives. Nil is that of the Parent, also if that is not known yet.
	Store store.Store
}

// region is a Region with all that it inherits, or what a Memo has itself.
type region struct {
	name      string // empty for the Memo
	namespace string
	policy    Policy // not settled: functions and calls inherit from it
	place     *place // one for all who have their store from the same Region
	owns      bool   // the place is this Region's own
}

// resolveRegions returns the regions by name. Of several mistakes it reports
// the same one each time.
func resolveRegions(root region, declared map[string]Region) (map[string]region, error) {
	names := slices.Sorted(maps.Keys(declared))
	for _, name := range names {
		if err := checkRegion(name, declared); err != nil {
			return nil, err
		}
	}
	resolved := make(map[string]region, len(declared))
	for _, name := range names {
		if err := resolveRegion(name, root, declared, resolved); err != nil {
			return nil, err
		}
	}
	return resolved, nil
}

func checkRegion(name string, declared map[string]Region) error {
	r := declared[name]
	if name == "" {
		return invalid(`memo: new: Options.Regions[""]: the name is empty; name the region, or set the Options themselves for what all regions inherit`)
	}
	if err := r.Policy.check(); err != nil {
		return regionError(name, err)
	}
	if r.Parent == name {
		return regionError(name, invalid("Parent: the region is its own parent; leave it empty to inherit from the Memo"))
	}
	if _, ok := declared[r.Parent]; !ok && r.Parent != "" {
		return regionError(name, invalid("Parent: "+unknownRegion(r.Parent, declared).Error()))
	}
	return nil
}

// resolveRegion adds the named region to resolved, after those that it
// inherits from. All parents exist. It does not call itself, as a chain may be
// long.
func resolveRegion(name string, root region, declared map[string]Region, resolved map[string]region) error {
	var chain []string
	parent := root
	for visited := make(map[string]bool); name != ""; name = declared[name].Parent {
		if r, ok := resolved[name]; ok {
			parent = r
			break
		}
		if visited[name] {
			return cycleError(name, declared)
		}
		visited[name] = true
		chain = append(chain, name)
	}
	for _, name := range slices.Backward(chain) {
		parent = parent.child(name, declared[name])
		resolved[name] = parent
	}
	return nil
}

// child returns what a Region comes to whose parent is r.
func (r region) child(name string, d Region) region {
	at := r.place
	if d.Store != nil {
		at = newPlace(d.Store)
	}
	return region{name, cmp.Or(d.Namespace, r.namespace), d.Policy.inherit(r.policy), at, d.Store != nil}
}

// cycleError shows the cycle that name is in.
func cycleError(name string, declared map[string]Region) error {
	way := quote(name)
	for next := declared[name].Parent; ; next = declared[next].Parent {
		way += " → " + quote(next)
		if next == name {
			return regionError(name, invalid("Parent: the parents go in a circle: "+way+"; leave one of them empty to inherit from the Memo"))
		}
	}
}

func regionError(name string, err error) error {
	return fmt.Errorf("memo: new: Options.Regions[%s].%w", quote(name), err)
}

// unknownRegion says which regions there are.
func unknownRegion[R any](name string, regions map[string]R) error {
	text := "there is no region " + quote(name)
	if len(regions) == 0 {
		return invalid(text + "; declare it in Options.Regions of the Memo")
	}
	known := slices.Sorted(maps.Keys(regions))
	for i := range known {
		known[i] = quote(known[i])
	}
	return invalid(text + "; Options.Regions has " + strings.Join(known, ", "))
}
