package memo

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/internal/flight"
	"github.com/cairncache/cairn/store"
)

// generationLife is for how long a process takes the generation of a function
// to be what it has read, and so how long Clear waits for the other processes.
const generationLife = 250 * time.Millisecond

// generation is the version that all entries of a function carry.
type generation struct {
	version
	moment   version   // see Memo.momentKey; 0 if it is not known
	epoch    uint64    // grows with each change that this process has seen
	read     time.Time // before the store was asked
	readUnix int64     // the same in nanoseconds
}

// generations reads and changes the generation of a function.
type generations struct {
	key    string
	moment string // the key of that
	reads  *flight.Group[version]
	last   atomic.Pointer[generation] // the newest that is known
	ahead  atomic.Bool                // a read in the background is under way
}

// known returns the generation if it was read a moment ago, else nil, and its
// age. It takes one look at one clock, for all of a hit.
func (gs *generations) known(ctx context.Context, s store.Store) (g *generation, age time.Duration) {
	g = gs.last.Load()
	if g == nil {
		return nil, 0
	}
	age = time.Since(g.read)
	if age >= generationLife {
		return nil, 0
	}
	if age >= generationLife/2 && gs.ahead.CompareAndSwap(false, true) {
		gs.readAhead(ctx, s, g)
	}
	return g, age
}

// at returns the generation as it is now.
func (gs *generations) at(ctx context.Context, s store.Store) (*generation, error) {
	if g, _ := gs.known(ctx, s); g != nil {
		return g, nil
	}
	return gs.read(ctx, s)
}

// read returns the generation from the store. Those who need it at a time
// share a read.
func (gs *generations) read(ctx context.Context, s store.Store) (*generation, error) {
	start := time.Now()
	for {
		g := gs.last.Load()
		if g != nil && start.Sub(g.read) < generationLife {
			return g, nil
		}
		// The read that is shared may have begun long before this call, and
		// is then not good enough.
		if _, _, err := gs.reads.Do(ctx, gs.request(s, g)); err != nil {
			return nil, err
		}
	}
}

// readAhead reads the generation before it is needed again.
func (gs *generations) readAhead(ctx context.Context, s store.Store, g *generation) {
	r := gs.request(s, g)
	load := r.Load
	r.Load = func(ctx context.Context, again bool) (version, error) {
		defer gs.ahead.Store(false)
		return load(ctx, again)
	}
	if !gs.reads.Start(ctx, r) {
		gs.ahead.Store(false)
	}
}

func (gs *generations) request(s store.Store, g *generation) flight.Request[version] {
	return flight.Request[version]{
		Key: gs.key,
		Load: func(ctx context.Context, _ bool) (version, error) {
			now := time.Now()
			v, moment, err := gs.fetch(ctx, s)
			if err != nil {
				return 0, err
			}
			gs.install(g, &generation{version: v, moment: moment, read: now, readUnix: now.UnixNano()})
			return v, nil
		},
		Fill: func(context.Context, version) {},
	}
}

// fetch reads the generation. Where the store has none, or has lost it, a new
// one begins: the last that this process knew may have been cleared since by
// another.
func (gs *generations) fetch(ctx context.Context, s store.Store) (v, moment version, err error) {
	found, err := readVersions(ctx, s, []string{gs.key, gs.moment})
	if err != nil {
		return 0, 0, err
	}
	v, moment = found[0], found[1]
	if v == 0 {
		if v, err = ensureVersion(ctx, s, gs.key); err != nil {
			return 0, 0, err
		}
	}
	if moment == 0 {
		moment, _ = ensureVersion(ctx, s, gs.moment) // without it all works but Tag, which then says so
	}
	return v, moment, nil
}

// install makes what was read known, unless something newer than g is already.
func (gs *generations) install(g, next *generation) {
	if g != nil {
		next.epoch = g.epoch
		if g.version != next.version {
			next.epoch++
		}
	}
	gs.last.CompareAndSwap(g, next)
}

// clear begins a new generation and returns when no process takes an entry of
// an older one any more.
func (gs *generations) clear(ctx context.Context, s store.Store) error {
	err := s.Set(ctx, gs.key, newVersion().text(), store.Forever)
	gs.doubt() // also after an error, as the store may have done it
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(generationLife):
		return nil
	}
}

// doubt lets the next use read the generation from the store. What is being
// read at the moment is not installed.
func (gs *generations) doubt() {
	for {
		g := gs.last.Load()
		if g == nil {
			return // what is being read is trusted for no longer than clear waits
		}
		next := *g
		next.read = time.Time{}
		if gs.last.CompareAndSwap(g, &next) {
			return
		}
	}
}
