package layered

import (
	"cmp"
	"context"
	"time"

	"github.com/cairncache/cairn/store"
)

// defaultDelta is that of layers whose URL states no coherence.
const defaultDelta = time.Second

func init() { store.Register("layered", open) }

// open opens layers, nearest first, of which each but the last is the L1 of
// the rest:
//
//	memory:?max_entries=10000 | redis://localhost:6379/0
//	layered:?bounded=5s&timeout=200ms&degraded=fail&max_ttl=1m | memory: | memcache://h
//
// Without watch or bounded it is watch=1s, if the last layer tells of changes.
// The ttl of a layer before another is a max_ttl of its own. The Store closes
// all layers, the nearest first.
func open(ctx context.Context, u *store.URL) (store.Store, error) {
	o, err := options(u)
	if err != nil {
		return nil, err
	}
	layers, err := u.OpenLayers(ctx)
	if err != nil {
		return nil, err
	}
	last := layers[len(layers)-1]
	if o.Coherence.kind == unstated {
		o.Coherence = Watch(defaultDelta)
		if !store.Supports[store.WatchStore](last) {
			closeAll(layers)
			return nil, u.Errorf("the last layer tells of no changes; say how old an answer of the others may be, as in layered:?bounded=5s | …")
		}
	}
	far := last
	for i := len(layers) - 2; i >= 0; i-- {
		level := *o
		if ttl := u.Layers()[i].Duration("ttl"); ttl > 0 {
			level.MaxTTL = min(ttl, positive(o.MaxTTL, ttl))
		}
		s, err := New(layers[i], far, &level)
		if err != nil {
			closeAll(append(layers[:i+1], far))
			return nil, u.Errorf("%w", reason(err))
		}
		s.owns = true
		far = s
	}
	return far, nil
}

// closeAll closes stores that nobody has used.
func closeAll(stores []store.Store) {
	for _, s := range stores {
		store.Close(s)
	}
}

func options(u *store.URL) (*Options, error) {
	u.NoAddress()
	o := &Options{Timeout: u.Duration("timeout"), MaxTTL: u.Duration("max_ttl")}
	delta, max := u.Duration("watch"), u.Duration("bounded")
	degraded := cmp.Or(u.Word("degraded"), Degraded{}.String())
	if err := u.Err(); err != nil {
		return nil, err
	}
	for _, name := range []string{"timeout", "max_ttl", "watch", "bounded"} {
		if u.Has(name) && u.Duration(name) == 0 {
			return nil, u.Errorf("%s: 0 is no length of time here; give one, as in %[1]s=1s, or leave it out", name)
		}
	}
	switch {
	case delta > 0 && max > 0:
		return nil, u.Errorf("watch and bounded are both given; leave out bounded if the last layer tells of changes, and else watch")
	case delta > 0:
		o.Coherence = Watch(delta)
	case max > 0:
		o.Coherence = Bounded(max)
	}
	var err error
	if o.Degraded, err = ParseDegraded(degraded); err != nil {
		return nil, u.Errorf("degraded: %w", err)
	}
	return o, nil
}
