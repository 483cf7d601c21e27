package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cairncache/cairn/internal/suggest"
)

// Opener makes a Store from a URL whose scheme it is registered for. It reads
// every parameter that it knows by the methods of u, then calls u.Err, which
// reports the unknown ones, and only then creates anything. It connects to
// nothing, so that a program can start while its cache is down. The Store's
// Close closes whatever the Opener made.
//
// Every scheme takes the parameters prefix and ttl, but layered, whose layers
// take them.
type Opener func(ctx context.Context, u *URL) (Store, error)

// Mux opens stores by the scheme of their URL. The zero Mux has no schemes and
// is ready for use, also concurrently.
type Mux struct {
	mu      sync.RWMutex
	openers map[string]Opener
}

// Register makes open responsible for a scheme, which is in lower case. It
// panics if the scheme is empty or registered already, or if open is nil: it
// is called when a program starts.
func (m *Mux) Register(scheme string, open Opener) {
	if scheme == "" || scheme != strings.ToLower(scheme) || open == nil {
		panic(fmt.Sprintf("store: Register(%q): the scheme must be in lower case and the Opener not nil", scheme))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.openers[scheme]; ok {
		panic(fmt.Sprintf("store: Register(%q): the scheme is registered already", scheme))
	}
	if m.openers == nil {
		m.openers = make(map[string]Opener)
	}
	m.openers[scheme] = open
}

// Schemes returns the registered schemes in alphabetical order.
func (m *Mux) Schemes() []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Sorted(maps.Keys(m.openers))
}

// Open makes a Store from a URL such as "memory:?max_entries=10000&ttl=5m", or
// from layers, as in "memory: | redis://localhost:6379/0". What is wrong with
// the URL is ErrInvalid, and the error says what would be right. Whether a
// server is there, and takes the password, is not asked: Ping does. The
// function Close closes the Store. No error shows a password.
func (m *Mux) Open(ctx context.Context, url string) (Store, error) {
	if err := Check(ctx, opOpen); err != nil {
		return nil, err
	}
	u, err := ParseURL(url)
	if err != nil {
		return nil, err
	}
	return m.open(ctx, u)
}

// OpenURL is Open for a URL that has been parsed, so that parameters can be
// added to it first. The Opener reads u: it must not be used meanwhile, nor for
// another store.
func (m *Mux) OpenURL(ctx context.Context, u *URL) (Store, error) {
	if err := Check(ctx, opOpen); err != nil {
		return nil, err
	}
	if u == nil {
		return nil, Errorf(opOpen, "", ErrInvalid, "the URL is nil; ParseURL makes one")
	}
	return m.open(ctx, u)
}

const opOpen = "open"

func (m *Mux) open(ctx context.Context, u *URL) (Store, error) {
	u.mux = m
	m.mu.RLock()
	open := m.openers[u.Scheme]
	m.mu.RUnlock()
	if open == nil {
		return nil, m.unknown(u)
	}
	return open(ctx, u)
}

// OpenLayers opens the layers that u stands for, nearest first, with the Mux
// that u was opened with. It is for the Opener of the scheme layered, which
// closes them when its Store is closed. If one cannot be opened, those before
// it are closed, and the error names it.
func (u *URL) OpenLayers(ctx context.Context) ([]Store, error) {
	if len(u.layers) < 2 {
		return nil, u.Errorf("%s: needs two layers or more behind it, as in %s:?watch=1s | memory: | redis://localhost:6379/0", layered, layered)
	}
	var opened []Store
	for _, layer := range u.layers {
		s, err := cmp.Or(u.mux, &defaultMux).open(ctx, layer)
		if err != nil {
			for _, s := range opened {
				Close(s) // nobody has used it
			}
			return nil, err
		}
		opened = append(opened, s)
	}
	return opened, nil
}

// Layers returns the URLs of the layers that u stands for, nearest first, for
// the Opener of the scheme layered; none if u stands for one store.
func (u *URL) Layers() []*URL { return slices.Clone(u.layers) }

// importPath tells which import registers a scheme of ours.
var importPath = map[string]string{
	layered:          "layered",
	"disk":           "disk",
	"memory":         "memory",
	"null":           "null",
	"memcache":       "memcache",
	"memcache+unix":  "memcache",
	"redis":          "redis",
	"rediss":         "redis",
	"redis+unix":     "redis",
	"redis+cluster":  "redis",
	"redis+sentinel": "redis",
}

func (m *Mux) unknown(u *URL) error {
	if len(u.layers) > 0 {
		return u.Errorf("layers are not registered; import _ \"github.com/cairncache/cairn/adapters/%s\"", importPath[layered])
	}
	if path, ok := importPath[u.Scheme]; ok {
		return u.Errorf("scheme %q is not registered; import _ \"github.com/cairncache/cairn/adapters/%s\"", u.Scheme, path)
	}
	schemes := m.Schemes()
	known := slices.AppendSeq(slices.Clone(schemes), maps.Keys(importPath))
	registered := "none"
	if len(schemes) > 0 {
		registered = strings.Join(schemes, ", ")
	}
	hint := suggest.DidYouMean(u.Scheme, known)
	if _, err := strconv.ParseUint(u.Path, 10, 16); err == nil && hint == "" {
		hint = "write redis:// or memcache:// before a host and port; " // not repeated: config may have to hide them
	}
	return u.Errorf("unknown scheme %q (%sregistered: %s)", u.Scheme, hint, registered)
}

// defaultMux is what Register and Open use, filled by the adapters' imports.
var defaultMux Mux

// Register makes open responsible for a scheme of URLs given to the function
// Open, as Mux.Register does. Adapters call it when they are imported.
func Register(scheme string, open Opener) { defaultMux.Register(scheme, open) }

// Open makes a Store from a URL with the openers of the adapters that the
// program imports, as Mux.Open does. It connects to nothing; see Ping.
func Open(ctx context.Context, url string) (Store, error) { return defaultMux.Open(ctx, url) }

// OpenURL is Open for a URL that has been parsed, as Mux.OpenURL is.
func OpenURL(ctx context.Context, u *URL) (Store, error) { return defaultMux.OpenURL(ctx, u) }
