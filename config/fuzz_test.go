package config

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cairncache/cairn/store"
)

// planted is in no error, wherever it stands as a password or in a variable.
const planted = "zq9hunterzq9"

func checkError(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if !errors.Is(err, store.ErrInvalid) {
		t.Errorf("%v does not match store.ErrInvalid", err)
	}
	if strings.Contains(err.Error(), planted) {
		t.Errorf("the error shows the secret: %v", err)
	}
}

const maxFuzzed = 2000 // bytes

func FuzzParse(f *testing.F) {
	for _, folder := range []string{"right", "wrong"} {
		files, _ := filepath.Glob("testdata/" + folder + "/*")
		for _, file := range files {
			data, _ := os.ReadFile(file)
			if ext := filepath.Ext(file); ext != ".txt" && ext != ".env" && len(data) < maxFuzzed {
				f.Add(string(data), ext == ".json")
			}
		}
	}
	for _, url := range []string{"repeats:${X}", "repeats-denied:a?b=${X}", "disk:${X}", "memory:?${X}", "memory:?max_entries=${X}&ttl=${X}"} {
		f.Add(`stores: { main: { url: "`+url+`" } }`, false)
	}
	f.Fuzz(func(t *testing.T, data string, json bool) {
		if len(data) > maxFuzzed {
			t.Skip("it is slow")
		}
		name := "f.yaml"
		if json {
			name = "f.json"
		}
		for _, value := range []string{planted, "redis://user:" + planted + "@h:x", "memory:?ttl=" + planted, ""} {
			c, err := parseTest([]byte(data), name, func(string) (string, bool) { return value, true })
			checkError(t, err)
			if err == nil && c.check() != nil {
				t.Errorf("what was read is refused: %v", c.check())
			}
			if err == nil {
				openEach(t, c)
			}
		}
	})
}

// openEach opens the stores of c that need nothing outside, one by one.
func openEach(t *testing.T, c *Config) {
	t.Helper()
	for name, st := range c.Stores {
		u, err := store.ParseURL(st.URL)
		if err != nil || !slices.Contains([]string{"memory", "null", "repeats", "repeats-denied", "disk"}, u.Scheme) {
			continue // disk is not registered here
		}
		one := &Config{Stores: map[string]Store{name: st}, source: c.source}
		s, err := one.Open(t.Context())
		if err != nil && strings.Contains(err.Error(), planted) {
			t.Errorf("the error shows the secret: %v", err)
		}
		if err == nil {
			s.Close()
		}
	}
}

func FuzzURL(f *testing.F) {
	f.Add("redis://user", "@localhost:6379/0?prefix=a")
	f.Add("redis+cluster://", "@h1:6379,h2:x")
	f.Add("redis://", "/1@h")
	f.Add("memory: | redis://", "#@h")
	f.Add("redis://h?password=a&b", "%zz@h")
	f.Fuzz(func(t *testing.T, before, after string) {
		if strings.ContainsRune(before+after, 0) {
			t.Skip("neither a variable nor YAML has it")
		}
		// What is before the password is a scheme and a name at least.
		url := "redis://" + before + ":" + planted + "@" + after
		c := &Config{Stores: map[string]Store{"main": {URL: url, Prefix: "a", TTL: 1}}}
		checkError(t, c.check())
		_, err := fromEnv("CAIRN", []string{"CAIRN_URL=" + url, "CAIRN_STORES_OTHER_TTL=" + url}, lookup)
		checkError(t, err)
		named := func(string) (string, bool) { return url, true }
		for _, data := range []string{
			`stores: { main: { url: "${X}", ttl: "${X}" }, "b": { layers: ["${X}", "${X}a"], coherence: "${X}" } }`,
			`{ "stores": { "main": { "url": "a${X}", "ttl": "1${X}" } }, "regions": { "r": { "jitter": "${X}", "store": "${X}" } } }`,
		} {
			_, err := parseTest([]byte(data), "f.yaml", named)
			checkError(t, err)
		}
		// A URL that an adapter refuses, with whatever it shows.
		for _, scheme := range []string{"repeats", "repeats-denied"} {
			for _, data := range []string{`"${X}"`, `"` + scheme + `:${Y}"`, `"` + scheme + `:a?b=c${Y}"`} {
				c, err := parseTest([]byte("stores: { main: { url: "+data+" } }"), "f.yaml", func(name string) (string, bool) {
					return map[string]string{"X": scheme + ":", "Y": ""}[name] + before + planted + after, true
				})
				checkError(t, err)
				if err == nil {
					_, err = c.Open(t.Context())
					checkRefusal(t, err, scheme == "repeats")
				}
			}
		}
	})
}

// Stores that are refused with all that an adapter knows.
func init() {
	for scheme, kind := range map[string]error{"repeats": store.ErrInvalid, "repeats-denied": os.ErrPermission} {
		store.Register(scheme, func(_ context.Context, u *store.URL) (store.Store, error) {
			err := fmt.Errorf("%w: %s, %q, %+v", kind, u.Path, u.Path, u)
			if kind == store.ErrInvalid {
				return nil, u.Errorf("%w", err)
			}
			return nil, err
		})
	}
}

// checkRefusal is checkError for an error of an adapter, in a line of the file.
func checkRefusal(t *testing.T, err error, invalid bool) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), "config f.yaml:1:24: stores.main.url: ") || strings.Contains(err.Error(), planted) {
		t.Errorf("the error has no place, or shows the secret: %v", err)
	} else if errors.Is(err, store.ErrInvalid) != invalid || !invalid && !errors.Is(err, os.ErrPermission) {
		t.Errorf("%v is of another kind", err)
	}
}

func FuzzFromEnv(f *testing.F) {
	f.Add("URL", "redis://:"+planted+"@h:x")
	f.Add("STORES_MAIN_URL", "memory:?ttl=5")
	f.Add("STORES_MAIN_LAYERS", "a,b,,redis://:"+planted+"@h")
	f.Add("STORES_MAIN_MAX_TTL", "redis://:"+planted+"@h")
	f.Add("REGIONS_A_B_STALE", "off")
	f.Add("STORE_A", "")
	f.Add("CONFIG", "testdata/right/full.yaml")
	f.Fuzz(func(t *testing.T, name, value string) {
		if strings.Contains(name, planted) || strings.Contains(name, "CONFIG") && !strings.HasPrefix(value, "testdata/right/") {
			t.Skip("a name is no secret, and other files are not ours")
		}
		if strings.Contains(value, planted) && !strings.Contains(value, ":"+planted+"@") {
			t.Skip("no password")
		}
		c, err := fromEnv("CAIRN", []string{"CAIRN_STORES_MAIN_URL=redis://user:" + planted + "@h", "CAIRN_" + name + "=" + value}, lookup)
		if err != nil && strings.Contains(name, "CONFIG") {
			return // of the file
		}
		checkError(t, err)
		if err == nil && c.check() != nil {
			t.Errorf("what was read is refused: %v", c.check())
		}
	})
}
