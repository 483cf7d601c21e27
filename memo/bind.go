package memo

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/store"
)

// Later stands for a store that is not known yet, in New or in a Region:
// functions can then be package-level variables, wrapped before
// main opens the store and gives it to Bind. Until then all that needs the
// store is ErrInvalid.
var Later store.Store = later{}

// Bind gives s to those for whom the store was Later: the Memo itself, or the
// regions that are named. It is called once for each. A region that is unknown
// or has its store already is ErrInvalid, and nothing is bound then.
func (m *Memo) Bind(s store.Store, regions ...string) error {
	if s == nil || s == Later {
		return invalid("memo: bind: the store is nil or Later; make one with an adapter, such as memory.New(nil)")
	}
	places := []*place{m.root.place}
	names := []string{"the Memo"}
	if len(regions) > 0 {
		places, names = nil, nil
	}
	for _, name := range regions {
		r, ok := m.regions[name]
		if !ok {
			return fmt.Errorf("memo: bind: %w", unknownRegion(name, m.regions))
		}
		if !r.owns {
			return invalid("memo: bind: the region " + quote(name) + " has no store of its own, but what it inherits; declare its Store as memo.Later")
		}
		places = append(places, r.place)
		names = append(names, "the region "+quote(name))
	}
	if err := m.bind(places, names, s); err != nil {
		return err
	}
	for _, p := range places {
		m.watch(p.site.Load())
	}
	return nil
}

func (m *Memo) bind(places []*place, names []string, s store.Store) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, p := range places {
		if p.site.Load() != nil || slices.Contains(places[:i], p) {
			return invalid("memo: bind: " + names[i] + " has a store already; Bind is called once, for a store that was declared as memo.Later")
		}
	}
	for _, p := range places {
		p.bind(s)
	}
	return nil
}

// place is where functions keep their values: a store, or that there will be
// one.
type place struct {
	site atomic.Pointer[site] // nil until it is known
}

// site is a store and what is known about it.
type site struct {
	store.Store
	live   bool              // it keeps values in the process
	atTime store.LiveAtStore // the same store; nil if it has no such method
	leases atomic.Bool       // it has them
	watch  atomic.Pointer[watcher]
}

// get reads an entry at the time now, by the shortest way that there is.
func (at *site) get(ctx context.Context, key string, now time.Time) (*store.Live, error) {
	if at.atTime != nil {
		live, err := at.atTime.GetLiveAt(ctx, key, now)
		if err == nil || !errors.Is(err, errors.ErrUnsupported) {
			return live, err
		}
	}
	return store.GetLive(ctx, at.Store, key)
}

// source is what the values in it are answered from.
func (at *site) source() Source {
	if at.live {
		return SourceMemory
	}
	return SourceStore
}

func newPlace(s store.Store) *place {
	p := new(place)
	if s != Later {
		p.bind(s)
	}
	return p
}

func (p *place) bind(s store.Store) {
	at := &site{Store: s, live: store.Supports[store.LiveStore](s)}
	at.atTime, _ = s.(store.LiveAtStore)
	at.leases.Store(store.Supports[store.LeaseStore](s))
	p.site.Store(at)
}

// addPlace makes a store known to InvalidateTags.
func (m *Memo) addPlace(p *place) {
	if !slices.Contains(m.places, p) {
		m.places = append(m.places, p)
	}
}

// sites returns the stores of m, each once.
func (m *Memo) sites() ([]*site, error) {
	m.mu.Lock()
	places := slices.Clone(m.places)
	m.mu.Unlock()
	var list []*site
	for _, p := range places {
		at := p.site.Load()
		if at == nil {
			return nil, errUnbound
		}
		if !slices.ContainsFunc(list, func(other *site) bool { return same(other.Store, at.Store) }) {
			list = append(list, at)
		}
	}
	return list, nil
}

// same reports whether two stores are known to be the same one.
func same(a, b store.Store) bool {
	return reflect.TypeOf(a) == reflect.TypeOf(b) && reflect.TypeOf(a).Comparable() && reflect.ValueOf(a).Comparable() && a == b
}

const errUnbound = invalid("there is no store yet; it was declared as memo.Later, and Memo.Bind gives it")

type later struct{}

func (later) Get(context.Context, string) ([]byte, error)              { return nil, errUnbound }
func (later) Set(context.Context, string, []byte, time.Duration) error { return errUnbound }
func (later) Delete(context.Context, string) error                     { return errUnbound }
func (later) TTL(context.Context, string) (time.Duration, error)       { return 0, errUnbound }
