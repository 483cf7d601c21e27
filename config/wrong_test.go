package config

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cairncache/cairn/store"
)

// variables are those that the files in testdata name. All of them are secret.
var variables = map[string]string{
	"REDIS_URL": "redis://user:secret@prod:6380/0",
	"BAD_URL":   "redis://user:secret/1@prod:6380",
	"BAD_PORT":  "6380secret",
	"SECRET":    "secret",
	"NUMBER":    "4711",
	"LOCAL":     "local",
	"EMPTY":     "",
	"INJECTION": "x }, other: { ttl: 1h }\nlazy: false",
}

func lookup(name string) (string, bool) {
	value, ok := variables[name]
	return value, ok
}

// parseTest is Parse with the variables of the tests.
func parseTest(data []byte, name string, lookup func(string) (string, bool)) (*Config, error) {
	c := &Config{source: source{name: name}}
	return c, c.finish(c.read(data, lookup))
}

// readTestdata reads a file of testdata as what its name says that it is.
func readTestdata(t *testing.T, path string) (*Config, error) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(path) == ".env" {
		return fromEnv("CAIRN", strings.Split(string(data), "\n"), lookup)
	}
	return parseTest(data, filepath.Base(path), lookup)
}

// Each file in testdata/wrong has the text of its error beside it. With
// CAIRN_UPDATE in the environment the texts are written anew.
func TestWrong(t *testing.T) {
	files, _ := filepath.Glob("testdata/wrong/*")
	n := 0
	for _, file := range files {
		if filepath.Ext(file) == ".txt" {
			continue
		}
		n++
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := readTestdata(t, file)
			if err == nil {
				t.Fatal("nothing was found to be wrong")
			}
			if missing := strings.HasPrefix(filepath.Base(file), "env_config_missing"); !missing && !errors.Is(err, store.ErrInvalid) {
				t.Errorf("%v does not match store.ErrInvalid", err)
			}
			for _, value := range []string{"secret", "prod:", "4711", "6380"} {
				if strings.Contains(err.Error(), value) {
					t.Errorf("the error shows %q of a variable or a password:\n%v", value, err)
				}
			}
			checkPlaces(t, file, err)
			golden(t, file+".txt", err.Error()+"\n")
		})
	}
	if n < 60 {
		t.Errorf("testdata/wrong has %d files, not 60", n)
	}
}

var (
	inLine     = regexp.MustCompile(`^config [a-z_.]+\.(yaml|json):[0-9]+:[0-9]+: `)
	inVariable = regexp.MustCompile(`^config: CAIRN_[A-Za-z0-9_*]*: `)
)

// checkPlaces checks that each line of an error says where it is.
func checkPlaces(t *testing.T, file string, err error) {
	t.Helper()
	for line := range strings.Lines(err.Error()) {
		placed := inLine.MatchString(line) || inVariable.MatchString(line) || strings.HasPrefix(line, "config testdata/")
		if !placed && strings.HasPrefix(line, "config") && !strings.HasPrefix(line, "config: and ") {
			t.Errorf("%s: the error does not say where: %s", file, line)
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if os.Getenv("CAIRN_UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("%s is not what was found (%v); run this test with CAIRN_UPDATE=1 and read the difference\ngot:\n%s\nwant:\n%s", file, err, got, want)
	}
}
