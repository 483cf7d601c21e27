package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cairncache/cairn/internal/suggest"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"go.yaml.in/yaml/v3"
)

// maxNodes bounds what aliases can make of a small file.
const maxNodes = 100_000

// A decoder fills a Config with the values of nodes, by the json tags of its
// fields. It goes on after a mistake, so that all are found.
type decoder struct {
	c      *Config
	lookup func(string) (string, bool)
	nodes  int
	errs   []error
}

func decode(c *Config, root *yaml.Node, lookup func(string) (string, bool)) []error {
	d := &decoder{c: c, lookup: lookup}
	d.value("", root, reflect.ValueOf(c).Elem())
	return d.errs
}

// fail reports a mistake in the node n, which is at or in path.
func (d *decoder) fail(path string, n *yaml.Node, format string, args ...any) {
	d.errs = append(d.errs, &problem{d.c.source.name, place(n), path, fmt.Errorf(format, args...)})
}

func place(n *yaml.Node) position { return position{line: n.Line, column: n.Column} }

// value decodes n into v.
func (d *decoder) value(path string, n *yaml.Node, v reflect.Value) {
	if _, ok := d.c.source.at[path]; !ok {
		d.c.source.at[path] = place(n)
	}
	at := n
	if n = d.follow(path, n); n == nil {
		return
	}
	null := n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
	switch kind := v.Kind(); {
	case kind == reflect.Struct && n.Kind == yaml.MappingNode:
		d.fields(path, n, v)
	case kind == reflect.Map && n.Kind == yaml.MappingNode:
		d.entries(path, n, v)
	case kind == reflect.Slice && n.Kind == yaml.SequenceNode:
		d.items(path, n, v)
	case (kind == reflect.Struct || kind == reflect.Map) && null: // as a heading whose lines are commented out
	case null:
		d.fail(path, at, "it has no value; write one, or leave it out")
	case kind != reflect.Struct && kind != reflect.Map && kind != reflect.Slice && n.Kind == yaml.ScalarNode:
		d.scalar(path, at, n, v)
	default:
		d.fail(path, at, "it is %s; write %s", kindOf(n), wanted(path, v.Type()))
	}
}

// follow counts n, and returns what it is an alias of, or itself.
func (d *decoder) follow(path string, n *yaml.Node) *yaml.Node {
	d.nodes++
	switch {
	case d.nodes == maxNodes:
		d.fail("", n, "aliases make more than %d values of the file, or go in a circle", maxNodes)
		fallthrough
	case d.nodes > maxNodes:
		return nil
	case n.Kind == yaml.AliasNode:
		n = n.Alias
	}
	if n.Style&yaml.TaggedStyle != 0 && !slices.Contains(plainTags, n.Tag) {
		d.fail(path, n, "a tag, which begins with !, has no meaning here; write quotes around a value that begins with !")
		return nil
	}
	return n
}

var plainTags = []string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq", "!!merge"}

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == "!!bool":
		return "true or false"
	case n.ShortTag() == "!!int" || n.ShortTag() == "!!float":
		return "a number"
	case n.ShortTag() == "!!timestamp":
		return "a date"
	}
	return "a text"
}

// fields decodes a mapping into a struct.
func (d *decoder) fields(path string, n *yaml.Node, v reflect.Value) {
	for _, p := range d.pairs(path, n) {
		name := p.key.Value
		i := slices.Index(fieldNames(v.Type()), name)
		switch {
		case i >= 0:
			d.entry(inside(path, name), p, v.Field(i))
		case path == "" && name == "$schema": // for editors
		case cutByComma(n, p.key):
			d.fail(path, p.key, `a , begins something new here; write quotes around a value with a , in it, as in { url: "redis+cluster://h1:6379,h2:6379" }`)
		default:
			d.fail(path, p.key, "%s", unknownField(name, v.Type(), p.value))
		}
	}
}

// cutByComma reports whether a key in { } was meant as a part of the URL before it.
func cutByComma(n, key *yaml.Node) bool {
	i := slices.Index(n.Content, key)
	if n.Style&yaml.FlowStyle == 0 || i < 2 {
		return false
	}
	before, value := n.Content[i-1], n.Content[i+1]
	if before.Kind != yaml.ScalarNode || before.Style != 0 {
		return false
	}
	empty := value.Tag == "!!null" && value.Value == ""
	return empty && strings.Contains(before.Value, ":") || strings.Contains(before.Value, "://") && suggest.Nearest(key.Value, fieldNames(storeType)) == ""
}

// entry decodes the value of a pair. That of a mapping is said to be where its
// key is, as its first line may be another.
func (d *decoder) entry(path string, p pair, v reflect.Value) {
	if v.Kind() == reflect.Struct || v.Kind() == reflect.Map {
		d.c.source.at[path] = place(p.key)
	}
	d.value(path, p.value, v)
}

// entries decodes a mapping into a map of structs.
func (d *decoder) entries(path string, n *yaml.Node, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	for _, p := range d.pairs(path, n) {
		name, t := p.key.Value, v.Type().Elem()
		problem, lower := nameProblem(name), strings.ToLower(name)
		switch {
		case slices.Contains(fieldNames(t), name) && p.value.Kind == yaml.ScalarNode:
			d.fail(path, p.key, "%s is a field of %s; is it indented too little?", name, structName(t))
			continue
		case problem != "" && goodName.MatchString(lower): // what is in it may be wrong too
			d.fail(inside(path, lower), p.key, "%s", problem)
			name = lower
		case problem != "":
			d.fail(path, p.key, "%s", problem)
			continue
		}
		element := reflect.New(t).Elem()
		d.entry(inside(path, name), p, element)
		v.SetMapIndex(reflect.ValueOf(name), element)
	}
}

func (d *decoder) items(path string, n *yaml.Node, v reflect.Value) {
	for i, item := range n.Content {
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(fmt.Sprintf("%s[%d]", path, i), item, element)
		v.Set(reflect.Append(v, element))
	}
}

type pair struct{ key, value *yaml.Node }

// pairs returns what is in a mapping, and then what << merges into it.
func (d *decoder) pairs(path string, n *yaml.Node) []pair {
	var pairs, merged []pair
	first := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key = d.follow(path, key); key == nil {
			continue
		}
		before := first[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode:
			d.fail(path, n.Content[i], "%s stands where a name should, before a colon", kindOf(key))
		case key.ShortTag() == "!!merge":
			merged = append(merged, d.merged(path, value)...)
		case before != nil:
			d.fail(path, n.Content[i], "%s is given twice, first in line %d", quoteName(key.Value), before.Line)
		default:
			first[key.Value] = key
			pairs = append(pairs, pair{key, value})
		}
	}
	for _, p := range merged {
		if first[p.key.Value] == nil {
			first[p.key.Value] = p.key
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// merged returns what << takes from a mapping, or from each of a list.
func (d *decoder) merged(path string, n *yaml.Node) []pair {
	at := n
	n = d.follow(path, n)
	switch {
	case n == nil:
	case n.Kind == yaml.MappingNode:
		return d.pairs(path, n)
	case n.Kind == yaml.SequenceNode && at.Kind != yaml.AliasNode:
		var pairs []pair
		for _, item := range n.Content {
			pairs = append(pairs, d.merged(path, item)...)
		}
		return pairs
	default:
		d.fail(path, at, "<< takes the alias of a mapping, such as *name, or a list of them")
	}
	return nil
}

// scalar decodes the node n, or the alias at which stands for it.
func (d *decoder) scalar(path string, at, n *yaml.Node, v reflect.Value) {
	text, shown, err := expand(n.Value, d.lookup)
	switch tag := n.ShortTag(); {
	case err != nil:
		d.fail(path, at, "%w", err)
		return
	case shown != "":
		d.c.source.hidden[path] = hidden{text, shown}
	case v.Kind() == reflect.String && tag != "!!str":
		d.fail(path, at, "it is %s; write quotes around it if it is meant as a text", kindOf(n))
		return
	case v.Type() == durationType && tag == "!!bool":
		d.fail(path, at, "it is true or false; write %s", wanted(path, v.Type()))
		return
	}
	if err := set(path, text, v); err != nil {
		if shown != "" {
			err = fmt.Errorf("%s is not %s", shown, wanted(path, v.Type()))
		}
		d.fail(path, at, "%w", err)
	}
}

var durationType = reflect.TypeFor[time.Duration]()

// set gives v, which is at a path, the value that a text says.
func set(path, text string, v reflect.Value) error {
	want := errors.New("it is not " + wanted(path, v.Type()))
	offable := strings.HasPrefix(path, "regions.")
	if offable && text == "off" && v.Kind() != reflect.String {
		if v.Kind() == reflect.Float64 {
			v.SetFloat(memo.Off)
		} else {
			v.SetInt(memo.Off)
		}
		return nil
	}
	switch {
	case v.Type() == durationType:
		d, err := store.ParseDuration(text)
		switch {
		case text == "off":
			return errors.New("off belongs to regions; leave it out")
		case err != nil && !number.MatchString(text):
			return want
		case err != nil && offable && text[0] == '-':
			return fmt.Errorf("%w; write off for none", err)
		case err != nil:
			return err
		case d == 0 && offable:
			return errors.New("0 is the same as not given; write off for none")
		case d == 0:
			return errors.New("0 is the same as not given; leave it out")
		}
		v.SetInt(int64(d))
	case v.Kind() == reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		switch percent, isPercent := strings.CutSuffix(text, "%"); {
		case isPercent && number.MatchString(percent):
			return fmt.Errorf("%q is a percentage; write a fraction, such as 0.8 for 80 %%", text)
		case err != nil:
			return want
		case f == 0:
			return errors.New("0 is the same as not given; write off for none")
		}
		v.SetFloat(f)
	case v.Kind() == reflect.Bool:
		switch strings.ToLower(text) {
		case "true", "on", "1":
			v.SetBool(true)
		case "false", "off", "0":
			v.SetBool(false)
		default:
			return want
		}
	default:
		v.SetString(text)
	}
	return nil
}

// number matches what is no secret, but a number with or without a unit.
var number = regexp.MustCompile(`^[-+]?[0-9.]+ ?[a-zµ]{0,7}$`)
