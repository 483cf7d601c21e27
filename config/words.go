package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cairncache/cairn/internal/suggest"
	"go.yaml.in/yaml/v3"
)

// fieldNames returns the json tags of the exported fields of a struct, which
// stand first.
func fieldNames(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("json"); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// structName is what a struct is called in errors.
func structName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Store]():
		return "a store"
	case reflect.TypeFor[Region]():
		return "a region"
	}
	return "a configuration"
}

// unknownField says which fields there are.
func unknownField(name string, t reflect.Type, value *yaml.Node) string {
	names := fieldNames(t)
	has := structName(t) + " has: " + strings.Join(names, ", ")
	deeper := value.Kind == yaml.MappingNode || slices.Contains(fieldNames(storeType), name) || slices.Contains(fieldNames(regionType), name)
	switch {
	case t == reflect.TypeFor[Config]() && deeper && plainName.MatchString(name) && suggest.Nearest(name, names) == "":
		return fmt.Sprintf("unknown field %q (is it indented too little? %s)", name, has)
	case plainName.MatchString(name):
		return fmt.Sprintf("unknown field %q (%s%s)", name, suggest.DidYouMean(name, names), has)
	case strings.Contains(name, ":"):
		return "a colon without a space behind it; write a space, as in url: redis://localhost:6379/0"
	}
	return "unknown field (" + has + ")"
}

// wanted says what a value of the type is, for "write …" and "it is not …".
func wanted(path string, t reflect.Type) string {
	off := ""
	if strings.HasPrefix(path, "regions.") {
		off = ", or off"
	}
	switch {
	case t == durationType:
		return "a length of time, such as 300s or 5m" + off
	case t.Kind() == reflect.Float64:
		return "a number, such as 0.1" + off
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Slice:
		return "a list, such as [local, shared]"
	case t == reflect.TypeFor[Store]():
		return `{ url: "memory:" }, for example`
	case t == reflect.TypeFor[Region]():
		return "{ ttl: 5m }, for example"
	case t.Kind() == reflect.Map:
		return "a mapping of names, as in main: { … }"
	case t.Kind() == reflect.Struct:
		return "stores: and the stores below it"
	}
	return "a text"
}

var (
	// plainName matches what errors may repeat: it looks like a name, and not
	// like a URL.
	plainName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,40}$`)
	goodName  = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
)

// list returns names for errors, not more than a few.
func list(names []string) string {
	const shown = 10
	if more := len(names) - shown; more > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), more)
	}
	return strings.Join(names, ", ")
}

// quoteName returns a name for errors, unless it may be something else.
func quoteName(name string) string {
	if plainName.MatchString(name) {
		return strconv.Quote(name)
	}
	return "a name"
}

// nameProblem says what is wrong with the name of a store or region, or "".
// FromEnv has to be able to say each name.
func nameProblem(name string) string {
	if goodName.MatchString(name) {
		return ""
	}
	const rule = "a name has lower-case letters, digits, - and _, at most 64, and begins with a letter or digit"
	switch {
	case name == "":
		return "a name is empty; " + rule
	case strings.Contains(name, "${"):
		return "a name holds ${; variables are replaced in values alone"
	case !plainName.MatchString(name):
		return rule
	case goodName.MatchString(strings.ToLower(name)):
		return fmt.Sprintf("the name %q has upper-case letters; write %s", name, strings.ToLower(name))
	}
	return fmt.Sprintf("%q is no name here; %s", name, rule)
}

// inside is the path of something in a mapping.
func inside(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }
