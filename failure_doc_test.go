package cairn_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/cairncache/cairn/adapters/disk"
	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/lock"
	"github.com/cairncache/cairn/memo"
)

// Each statement that docs/failure.md makes about layers, disk and locks names a
// test that shows it, as `package.TestName`, and the tests and figures that it
// names exist.
func TestFailurePage(t *testing.T) {
	b, err := os.ReadFile("docs/failure.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	exist := make(map[string]bool)
	for pkg, dir := range map[string]string{"memo": "memo", "layered": "adapters/layered", "redis": "adapters/redis", "disk": "adapters/disk", "lock": "lock"} {
		for _, name := range testsIn(t, dir) {
			exist[pkg+"."+name] = true
		}
	}
	for _, m := range regexp.MustCompile("`([^`]*\\bTest[^`]*)`").FindAllStringSubmatch(page, -1) {
		if !exist[m[1]] {
			t.Errorf("there is no test %s", m[1])
		}
	}
	figures := map[string]reflect.Type{
		"layered.Stats": reflect.TypeFor[layered.Stats](),
		"memo.Stats":    reflect.TypeFor[memo.Stats](),
		"memo.Trace":    reflect.TypeFor[memo.Trace](),
		"disk.Stats":    reflect.TypeFor[disk.Stats](),
		"lock.Stats":    reflect.TypeFor[lock.Stats](),
		"lock.Trace":    reflect.TypeFor[lock.Trace](),
	}
	for _, m := range regexp.MustCompile("`(\\w+\\.(?:Stats|Trace))\\.([^`]*)`").FindAllStringSubmatch(page, -1) {
		if !hasField(figures[m[1]], m[2]) {
			t.Errorf("there is no field %s.%s", m[1], m[2])
		}
	}
	_, layers, ok := strings.Cut(page, "\n## Layers\n")
	if !ok {
		t.Fatal("there is no section Layers")
	}
	for line := range strings.Lines(layers) {
		statement := strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "| |") && !strings.HasPrefix(line, "|-")
		if statement && !strings.Contains(line, ".Test") {
			t.Errorf("no test is named: %s", line)
		}
	}
}

// testsIn returns the names of the tests of a package.
func testsIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no tests (%v)", dir, err)
	}
	test := regexp.MustCompile(`(?m)^func (Test\w+)\(\w+ \*testing\.T\)`)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range test.FindAllStringSubmatch(string(b), -1) {
			names = append(names, m[1])
		}
	}
	return names
}

// hasField reports whether a struct has the field of a path such as A.B.
func hasField(of reflect.Type, path string) bool {
	for name := range strings.SplitSeq(path, ".") {
		if of == nil || of.Kind() != reflect.Struct {
			return false
		}
		f, ok := of.FieldByName(name)
		if !ok {
			return false
		}
		of = f.Type
	}
	return true
}
