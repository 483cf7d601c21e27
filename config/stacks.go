package config

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

// isStack reports whether the store of that name is made of others, or of
// several URLs.
func (c *Config) isStack(name string) bool {
	u, err := store.ParseURL(c.Stores[name].URL)
	return len(c.Stores[name].Layers) > 0 || err == nil && len(u.Layers()) > 0
}

// stacks checks that no store is a layer of itself, nor twice in a stack.
func (c *checker) stacks(names []string) {
	layers := func(name string) []string { return c.Stores[name].Layers }
	inRing := make(map[string]bool)
	for _, name := range names {
		if inRing[name] {
			continue
		}
		if ring := findRing(name, layers); ring != nil {
			for _, member := range ring {
				inRing[member] = true
			}
			at := inside("stores", name) + fmt.Sprintf(".layers[%d]", slices.Index(layers(name), ring[1]))
			c.add(at, "the layers go in a circle: %s", strings.Join(ring, " → "))
			continue
		}
		for i, layer := range layers(name) {
			at := inside("stores", name) + fmt.Sprintf(".layers[%d]", i)
			if slices.Contains(layers(name)[:i], layer) {
				c.add(at, "%s is in the stack already", c.quote(at, layer))
			} else if other := c.farHolder(name, layer); other != "" {
				c.add(at, "%s is in the stack twice: %q has it too", c.quote(at, layer), other)
			}
		}
	}
}

// farHolder returns which of the stores at the far end of a stack has a layer,
// or nothing.
func (c *Config) farHolder(name, layer string) string {
	for range c.Stores { // no more, if they go in a circle
		layers := c.Stores[name].Layers
		if len(layers) == 0 {
			break
		}
		name = layers[len(layers)-1]
		if slices.Contains(c.Stores[name].Layers, layer) {
			return name
		}
	}
	return ""
}

// findRing returns the way from a name back to it, both ends included, or nil.
func findRing(name string, next func(string) []string) []string {
	seen := make(map[string]bool)
	var walk func(at string, way []string) []string
	walk = func(at string, way []string) []string {
		for _, n := range next(at) {
			if n == name {
				return append(way, n)
			}
			if seen[n] {
				continue
			}
			seen[n] = true
			if ring := walk(n, append(way, n)); ring != nil {
				return ring
			}
		}
		return nil
	}
	return walk(name, []string{name})
}

func (c *checker) regions() {
	names := slices.Sorted(maps.Keys(c.Regions))
	inRing := make(map[string]bool)
	parent := func(name string) []string {
		if p := c.Regions[name].Parent; p != "" {
			return []string{p}
		}
		return nil
	}
	before := len(c.errs)
	for _, name := range names {
		r := c.Regions[name]
		if problem := nameProblem(name); problem != "" {
			c.add("regions", "%s", problem)
			continue
		}
		path := inside("regions", name)
		if _, ok := c.Regions[r.Parent]; !ok && r.Parent != "" {
			c.unknown(inside(path, "parent"), "region", r.Parent, names)
		} else if ring := findRing(name, parent); ring != nil && !inRing[name] {
			for _, member := range ring {
				inRing[member] = true
			}
			c.add(inside(path, "parent"), "the parents go in a circle: %s", strings.Join(ring, " → "))
		}
		if _, ok := c.Stores[r.Store]; !ok && r.Store != "" {
			c.unknown(inside(path, "store"), "store", r.Store, slices.Sorted(maps.Keys(c.Stores)))
		}
		c.region(path, r)
	}
	if len(c.errs) == before {
		c.allRegions()
	}
}

// region asks package memo about each field, so that the answer has a place.
func (c *checker) region(path string, r Region) {
	if err := ask(memo.Options{Namespace: r.Namespace}); err != nil {
		c.add(inside(path, "namespace"), "it has %d bytes, which is too long for the keys; shorten it", len(r.Namespace))
	}
	whole := reflect.ValueOf(r.policy())
	for i := range whole.NumField() {
		var one memo.Policy
		reflect.ValueOf(&one).Elem().Field(i).Set(whole.Field(i))
		err := ask(memo.Options{Policy: one})
		if err == nil {
			continue
		}
		name := whole.Type().Field(i).Name
		field, _ := reflect.TypeFor[Region]().FieldByName(name)
		at := inside(path, field.Tag.Get("json"))
		_, text, _ := strings.Cut(err.Error(), "Policy."+name+": ")
		if h, ok := c.source.hidden[at]; ok {
			_, rest, _ := strings.Cut(text, " is ")
			text = h.text + " is " + rest
		}
		c.add(at, "%s", inFile.Replace(text))
	}
}

// allRegions asks package memo about all regions together, for what it may
// find in them that is not known here.
func (c *checker) allRegions() {
	regions := make(map[string]memo.Region, len(c.Regions))
	for name, r := range c.Regions {
		regions[name] = memo.Region{Parent: r.Parent, Namespace: r.Namespace, Policy: r.policy()}
	}
	if err := ask(memo.Options{Regions: regions}); err != nil {
		c.add("regions", "%w", err)
	}
}

// ask returns what package memo says of options.
func ask(o memo.Options) error {
	m, err := memo.New(memo.Later, &o)
	if err != nil {
		return err
	}
	return m.Close(context.Background())
}

// inFile makes of the words of a program those of a file.
var inFile = strings.NewReplacer("memo.Off", "off", "leave it zero", "leave it out")
