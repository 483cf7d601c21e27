package cairn_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/cairncache/cairn"

// A rule says what some packages may import besides the standard library, and
// why no more. A * at the end of a path stands for the rest of it.
type rule struct {
	packages string
	imports  []string
	reason   string
}

// rules has one for each package; a package without one fails the test.
// "testing" counts as an import of its own, as it would reach every binary.
var rules = []rule{
	{".", nil, "the landing page of the documentation has no code"},
	{"store", []string{"internal/suggest"}, "everyone imports the contract, so it costs nothing"},
	{"store/storetest", []string{"store"}, "fakes for every user's tests bring nothing along"},
	{"conformance", []string{"store", "testing*"}, "an adapter's author gets the suite and no other dependency"},
	{"lock", []string{"store"}, "a lock costs the standard library alone, whichever store holds it"},
	{"memo", []string{"store", "internal/flight"}, "a memoized function costs the standard library alone, whichever backend is chosen"},
	{"memo/compress", []string{"memo", "github.com/klauspost/compress/zstd", "github.com/klauspost/compress/s2"}, "only who compresses gets the library that does it"},
	{"internal/suggest", nil, "what finds a misspelled word needs no more than the words"},
	{"internal/diskurl", []string{"store"}, "it is the part of an adapter that the command needs to know"},
	{"internal/flight", nil, "the concurrency core can be read and tested by itself"},
	{"internal/await", nil, "adapters share it, so it knows none of their clients"},
	{"internal/gather", nil, "adapters share it, so it knows none of their clients"},
	{"internal/faultproxy", []string{"testing"}, "tests alone use it"},
	{"internal/testservers", []string{"testing"}, "tests alone use it"},
	{"internal/testprocess", []string{"testing"}, "tests alone use it"},
	{"internal/testreport", []string{"conformance", "testing"}, "tests alone use it"},
	{"adapters/memory", []string{"store", "adapters/memory/internal/cache"}, "the store that most programs begin with brings nothing along"},
	{"adapters/memory/internal/cache", nil, "the engine knows nothing of stores, and can be read and tested by itself"},
	{"adapters/redis", []string{"store", "internal/await", "internal/gather", "github.com/redis/go-redis/v9*"}, "only who imports an adapter gets its client"},
	{"adapters/memcache", []string{"store", "internal/await", "github.com/bradfitz/gomemcache/memcache"}, "only who imports an adapter gets its client"},
	{"adapters/layered", []string{"store", "internal/await"}, "layers are made of any stores, so they know none of their clients"},
	{"adapters/disk", []string{"store", "internal/diskurl"}, "files need no client, and the system's locks no library"},
	{"adapters/null", []string{"store"}, "an adapter without a client"},
	{"cmd/cairn", []string{"store", "config", "conformance", "memo", "memo/compress", "adapters/*", "internal/diskurl", "internal/suggest", "github.com/redis/go-redis/v9/logging"}, "the command uses what users can import, and has the client of Redis print nothing beside its errors"},
	{"config", []string{"store", "memo", "adapters/layered", "internal/suggest", "go.yaml.in/yaml/v3"}, "the program imports the adapters of the schemes that it uses, and no other comes along"},
	{"examples/*", []string{"store", "memo", "config", "adapters/*"}, "examples use what users can import"},
}

// testOnly are the packages that nothing but tests imports.
var testOnly = []string{"store/storetest", "conformance", "internal/faultproxy", "internal/testprocess", "internal/testreport", "internal/testservers"}

type goPackage struct {
	ImportPath string
	Imports    []string
	Standard   bool
	Module     *struct{ Path string }
}

func TestImports(t *testing.T) {
	for _, p := range list(t, "./...") {
		path := local(p.ImportPath)
		i := slices.IndexFunc(rules, func(r rule) bool { return match(r.packages, path) })
		if i < 0 {
			t.Errorf("%s: no rule says what it may import; add one with its reason", path)
			continue
		}
		for _, imported := range p.Imports {
			if standard(imported) && !strings.HasPrefix(imported, "testing") {
				continue
			}
			imported = local(imported)
			if !slices.ContainsFunc(rules[i].imports, func(pattern string) bool { return match(pattern, imported) }) {
				t.Errorf("%s imports %s, but may import %q alone: %s", path, imported, rules[i].imports, rules[i].reason)
			}
			if imported == "conformance" && path == "cmd/cairn" {
				continue // conformance.Check is made for it
			}
			if slices.Contains(testOnly, imported) && !slices.Contains(testOnly, path) {
				t.Errorf("%s imports %s, which is for tests", path, imported)
			}
		}
	}
}

// What a user's binary gets from the packages that everyone imports.
func TestDependencies(t *testing.T) {
	for _, p := range list(t, "-deps", "./store", "./store/storetest", "./memo", "./lock", "./conformance") {
		if !p.Standard && (p.Module == nil || p.Module.Path != module) {
			t.Errorf("store, memo, lock and conformance need the standard library and our own packages only, not %s", p.ImportPath)
		}
	}
}

// Who does not import config gets no YAML, whichever adapters it imports.
func TestYAMLComesWithConfigAlone(t *testing.T) {
	for _, p := range list(t, "-deps", ".", "./store/...", "./memo/...", "./lock/...", "./conformance/...", "./adapters/...") {
		if strings.Contains(p.ImportPath, "yaml") {
			t.Errorf("there is %s", p.ImportPath)
		}
	}
}

func list(t *testing.T, args ...string) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Imports,Standard,Module"}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		if e := (*exec.ExitError)(nil); errors.As(err, &e) {
			t.Fatalf("go list: %v\n%s", err, e.Stderr)
		}
		t.Fatal(err)
	}
	var packages []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// local is the path of a package within the module, and of others the whole.
func local(path string) string {
	if path == module {
		return "."
	}
	return strings.TrimPrefix(path, module+"/")
}

func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func match(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return pattern == path
}
