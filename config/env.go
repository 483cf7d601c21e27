package config

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/cairncache/cairn/internal/suggest"
)

// FromEnv makes a Config of the environment variables whose names begin with
// prefix and an underscore. For the prefix CAIRN they are
//
//	CAIRN_URL                     the URL of a store named default, which is the default
//	CAIRN_DEFAULT, CAIRN_LAZY     the fields of a Config
//	CAIRN_STORES_<NAME>_<FIELD>   a field of a store, such as CAIRN_STORES_LOCAL_MAX_TTL
//	CAIRN_REGIONS_<NAME>_<FIELD>  a field of a region
//	CAIRN_CONFIG                  the path of a file, as for Load, which the others are laid over
//
// Names and fields are those of a file in upper case, with _ for a -, and lists
// have commas between what is in them. Of several fields that a name may end
// with, the one that leaves the name of a store or region which there is, or
// else the longest is meant. A variable that is empty is as if it were not set.
// What they hold is taken as it is: ${NAME} has a meaning in a file alone.
//
// A new name over a file must be no misspelt one of the file, nor such a name
// with an _ and more behind it, but for a store with a URL or layers: what does
// not fit may be a misspelt field.
//
// A variable that gives a store of the file its URL takes away its layers with
// what belongs to them, and one that gives it layers takes away the URL.
//
// Everything else with the prefix is an error, which tells what may have been
// meant, so the prefix belongs to a Config alone: MYAPP_CACHE, not MYAPP. But the
// variables that Kubernetes sets for a service of that name are passed over, and so
// are CAIRN_MEMO_VERIFY and the like of package memo. The errors are as those of
// Parse, with the name of a variable in place of a line. No variable without the
// prefix is read, but those that the file names.
func FromEnv(prefix string) (*Config, error) {
	return fromEnv(prefix, os.Environ(), os.LookupEnv)
}

func fromEnv(prefix string, environ []string, lookup func(string) (string, bool)) (*Config, error) {
	c := new(Config)
	if !goodPrefix.MatchString(prefix) {
		return nil, c.errorf("", "FromEnv: a prefix has letters, digits and _, and does not end in _, as in CAIRN")
	}
	e := &environment{Config: c, prefix: prefix + "_", lookup: lookup, values: make(map[string]string)}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		if rest, ok := strings.CutPrefix(name, e.prefix); ok && value != "" && !strings.HasPrefix(name, "CAIRN_MEMO_") && !ofService(rest) {
			e.values[rest] = value
		}
	}
	errs := e.read()
	if err := c.finish(errs); err != nil {
		return nil, err
	}
	return c, nil
}

var (
	goodPrefix = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_]*[A-Za-z0-9])?$`)

	// kubernetes sets these for a service whose name is the prefix.
	kubernetes = regexp.MustCompile(`^([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)
)

// ofService reports whether Kubernetes sets a variable, and none of ours could be
// meant.
func ofService(variable string) bool {
	return kubernetes.MatchString(variable) && !strings.HasPrefix(variable, "STORES_") && !strings.HasPrefix(variable, "REGIONS_")
}

// An environment lays variables over a Config.
type environment struct {
	*Config
	prefix string
	values map[string]string // by what follows the prefix
	known  known
	lookup func(string) (string, bool)
	errs   []error
}

func (e *environment) read() []error {
	e.source.at = make(map[string]position)
	if path, ok := e.values["CONFIG"]; ok {
		if err := e.file(path); err != nil {
			e.mark("", "CONFIG")
			return append(e.errs, e.errorf("", "%w", err))
		}
	} else {
		e.mark("", "*")
		e.mark("default", "DEFAULT")
		e.mark("stores", "STORES_*")
		if len(e.values) == 0 {
			return append(e.errs, e.errorf("", "no such variable is set; the least is %sURL=memory:", e.prefix))
		}
	}
	if e.Stores == nil {
		e.Stores = make(map[string]Store)
	}
	if e.Regions == nil {
		e.Regions = make(map[string]Region)
	}
	e.known = e.knownNames()
	names := slices.Sorted(maps.Keys(e.values))
	for _, name := range names {
		e.replace(name)
	}
	for _, name := range names {
		e.variable(name, e.values[name])
	}
	return e.errs
}

// file reads the file that the variables are laid over.
func (e *environment) file(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return err
	}
	e.source.name = path
	e.errs = e.Config.read(data, e.lookup)
	return nil
}

// mark says where a part of the Config comes from, if nothing says it yet.
func (e *environment) mark(path, variable string) {
	if _, ok := e.source.at[path]; !ok {
		e.source.at[path] = position{variable: e.prefix + variable}
	}
}

// fail reports a mistake in the name of a variable.
func (e *environment) fail(variable, format string, args ...any) {
	name := e.prefix + variable
	e.errs = append(e.errs, &problem{position: position{variable: name}, path: name, err: fmt.Errorf(format, args...)})
}

// replace makes room for what a variable replaces in the file.
func (e *environment) replace(variable string) {
	name, field := "default", "url"
	if rest, ok := strings.CutPrefix(variable, "STORES_"); ok {
		name, field = e.split("stores", rest, storeType)
	} else if variable != "URL" {
		return
	}
	s := e.Stores[name]
	switch field {
	case "url":
		s.Layers, s.Coherence, s.Timeout, s.MaxTTL, s.Degraded = nil, "", 0, 0, ""
	case "layers":
		s.URL, s.TTL = "", 0
	default:
		return
	}
	if _, ok := e.Stores[name]; ok {
		e.Stores[name] = s
	}
}

var (
	storeType  = reflect.TypeFor[Store]()
	regionType = reflect.TypeFor[Region]()
)

// variable sets what a variable says.
func (e *environment) variable(variable, value string) {
	root := reflect.ValueOf(e.Config).Elem()
	switch section, rest, _ := strings.Cut(variable, "_"); {
	case variable == "CONFIG":
	case variable == "URL" && e.values["STORES_DEFAULT_URL"] != "":
		e.fail(variable, "%sSTORES_DEFAULT_URL is given too, and means the same; leave one of them out", e.prefix)
	case variable == "URL":
		s := e.Stores["default"]
		s.URL = value
		e.Stores["default"] = s
		e.at("stores.default.url", variable)
		e.mark("stores.default", variable)
		if e.values["DEFAULT"] == "" {
			e.Default = "default"
			e.at("default", variable)
		}
	case variable == "DEFAULT" || variable == "LAZY":
		field := strings.ToLower(variable)
		e.set(field, variable, value, root.Field(slices.Index(fieldNames(root.Type()), field)))
	case section == "STORES":
		e.entry("stores", variable, rest, value, reflect.ValueOf(e.Stores))
	case section == "REGIONS":
		e.entry("regions", variable, rest, value, reflect.ValueOf(e.Regions))
	default:
		e.unknown(variable, section, rest)
	}
}

// entry sets a field of a store or region.
func (e *environment) entry(section, variable, rest, value string, entries reflect.Value) {
	t := entries.Type().Elem()
	name, field := e.split(section, rest, t)
	problem := cmp.Or(nameProblem(name), e.misspelt(section, name, field, t))
	switch {
	case field == "":
		e.unknownField(section, variable, rest, t)
		return
	case rest != strings.ToUpper(rest):
		e.fail(variable, "it has lower-case letters; write %s", e.prefix+strings.ToUpper(variable))
		return
	case problem != "":
		e.fail(variable, "%s", problem)
		return
	}
	entry := reflect.New(t).Elem()
	if old := entries.MapIndex(reflect.ValueOf(name)); old.IsValid() {
		entry.Set(old)
	}
	path := inside(section, name)
	e.mark(path, strings.ToUpper(section+"_"+name)+"_*")
	e.set(inside(path, field), variable, value, entry.Field(slices.Index(fieldNames(t), field)))
	entries.SetMapIndex(reflect.ValueOf(name), entry)
}

// set gives a field the value of a variable.
func (e *environment) set(path, variable, value string, field reflect.Value) {
	e.at(path, variable)
	if field.Kind() == reflect.Slice {
		field.SetZero()
		for item := range strings.SplitSeq(value, ",") {
			field.Set(reflect.Append(field, reflect.ValueOf(strings.TrimSpace(item))))
		}
		return
	}
	if err := set(path, value, field); err != nil {
		e.errs = append(e.errs, e.errorf(path, "%w", err))
	}
}

// at says that a variable and no line of the file is where a part comes from.
func (e *environment) at(path, variable string) {
	isPart := func(other string) bool { return other == path || strings.HasPrefix(other, path+"[") }
	maps.DeleteFunc(e.source.at, func(other string, _ position) bool { return isPart(other) })
	maps.DeleteFunc(e.source.hidden, func(other string, _ hidden) bool { return isPart(other) })
	e.mark(path, variable)
}

// unknownField tells which field was meant at the end of a name.
func (e *environment) unknownField(section, variable, rest string, t reflect.Type) {
	var fields []string
	for _, f := range fieldNames(t) {
		fields = append(fields, strings.ToUpper(f))
	}
	section = e.prefix + strings.ToUpper(section) + "_"
	if slices.Contains(fields, rest) {
		e.fail(variable, "%s has to have a name here; write %s<NAME>_%s", structName(t), section, rest)
		return
	}
	meant := ""
	for i := range rest {
		if i > 0 && rest[i-1] == '_' && meant == "" {
			if near := suggest.Nearest(rest[i:], fields); near != "" {
				meant = "did you mean " + section + rest[:i] + near + "? "
			}
		}
	}
	e.fail(variable, "it ends in no field of %s (%[2]s%[1]s has: %[3]s)", structName(t), meant, strings.Join(fields, ", "))
}

// unknown tells which variable was meant.
func (e *environment) unknown(variable, section, rest string) {
	near := suggest.Nearest(variable, []string{"URL", "DEFAULT", "LAZY", "CONFIG"})
	if s := suggest.Nearest(section, []string{"STORES", "REGIONS"}); near == "" && s != "" && rest != "" {
		near = s + "_" + rest
	}
	if near != "" {
		e.fail(variable, "there is no such variable (did you mean %s?)", e.prefix+near)
		return
	}
	own := e.prefix + "CACHE"
	if outer, ok := strings.CutSuffix(e.prefix, "CACHE_"); ok {
		own = outer + "CAIRN"
	}
	e.fail(variable, "there is no such variable, but %[1]sURL, %[1]sDEFAULT, %[1]sLAZY, %[1]sCONFIG, %[1]sSTORES_<NAME>_<FIELD> and %[1]sREGIONS_<NAME>_<FIELD>; "+
		"if it belongs to something else, call FromEnv with a prefix for the cache alone, such as %[2]s", e.prefix, own)
}
