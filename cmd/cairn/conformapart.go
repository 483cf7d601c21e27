package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cairncache/cairn/config"
	"github.com/cairncache/cairn/conformance"
	"github.com/cairncache/cairn/store"
)

// A subject is the store of a URL under test. What it opens is apart from all
// that is in the store: each call of open adds a prefix of its own.
type subject struct {
	url    string
	layers []layer // nearest first; one if the URL stands for one store
	root   string  // of the prefixes of this run

	mu       sync.Mutex
	opened   int
	prefixes map[store.Store]string
}

// A layer is one store of a URL.
type layer struct {
	text string // as it stands in the URL
	*store.URL
}

// own reports whether each store that is opened from the URL has entries of
// its own anyway.
func (l layer) own() bool { return l.Scheme == "memory" || l.Scheme == "null" }

func newSubject(c *call) (*subject, error) {
	text, err := c.location()
	if err == nil && text == "" {
		text, err = c.configuredURL()
	}
	if err != nil {
		return nil, err
	}
	u, err := store.ParseURL(text)
	if err != nil {
		return nil, usageError{err}
	}
	s := &subject{url: text, root: "cairn-conform-" + strings.ToLower(rand.Text()[:12]) + ":", prefixes: make(map[store.Store]string)}
	layers := u.Layers()
	if len(layers) == 0 {
		layers = []*store.URL{u}
	}
	texts := strings.Split(text, "|") // each stands between layers, as the URL is valid
	texts = texts[len(texts)-len(layers):]
	for i, l := range layers {
		s.layers = append(s.layers, layer{strings.TrimSpace(texts[i]), l})
	}
	return s, nil
}

// configuredURL is the URL of the store in a file, with all parameters.
func (c *call) configuredURL() (string, error) {
	cfg, err := config.Load(c.config)
	if err != nil {
		return "", err
	}
	name := cmp.Or(c.name, cfg.DefaultName())
	s := cfg.Stores[name] // it is there: it was opened
	if s.URL == "" || strings.Contains(s.URL, "|") && s.Prefix != "" {
		return "", usagef("layers are tried by their URL alone, as in -store \"memory: | redis://localhost\"; give that of %s", name)
	}
	if s.TTL > 0 {
		s.URL = withParam(s.URL, "ttl", s.TTL.String())
	}
	if s.Prefix != "" {
		s.URL = withParam(s.URL, "prefix", s.Prefix)
	}
	return s.URL, nil
}

// withParam is the URL of one store with a parameter, in place of an earlier
// one of that name.
func withParam(text, param, value string) string {
	path, query, _ := strings.Cut(text, "?")
	pairs := slices.DeleteFunc(strings.Split(query, "&"), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		return pair == "" || err == nil && name == param
	})
	return path + "?" + strings.Join(append(pairs, param+"="+url.QueryEscape(value)), "&")
}

// open opens a store that has no entries, and keeps them apart from all others.
func (s *subject) open(ctx context.Context) (store.Store, error) {
	s.mu.Lock()
	s.opened++
	prefix := s.root + fmt.Sprintf("%05d:", s.opened)
	s.mu.Unlock()
	opened, err := store.Open(ctx, s.apart(prefix))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prefixes[opened] = prefix
	return opened, nil
}

// reopen opens a second handle on the entries of a store that open returned.
func (s *subject) reopen(ctx context.Context, first store.Store) (store.Store, error) {
	s.mu.Lock()
	prefix := s.prefixes[first]
	s.mu.Unlock()
	if prefix == "" {
		return nil, errors.New("not a store that was opened here")
	}
	return store.Open(ctx, s.apart(prefix))
}

// apart is the URL with a longer prefix in all layers that share their entries.
func (s *subject) apart(prefix string) string {
	texts := make([]string, 0, len(s.layers)+1)
	if head, _, found := strings.Cut(s.url, "|"); found && strings.TrimSpace(head) != s.layers[0].text {
		texts = append(texts, head) // layered:, which takes no prefix
	}
	for _, l := range s.layers {
		texts = append(texts, l.apart(prefix))
	}
	return strings.Join(texts, " | ")
}

func (l layer) apart(prefix string) string {
	if l.own() {
		return l.text
	}
	return withParam(l.text, "prefix", l.Text("prefix")+prefix)
}

// options tell the suite what the URL says of the store.
func (s *subject) options() *conformance.Options {
	o := &conformance.Options{MaxKey: store.MaxKeyLen, Tidy: true}
	for _, l := range s.layers {
		prefix := len(l.Text("prefix"))
		switch {
		case strings.HasPrefix(l.Scheme, "redis"):
			o.TTLStep = 2 * time.Millisecond // an entry stays until the millisecond of its expiry is over
		case l.Scheme == "disk": // where the prefix counts, as it does in views
			prefix += len(s.root) + len("00000:")
			o.MaxKey = min(o.MaxKey, store.MaxKeyLen-prefix)
		case l.own():
			o.MaxKey = min(o.MaxKey, store.MaxKeyLen-prefix)
		}
	}
	if last := s.layers[len(s.layers)-1]; len(s.layers) > 1 {
		if last.Scheme != "memory" {
			o.Skip = overBytes
		}
	} else if !last.own() {
		o.CheckReopen = s.reopen
	}
	if len(s.layers) == 1 {
		o.MaxValue = int(s.layers[0].Size("max_bytes") / 4 * 3) // leaves room for keys and headers
	}
	return o
}

// overBytes are the cases that layers over a store of bytes do not pass by
// their nature.
var overBytes = map[string]string{
	"Live/SameValue":     "the last layer keeps bytes, and the others are filled from there",
	"Live/NeverEncodes":  "the last layer keeps bytes",
	"Live/DecodedOnce":   "the other layers serve what is proven, and the last tells of a Set after that has returned, so the first reads are its own",
	"LiveAt/DecodedOnce": "as for Live/DecodedOnce",
	"Lease/FillLive":     "the last layer keeps bytes, and the others are filled from there",
}

// leavesLocks reports whether locks of the run outlive it: those of Redis lie
// outside the prefix.
func (s *subject) leavesLocks() bool {
	return slices.ContainsFunc(s.layers, func(l layer) bool { return strings.HasPrefix(l.Scheme, "redis") })
}

// clean deletes what the run has left, in a bounded time.
func (s *subject) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var errs []error
	for _, l := range s.layers {
		if l.own() || strings.HasPrefix(l.Scheme, "memcache") {
			continue
		}
		opened, err := store.Open(ctx, l.apart(s.root))
		if err == nil {
			err = errors.Join(store.Clear(ctx, opened), store.Close(opened))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("entries whose keys begin with %s are left in %v: %w", l.Text("prefix")+s.root, l, err))
		}
	}
	return errors.Join(errs...)
}
