package config

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/cairncache/cairn/memo"
)

func full() *Config {
	return &Config{
		Default: "pages",
		Lazy:    true,
		Stores: map[string]Store{
			"local":  {URL: "memory:?max_entries=10000", TTL: 30 * time.Second},
			"shared": {URL: "redis://localhost:6379/0", Prefix: "app:", TTL: 10 * time.Minute},
			"pages": {
				Layers: []string{"local", "shared"}, Coherence: "watch:2s", Timeout: 200 * time.Millisecond,
				MaxTTL: 36 * time.Hour, Degraded: "serve:10s",
			},
		},
		Regions: map[string]Region{
			"short": {TTL: time.Minute, Stale: 5 * time.Minute, Absent: 10 * time.Second, Jitter: 0.1, RefreshAhead: 0.8, EarlyRefresh: 1},
			"user":  {Parent: "short", Namespace: "user", Store: "shared", Stale: memo.Off, Jitter: memo.Off},
			"slow":  {SoftTimeout: memo.Off, LoadTimeout: time.Hour, WaitTimeout: 2 * time.Second, Retry: 500 * time.Millisecond},
		},
	}
}

var right = map[string]*Config{
	"full.yaml": full(),
	"full.json": full(),
	"full.env":  full(),
	"one.env": {
		Default: "default",
		Stores:  map[string]Store{"default": {URL: "redis://user:secret@prod:6379/0"}},
	},
	"stacks.yaml": {
		Stores: map[string]Store{
			"my-shared": {URL: "redis://localhost", TTL: 10 * time.Minute},
			"local":     {URL: "memory:", TTL: 30 * time.Second},
			"pages":     {Layers: []string{"local", "my-shared"}, Timeout: time.Second},
		},
		Regions: map[string]Region{"short": {TTL: time.Minute, Stale: 5 * time.Minute}},
	},
	"over.env": { // over stacks.yaml
		Default: "far",
		Stores: map[string]Store{
			"far":       {URL: "memory:", Prefix: "far:"},
			"my-shared": {URL: "redis://localhost", TTL: time.Minute},
			"local":     {Layers: []string{"my-shared", "far"}},
			"pages":     {URL: "redis://other:6379"},
		},
		Regions: map[string]Region{"short": {TTL: memo.Off, Stale: 5 * time.Minute}},
	},
	"over_url.env": { // over stacks.yaml
		Default: "default",
		Stores: map[string]Store{
			"default":   {URL: "null:"},
			"my-shared": {URL: "redis://localhost", TTL: 10 * time.Minute},
			"local":     {URL: "memory:", TTL: 30 * time.Second},
			"pages":     {Layers: []string{"local", "my-shared"}, Timeout: time.Second},
		},
		Regions: map[string]Region{"short": {TTL: time.Minute, Stale: 5 * time.Minute}},
	},
	"default_stack.yaml": {
		Default: "default",
		Stores: map[string]Store{
			"near":    {URL: "memory:"},
			"far":     {URL: "redis://localhost"},
			"default": {Layers: []string{"near", "far"}, Coherence: "watch", MaxTTL: 5 * time.Minute},
		},
	},
	"over_default.env": { // over default_stack.yaml
		Default: "default",
		Stores: map[string]Store{
			"near":    {URL: "memory:"},
			"far":     {URL: "redis://localhost"},
			"default": {URL: "null:"},
		},
	},
	"names_with_fields.env": {
		Default: "max",
		Stores: map[string]Store{
			"max":        {URL: "memory:", TTL: 5 * time.Minute},
			"my_ttl":     {URL: "memory:"},
			"my_max_ttl": {URL: "memory:", TTL: time.Minute},
		},
	},
	"split.env": {
		Default: "my_max",
		Stores:  map[string]Store{"my_max": {URL: "memory:", TTL: 5 * time.Minute}, "my_max_two": {URL: "memory:"}},
		Regions: map[string]Region{"user": {TTL: 5 * time.Minute}, "user_list": {TTL: time.Minute}},
	},
	"over_new.env": { // over stacks.yaml
		Default: "pages",
		Stores: map[string]Store{
			"my-shared": {URL: "redis://localhost", TTL: 10 * time.Minute},
			"local":     {URL: "memory:", TTL: 30 * time.Second},
			"local_big": {URL: "memory:"},
			"pages":     {Layers: []string{"local", "my-shared"}, Timeout: time.Second},
		},
		Regions: map[string]Region{"short": {TTL: time.Minute, Stale: 5 * time.Minute}},
	},
	"aliases.yaml": {
		Default: "local",
		Stores: map[string]Store{
			"local": {URL: "memory:", TTL: 30 * time.Second},
			"other": {URL: "memory:", TTL: 30 * time.Second, Prefix: "other:"},
			"third": {URL: "null:", TTL: 30 * time.Second},
		},
	},
	"variables.yaml": {
		Lazy: true,
		Stores: map[string]Store{
			"main": {URL: "redis://user:secret@prod:6380/0", Prefix: "${NAME}-$NAME--a-bc-4711", TTL: 5 * time.Minute},
		},
		Regions: map[string]Region{"short": {Jitter: 0.5, Namespace: "x }, other: { ttl: 1h }\nlazy: false"}},
	},
	"no_name.yaml": { // JSON in spite of its name
		Stores: map[string]Store{"main": {URL: "memory:", TTL: 500 * time.Millisecond}},
	},
}

func TestRight(t *testing.T) {
	files, _ := filepath.Glob("testdata/right/*")
	if len(files) != len(right) {
		t.Errorf("testdata/right has %d files, and %d are expected", len(files), len(right))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			got, err := readTestdata(t, file)
			if err != nil {
				t.Fatal(err)
			}
			got.source = source{}
			want := right[filepath.Base(file)]
			if len(got.Regions) == 0 {
				got.Regions = nil
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%+v, want\n%+v", got, want)
			}
		})
	}
}

func TestDefaultName(t *testing.T) {
	for name, want := range map[string]string{"full.yaml": "pages", "stacks.yaml": "pages", "variables.yaml": "main"} {
		c, err := readTestdata(t, "testdata/right/"+name)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.DefaultName(); got != want {
			t.Errorf("%s: the default is %q, not %q", name, got, want)
		}
	}
}
