package config

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/cairncache/cairn/internal/suggest"
)

// known are names of stores and regions, by section, that do not depend on how
// a variable is split: those of the file, and of stores that get a URL or layers.
type known struct {
	file, all map[string][]string
}

func (e *environment) knownNames() known {
	file := map[string][]string{"stores": slices.Sorted(maps.Keys(e.Stores)), "regions": slices.Sorted(maps.Keys(e.Regions))}
	k := known{file, maps.Clone(file)}
	for _, variable := range slices.Sorted(maps.Keys(e.values)) {
		rest, ok := strings.CutPrefix(strings.ToLower(variable), "stores_")
		for _, field := range []string{"_url", "_layers"} {
			if name, is := strings.CutSuffix(rest, field); ok && is && name != "" && meant(k.all["stores"], name) == "" {
				k.all["stores"] = append(slices.Clip(k.all["stores"]), name)
			}
		}
	}
	return k
}

// meant returns which of the names a variable means that says name, or "". It
// has an _ for a -.
func meant(names []string, name string) string {
	if slices.Contains(names, name) {
		return name
	}
	if i := slices.IndexFunc(names, func(other string) bool { return strings.ReplaceAll(other, "-", "_") == name }); i >= 0 {
		return names[i]
	}
	return ""
}

// split returns the name and the field that a variable is made of, or nothing.
func (e *environment) split(section, rest string, t reflect.Type) (name, field string) {
	lower, certain := strings.ToLower(rest), false
	for _, f := range fieldNames(t) {
		n, ok := strings.CutSuffix(lower, "_"+f)
		if !ok || n == "" {
			continue
		}
		there := meant(e.known.all[section], n)
		if certain == (there != "") && len(f) > len(field) || !certain && there != "" {
			name, field, certain = cmp.Or(there, n), f, there != ""
		}
	}
	return name, field
}

// misspelt says why a name that is new is none, but a misspelt one or one with a
// part of a misspelt field, or "".
func (e *environment) misspelt(section, name, field string, t reflect.Type) string {
	if slices.Contains(e.known.file[section], name) {
		return ""
	}
	of, file := structName(t), e.known.file[section]
	variable := func(name, field string) string {
		return e.prefix + strings.ToUpper(section+"_"+strings.ReplaceAll(name, "-", "_")+"_"+field)
	}
	if !slices.Contains(e.known.all[section], name) {
		for _, other := range e.others(section, t) {
			rest, ok := strings.CutPrefix(name, strings.ReplaceAll(other, "-", "_")+"_")
			if ok && (slices.Contains(file, other) || isFieldWord(rest)) {
				return fmt.Sprintf("%s has no field %s (%[1]s has: %[3]s), and a new one may not have the name %[4]s beside %[5]s",
					of, strings.ToUpper(rest+"_"+field), strings.ToUpper(strings.Join(fieldNames(t), ", ")), quoteName(name), quoteName(other))
			}
		}
	}
	if near := suggest.Nearest(name, file); near != "" && strings.Trim(name, digits) != strings.Trim(near, digits) {
		return fmt.Sprintf("the file has no %s (did you mean %s?); a new name has to be less like another", quoteName(name), variable(near, field))
	}
	return ""
}

// others are the names of a section that there are, and those that variables
// make.
func (e *environment) others(section string, t reflect.Type) []string {
	names := slices.Clone(e.known.all[section])
	for variable := range e.values {
		if rest, ok := strings.CutPrefix(variable, strings.ToUpper(section)+"_"); ok {
			if name, field := e.split(section, rest, t); field != "" {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// isFieldWord reports whether a part of a name is made of the words of fields.
func isFieldWord(part string) bool {
	words := strings.Split(strings.Join(append(fieldNames(storeType), fieldNames(regionType)...), "_"), "_")
	for word := range strings.SplitSeq(part, "_") {
		if !slices.Contains(words, word) {
			return false
		}
	}
	return true
}
