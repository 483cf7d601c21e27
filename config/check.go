package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/internal/suggest"
	"github.com/cairncache/cairn/store"
)

// check reports all that can be known to be wrong with c without opening
// anything.
func (c *Config) check() error { return join(c.problems()) }

// finish adds to the mistakes in a source those of what it says, unless they
// only follow from the former.
func (c *Config) finish(errs []error) error {
	var broken []string
	for _, err := range errs {
		if p := (*problem)(nil); errors.As(err, &p) {
			broken = append(broken, p.path)
		}
	}
	whole := func(path string) bool { return path == "" || path == "stores" || path == "regions" }
	if slices.ContainsFunc(broken, whole) || len(errs) > 0 && len(c.Stores) == 0 {
		return join(errs) // what is named may have been meant to be there
	}
	for _, err := range c.problems() {
		if !c.follows(err, broken) {
			errs = append(errs, err)
		}
	}
	return join(errs)
}

// follows reports whether err may be for want of what is broken: something at
// its own path or in it, and anything if no default can be derived.
func (c *Config) follows(err error, broken []string) bool {
	p := (*problem)(nil)
	if !errors.As(err, &p) {
		return false
	}
	if p.path == "default" && c.Default == "" {
		return len(broken) > 0
	}
	return slices.ContainsFunc(broken, func(path string) bool {
		return path == p.path || strings.HasPrefix(path, p.path+".") || strings.HasPrefix(path, p.path+"[")
	})
}

// A checker collects what is wrong.
type checker struct {
	*Config
	storeNames, regionNames []string
	rings                   [][]string // of layers
	inRing                  map[string]bool
	errs                    []error
}

func (c *checker) add(path, format string, args ...any) {
	c.errs = append(c.errs, c.errorf(path, format, args...))
}

func (c *Config) problems() []error {
	k := &checker{Config: c, storeNames: slices.Sorted(maps.Keys(c.Stores)), regionNames: slices.Sorted(maps.Keys(c.Regions))}
	if len(c.Stores) == 0 {
		k.add("stores", "there are no stores; the least is one with the url memory:")
		return k.errs
	}
	k.rings, k.inRing = findRings(k.storeNames, func(name string) []string { return c.Stores[name].Layers })
	for _, name := range k.storeNames {
		if problem := nameProblem(name); problem != "" {
			k.add("stores", "%s", problem)
			continue
		}
		k.store(name, c.Stores[name])
	}
	k.stacks()
	k.regions()
	k.defaultStore()
	return k.errs
}

// store checks what needs no other store than those in the layers.
func (c *checker) store(name string, s Store) {
	path := inside("stores", name)
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"ttl", s.TTL}, {"timeout", s.Timeout}, {"max_ttl", s.MaxTTL}} {
		if d.value < 0 {
			c.add(inside(path, d.field), "%v is negative", d.value)
		}
	}
	if s.TTL == store.Forever {
		c.add(inside(path, "ttl"), "it is store.Forever; leave it out, and entries without a ttl of their own stay")
	}
	switch {
	case s.URL == "" && len(s.Layers) == 0:
		c.add(path, "it has neither a url nor layers; give it one of them, such as the url memory:")
	case s.URL != "" && len(s.Layers) > 0:
		c.add(inside(path, "layers"), "the store has a url too; leave one of them out")
	case s.URL != "":
		c.single(path, s)
	default:
		c.layers(name, path, s)
	}
}

// single checks a store with a URL.
func (c *checker) single(path string, s Store) {
	u, err := store.ParseURL(s.URL)
	if err != nil {
		c.errs = append(c.errs, c.urlError(inside(path, "url"), s.URL, err))
		return
	}
	advice := "leave it out"
	if len(u.Layers()) > 0 {
		advice = "write it there, as in layered:?watch=1s&timeout=200ms | memory: | redis://localhost:6379/0"
		if s.TTL > 0 {
			c.add(inside(path, "ttl"), "the url is of several layers, and each has its own; write it there, as in memory:?ttl=30s | redis://localhost:6379/0?ttl=10m")
		}
	}
	for _, field := range []struct {
		name  string
		given bool
	}{{"prefix", s.Prefix != ""}, {"ttl", s.TTL > 0}} {
		if field.given && u.Has(field.name) {
			c.add(inside(path, field.name), "the url has the parameter %s too; leave one of them out", field.name)
		}
	}
	for _, field := range []struct {
		name  string
		given bool
	}{{"coherence", s.Coherence != ""}, {"timeout", s.Timeout > 0}, {"max_ttl", s.MaxTTL > 0}, {"degraded", s.Degraded != ""}} {
		if field.given {
			c.add(inside(path, field.name), "it belongs to layers, and this store has a url; %s", advice)
		}
	}
}

// layers checks a store that is made of others.
func (c *checker) layers(name, path string, s Store) {
	list := inside(path, "layers")
	if len(s.Layers) == 1 {
		c.add(list, "one layer is no stack; name two stores or more, nearest first")
	}
	for i, layer := range s.Layers {
		at := fmt.Sprintf("%s[%d]", list, i)
		if _, ok := c.Stores[layer]; !ok {
			c.unknown(at, "store", layer, others(c.storeNames, name, layer))
		} else if i < len(s.Layers)-1 && c.isStack(layer) && !(c.inRing[name] && c.inRing[layer]) {
			c.add(at, "%s is made of layers itself, which only the last may be; write its layers here instead", c.quote(at, layer))
		}
	}
	if s.TTL > 0 {
		c.add(inside(path, "ttl"), "each layer has its own ttl; write it there, or max_ttl here for what all but the last may hold")
	}
	c.keeping(path, s)
}

// keeping checks what layers say of how they are kept true.
func (c *checker) keeping(path string, s Store) {
	coherence, degraded := cmp.Or(s.Coherence, "watch"), cmp.Or(s.Degraded, "fail")
	_, err1 := layered.ParseCoherence(coherence)
	_, err2 := layered.ParseDegraded(degraded)
	if err1 != nil {
		c.text(inside(path, "coherence"), coherence, err1)
	}
	if err2 != nil {
		c.text(inside(path, "degraded"), degraded, err2)
	}
	if max, serves := strings.CutPrefix(degraded, "serve:"); serves && err1 == nil && err2 == nil {
		c.serving(inside(path, "degraded"), max, coherence)
	}
}

// serving checks degraded: serve, which is an extension of watch.
func (c *checker) serving(path, max, coherence string) {
	kind, delta, _ := strings.Cut(coherence, ":")
	d, _ := store.ParseDuration(cmp.Or(delta, "1s"))
	m, _ := store.ParseDuration(max)
	switch {
	case kind == "bounded":
		c.add(path, "serve needs coherence: watch; with bounded the near layer answers for its whole time anyway")
	case m <= d:
		c.add(path, "serve has to be for longer than watch, for whose time the near layer answers anyway")
	}
}

// quote returns the name at a path for errors.
func (c *checker) quote(path, name string) string {
	if shown, ok := c.source.shown(path, name); ok {
		return shown
	}
	return strconv.Quote(name)
}

// text adds an error about the text at a path, which the error may repeat.
func (c *checker) text(path, text string, err error) {
	shown, hidden := c.source.shown(path, text)
	switch {
	case hidden:
		c.add(path, "%s does not hold what belongs here", shown)
	case !number.MatchString(text) && !option.MatchString(text):
		c.add(path, "what stands here does not belong here; leave it out for the default")
	default:
		c.add(path, "%w", err)
	}
}

// option matches what looks like the value of coherence or degraded.
var option = regexp.MustCompile(`^[a-z]{0,12}:?[-+]?[0-9.]{0,12}[a-zµ]{0,3}$`)

// unknown adds that a name is none of those known.
func (c *checker) unknown(path, what, name string, known []string) {
	shown, hidden := c.source.shown(path, name)
	near := ""
	if len(c.errs) < maxProblems { // more are not shown
		near = suggest.Nearest(name, known)
	}
	switch {
	case name == "":
		c.add(path, "a name is empty; write that of a %s", what)
	case hidden:
		c.add(path, "%s is the name of no %s (there are: %s)", shown, what, list(known))
	case !plainName.MatchString(name):
		c.add(path, "here stands the name of a %s; a URL belongs to a store of its own", what)
	case near != "":
		c.add(path, "no %s named %q (did you mean %q?)", what, name, near)
	case len(known) == 0:
		c.add(path, "no %s named %q; there is no other", what, name)
	default:
		c.add(path, "no %s named %q (there are: %s)", what, name, list(known))
	}
}

// others returns the names without one that would be suggested for itself.
func others(names []string, name, word string) []string {
	if suggest.Nearest(word, []string{name}) == "" {
		return names
	}
	return slices.DeleteFunc(slices.Clone(names), func(other string) bool { return other == name })
}

// DefaultName returns the name of the default store: Default, or else that of
// the only store which is no layer of another; "" if there are several.
func (c *Config) DefaultName() string {
	if candidates := c.candidates(); c.Default == "" && len(candidates) == 1 {
		return candidates[0]
	}
	return c.Default
}

// candidates returns the stores that are no other's layer.
func (c *Config) candidates() []string {
	layers := make(map[string]bool)
	for _, s := range c.Stores {
		for _, layer := range s.Layers {
			layers[layer] = true
		}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.Stores)), func(name string) bool { return layers[name] })
}

func (c *checker) defaultStore() {
	if c.Default != "" {
		if _, ok := c.Stores[c.Default]; !ok {
			c.unknown("default", "store", c.Default, c.storeNames)
		}
		return
	}
	if candidates := c.candidates(); len(candidates) > 1 && len(c.errs) == 0 {
		c.add("default", "it is not given, and several stores are no other's layer; name one of %s", list(candidates))
	}
}
