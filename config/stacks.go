package config

import (
	"context"
	"fmt"
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
func (c *checker) stacks() {
	for _, ring := range c.rings {
		first := ring[0]
		at := inside("stores", first) + fmt.Sprintf(".layers[%d]", slices.Index(c.Stores[first].Layers, ring[1]))
		c.add(at, "the layers go in a circle: %s", strings.Join(ring, " → "))
	}
	for _, name := range c.storeNames {
		layers := c.Stores[name].Layers
		for i, layer := range layers {
			at := inside("stores", name) + fmt.Sprintf(".layers[%d]", i)
			if slices.Contains(layers[:i], layer) {
				c.add(at, "%s is in the stack already", c.quote(at, layer))
			} else if other := c.farHolder(name, layer); other != "" && !c.inRing[name] {
				c.add(at, "%s is in the stack twice: %q has it too", c.quote(at, layer), other)
			}
		}
	}
}

// maxStacked is how many stacks are looked at that are each the last layer of the
// one before.
const maxStacked = 100

// farHolder returns which of the stores at the far end of a stack has a layer,
// or nothing.
func (c *Config) farHolder(name, layer string) string {
	for range min(len(c.Stores), maxStacked) { // no more, if they go in a circle
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

// findRings returns ways from a name back to it, both ends included, and begun
// with the first of the alphabet: at least one for each name that is in a ring
// with others, and all names that are in them.
func findRings(names []string, next func(string) []string) (rings [][]string, inRing map[string]bool) {
	inRing = make(map[string]bool)
	place := make(map[string]int) // in the way, from 1; what has been left is -1
	var way []string
	var walk func(name string)
	walk = func(name string) {
		way = append(way, name)
		place[name] = len(way)
		for _, n := range next(name) {
			switch at := place[n]; {
			case at > 0:
				ring := slices.Clone(way[at-1:])
				for _, member := range ring {
					inRing[member] = true
				}
				first := slices.Index(ring, slices.Min(ring))
				ring = slices.Concat(ring[first:], ring[:first], ring[first:first+1])
				rings = append(rings, ring)
			case at == 0:
				walk(n)
			}
		}
		way = way[:len(way)-1]
		place[name] = -1
	}
	for _, name := range names {
		if place[name] == 0 {
			walk(name)
		}
	}
	return rings, inRing
}

func (c *checker) regions() {
	names := c.regionNames
	parent := func(name string) []string {
		if p := c.Regions[name].Parent; p != "" {
			return []string{p}
		}
		return nil
	}
	before := len(c.errs)
	rings, _ := findRings(names, parent)
	for _, ring := range rings {
		c.add(inside("regions", ring[0])+".parent", "the parents go in a circle: %s", strings.Join(ring, " → "))
	}
	for _, name := range names {
		r := c.Regions[name]
		if problem := nameProblem(name); problem != "" {
			c.add("regions", "%s", problem)
			continue
		}
		path := inside("regions", name)
		if _, ok := c.Regions[r.Parent]; !ok && r.Parent != "" {
			c.unknown(inside(path, "parent"), "region", r.Parent, others(names, name, r.Parent))
		}
		if _, ok := c.Stores[r.Store]; !ok && r.Store != "" {
			c.unknown(inside(path, "store"), "store", r.Store, c.storeNames)
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
			was := reflect.New(whole.Field(i).Type()).Elem()
			if set(at, h.value, was) == nil && was.Equal(whole.Field(i)) {
				_, rest, _ := strings.Cut(text, " is ")
				text = h.text + " is " + rest
			}
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
