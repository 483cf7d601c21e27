package store_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/cairncache/cairn/store"
)

// A closing store tells when it is closed.
type closing struct {
	store.Store
	name string
	told func(string) error
}

func (c closing) Close() error { return c.told(c.name) }

// layersMux opens stores that are named by their URL, and layers of them.
func layersMux(opened *[]string, told func(string) error) *store.Mux {
	mux := new(store.Mux)
	one := func(_ context.Context, u *store.URL) (store.Store, error) {
		u.Duration("ttl")
		u.Text("prefix")
		if err := u.Err(); err != nil {
			return nil, err
		}
		*opened = append(*opened, u.String())
		return closing{newMap(), u.String(), told}, nil
	}
	mux.Register("memory", one)
	mux.Register("redis", one)
	mux.Register("layered", func(ctx context.Context, u *store.URL) (store.Store, error) {
		*opened = append(*opened, "layered?"+u.Text("watch"))
		if err := u.Err(); err != nil {
			return nil, err
		}
		layers, err := u.OpenLayers(ctx)
		if err != nil {
			return nil, err
		}
		return layers[len(layers)-1], nil
	})
	return mux
}

func TestOpenLayers(t *testing.T) {
	for text, want := range map[string][]string{
		"memory:|redis://h":                                {"layered?", "memory:", "redis://h"},
		"memory: | redis://h/0?prefix=app:":                {"layered?", "memory:", "redis://h/0?prefix=app:"},
		"\n memory: \n|\tredis://h\n":                      {"layered?", "memory:", "redis://h"},
		"layered:?watch=1s | memory: | redis://h":          {"layered?1s", "memory:", "redis://h"},
		"LAYERED:?watch=1s|memory:|redis://h":              {"layered?1s", "memory:", "redis://h"},
		"memory:?ttl=1s | memory:?ttl=2s | redis://h":      {"layered?", "memory:?ttl=1s", "memory:?ttl=2s", "redis://h"},
		"memory:|redis://u:p%7Cq@h":                        {"layered?", "memory:", "redis://xxxxx@h"},
		"redis://u:p@h1|redis://u:p@h2":                    {"layered?", "redis://xxxxx@h1", "redis://xxxxx@h2"},
		"memory:?prefix=a%7Cb%40c | redis://u:p@h1?ttl=1s": {"layered?", "memory:xxxxx", "redis://xxxxx@h1?ttl=1s"},
		"redis://h1:1,h2:2/0|redis://[::1]:6379":           {"layered?", "redis://h1:1,h2:2/0", "redis://[::1]:6379"},
	} {
		var opened []string
		s, err := layersMux(&opened, nil).Open(t.Context(), text)
		if s == nil || err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if text == "memory:?prefix=a%7Cb%40c | redis://u:p@h1?ttl=1s" {
			want[1] = opened[1] // it hides much
		}
		if !reflect.DeepEqual(opened, want) {
			t.Errorf("%q:\ngot  %q\nwant %q", text, opened, want)
		}
	}
}

func TestOpenLayersErrors(t *testing.T) {
	for _, test := range []struct{ url, want string }{
		{"memory: | redis://u:p@h?tttl=5m", `open "redis://xxxxx@h?tttl=5m": unknown parameter "tttl" (did you mean "ttl"? redis takes: prefix, ttl)`},
		{"memory: | redis://h:99999", `open "redis://h:99999": port 99999 is not between 1 and 65535`},
		{"memory: | redsi://u:p@h", `open "redsi://xxxxx@h": unknown scheme "redsi" (did you mean "redis"? registered: layered, memory, redis)`},
		{"memory: | rediss://h", `open "rediss://h": scheme "rediss" is not registered; import _ "github.com/cairncache/cairn/adapters/redis"`},
		{"layered:?wacht=1s | memory: | redis://h", `open "layered:?wacht=1s | memory: | redis://h": unknown parameter "wacht" (did you mean "watch"? layered takes: watch)`},
		{"layered:?watch=1s", `open "layered:?watch=1s": layered: needs two layers or more behind it, as in layered:?watch=1s | memory: | redis://localhost:6379/0`},
		{"layered:?watch=1s | memory:", `open "layered:?watch=1s | memory:": layered: needs two layers or more behind it, as in layered:?watch=1s | memory: | redis://localhost:6379/0`},
		{"memory: | layered:?watch=1s | redis://h", `open "memory: | layered:?watch=1s | redis://h": layered: stands behind a |; write it first, with the parameters for all layers`},
		{" | memory:", `open "| memory:": nothing stands before the first |`},
		{"memory: | ", `open "memory: |": behind a | comes the URL of a layer; write %7C for a | that belongs to a name, a password or a parameter, and %40 for an @ there`},
		{"memory: || redis://h", `open "memory: |": behind a | comes the URL of a layer; write %7C for a | that belongs to a name, a password or a parameter, and %40 for an @ there`},
		{"memory: | localhost", `open "memory: | localhost": behind a | comes the URL of a layer; write %7C for a | that belongs to a name, a password or a parameter, and %40 for an @ there`},
		{"redis://u:12|34@h", `open "redis://xxxxx@h": behind a | comes the URL of a layer; write %7C for a | that belongs to a name, a password or a parameter, and %40 for an @ there`},
		{"memory: | redis://u:12 | x:34@h", `open "redis://xxxxx@h": behind a | comes the URL of a layer; write %7C for a | that belongs to a name, a password or a parameter, and %40 for an @ there`},
	} {
		var opened []string
		s, err := layersMux(&opened, func(string) error { return nil }).Open(t.Context(), test.url)
		if s != nil || !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%q: %v, %v; want ErrInvalid", test.url, s, err)
			continue
		}
		if got := err.Error(); got != "store: "+test.want {
			t.Errorf("%q:\ngot  %s\nwant store: %s", test.url, got, test.want)
		}
	}
}

func TestOpenLayersClosesWhatItOpened(t *testing.T) {
	var opened, closed []string
	mux := layersMux(&opened, func(name string) error {
		closed = append(closed, name)
		return nil
	})
	_, err := mux.Open(t.Context(), "memory:?ttl=1s | memory: | redis://h?x=")
	if want := []string{"memory:?ttl=1s", "memory:"}; !reflect.DeepEqual(closed, want) {
		t.Errorf("closed %q, want %q", closed, want)
	}
	if !errors.Is(err, store.ErrInvalid) {
		t.Errorf("%v", err)
	}
}

func TestRedactLayers(t *testing.T) {
	for text, want := range map[string]string{
		"memory:|redis://u:p@h":            "memory:|redis://xxxxx@h",
		"redis://u:p@h1 | redis://u:p@h2":  "redis://xxxxx@h1 | redis://xxxxx@h2",
		"redis://u:12|34@h":                "redis://xxxxx@h",
		"redis://u:12 | 34@h":              "redis://xxxxx@h",
		"redis://u:12|x:34@h":              "redis://xxxxx@h",
		"redis://u:12|x:3|4@h | redis://h": "redis://xxxxx@h | redis://h",
		"redis://u:12|x:3 | 4@h":           "redis://xxxxx@h",
	} {
		if got := store.RedactURL(text); got != want {
			t.Errorf("RedactURL(%q) = %q, want %q", text, got, want)
		}
	}
}

// Whatever stands around a password and in it, no error shows it.
func FuzzOpenLayers(f *testing.F) {
	for _, around := range []struct{ before, middle, after string }{
		{"", "", ""},
		{"memory:|", "", "|memory:"},
		{"memory: | ", "|", " | redis://h"},
		{"layered:?watch=1s | memory:?ttl=", " | ", "?ttl=5"},
		{"layered:?watch=", "|x:", "/0?a=b@c"},
		{"redis://h?ttl=1s&", "@h | ", "|"},
		{"memory:?ttl=1s||", "/|", " |x://"},
		{"x|y:", "?", ":99999"},
	} {
		f.Add(around.before, around.middle, around.after)
	}
	f.Fuzz(func(t *testing.T, before, middle, after string) {
		if strings.Contains(middle, "|") && strings.Contains(middle, "//") {
			return // no telling it from layers
		}
		const mark = "hunter2"
		text := before + "redis://u:" + mark + middle + mark + "@h" + after
		if strings.ContainsAny(middle, "\t\n\v\f\r") || strings.Contains(before+middle+after, "hunter") {
			return
		}
		if got := store.RedactURL(text); strings.Contains(got, mark) {
			t.Errorf("RedactURL(%q) = %q", text, got)
		}
		var opened []string
		_, err := layersMux(&opened, func(string) error { return nil }).Open(t.Context(), text)
		if err != nil && strings.Contains(err.Error(), mark) {
			t.Errorf("Open(%q): %v", text, err)
		}
		for _, u := range opened {
			if strings.Contains(u, mark) && !strings.HasPrefix(u, "layered?") {
				t.Errorf("Open(%q) calls a layer %q", text, u)
			}
		}
	})
}
