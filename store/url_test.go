package store_test

import (
	"context"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

func TestParseURL(t *testing.T) {
	for text, want := range map[string]store.URL{
		"memory:":                         {Scheme: "memory"},
		"MEMORY://":                       {Scheme: "memory"},
		"disk:./cache":                    {Scheme: "disk", Path: "./cache"},
		"disk:///var/c%20he":              {Scheme: "disk", Path: "/var/c he"},
		"redis://h":                       {Scheme: "redis", Hosts: []string{"h"}},
		"redis://h:6379/0":                {Scheme: "redis", Hosts: []string{"h:6379"}, Path: "/0"},
		"redis://[::1]:6379/0":            {Scheme: "redis", Hosts: []string{"[::1]:6379"}, Path: "/0"},
		"redis+cluster://h1:1,h2:2":       {Scheme: "redis+cluster", Hosts: []string{"h1:1", "h2:2"}},
		"redis://u:p%40%3A%2F@h":          {Scheme: "redis", Username: "u", Password: "p@:/", Hosts: []string{"h"}},
		"redis://:p@h":                    {Scheme: "redis", Password: "p", Hosts: []string{"h"}},
		"redis://u:a@b@h":                 {Scheme: "redis", Username: "u", Password: "a@b", Hosts: []string{"h"}},
		"redis+unix:///run/redis.sock?x=": {Scheme: "redis+unix", Path: "/run/redis.sock"},
	} {
		u, err := store.ParseURL(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := store.URL{Scheme: u.Scheme, Username: u.Username, Password: u.Password, Hosts: u.Hosts, Path: u.Path}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", text, got, want)
		}
	}
}

func TestURLParameters(t *testing.T) {
	u, err := store.ParseURL("x:?text=a%20b+c&int=7&on=on&off=false&d=1d12h&size=64MiB&empty=")
	must(t, err)
	if u.Text("text") != "a b c" || u.Int("int") != 7 || !u.Bool("on") || u.Bool("off") ||
		u.Duration("d") != 36*time.Hour || u.Size("size") != 64<<20 || !u.Has("empty") || u.Has("none") || u.Text("none") != "" {
		t.Errorf("%+v", u)
	}
	if err := u.Err(); err != nil {
		t.Error(err)
	}
}

// What is added is as what stands in the text.
func TestURLAdd(t *testing.T) {
	u, err := store.ParseURL("x:?text=a")
	must(t, err)
	must(t, u.Add("ttl", "5m"))
	must(t, u.Add("prefix", "a&b=%20:"))
	for name, value := range map[string]string{"text": "b", "ttl": "1s"} {
		if err := u.Add(name, value); !errors.Is(err, store.ErrInvalid) || err.Error() != `store: open "x:?text=a": `+name+": given twice" {
			t.Errorf("%s again: %v", name, err)
		}
	}
	if u.Text("text") != "a" || u.Duration("ttl") != 5*time.Minute || u.Text("prefix") != "a&b=%20:" || u.Err() != nil || u.String() != "x:?text=a" {
		t.Errorf("%+v", u)
	}
	must(t, u.Add("new", ""))
	if err := u.Err(); err == nil || !strings.Contains(err.Error(), `unknown parameter "new"`) {
		t.Errorf("what nobody reads: %v", err)
	}
}

func TestOpenURL(t *testing.T) {
	var mux store.Mux
	mux.Register("memory", func(_ context.Context, u *store.URL) (store.Store, error) {
		if u.Text("prefix") != "app:" {
			t.Errorf("prefix is %q", u.Text("prefix"))
		}
		return newMap(), u.Err()
	})
	parse := func(text string) *store.URL {
		u, err := store.ParseURL(text)
		must(t, err)
		must(t, u.Add("prefix", "app:"))
		return u
	}
	if s, err := mux.OpenURL(t.Context(), parse("memory:")); s == nil || err != nil {
		t.Errorf("%v, %v", s, err)
	}
	for _, u := range []*store.URL{nil, parse("memroy:")} {
		if s, err := mux.OpenURL(t.Context(), u); s != nil || !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%v: %v, %v; want ErrInvalid", u, s, err)
		}
	}
	if _, err := store.OpenURL(t.Context(), parse("memory:")); err == nil || !strings.Contains(err.Error(), "not registered; import _") {
		t.Errorf("the function: %v", err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := mux.OpenURL(done, parse("memory:")); !errors.Is(err, context.Canceled) {
		t.Errorf("with a done context: %v", err)
	}
}

// The texts are part of what we offer: each says what is wrong and what would
// be right.
func TestOpenErrors(t *testing.T) {
	var mux store.Mux
	opened := 0
	mux.Register("memory", func(_ context.Context, u *store.URL) (store.Store, error) {
		u.NoAddress()
		u.Duration("ttl")
		u.Size("max_bytes")
		u.Int("max_entries")
		u.Bool("strict")
		u.Text("prefix")
		if err := u.Err(); err != nil {
			return nil, err
		}
		opened++
		return newMap(), nil
	})
	mux.Register("redis", func(context.Context, *store.URL) (store.Store, error) { return newMap(), nil })
	for _, test := range []struct{ url, want string }{
		{"redsi://localhost:6379", `open "redsi://localhost:6379": unknown scheme "redsi" (did you mean "redis"? registered: memory, redis)`},
		{"rediss://h", `open "rediss://h": scheme "rediss" is not registered; import _ "github.com/cairncache/cairn/adapters/redis"`},
		{"gopher://h", `open "gopher://h": unknown scheme "gopher" (registered: memory, redis)`},
		{"localhost:6379", `open "localhost:6379": unknown scheme "localhost" (write redis:// or memcache:// before a host and port; registered: memory, redis)`},
		{"redsi:6379", `open "redsi:6379": unknown scheme "redsi" (did you mean "redis"? registered: memory, redis)`},
		{"memory:?ttl=300", `open "memory:?ttl=300": ttl: "300" has no unit; write 300s or 5m`},
		{"memory:?ttl=90", `open "memory:?ttl=90": ttl: "90" has no unit; write 90s or 90m`},
		{"memory:?ttl=-5s", `open "memory:?ttl=-5s": ttl: "-5s" is negative`},
		{"memory:?ttl=5x", `open "memory:?ttl=5x": ttl: "5x" is not a number with a unit (ns, us, µs, ms, s, m, h, d, w), such as 5m`},
		{"memory:?ttl=0.1ns", `open "memory:?ttl=0.1ns": ttl: "0.1ns" is less than 1ns`},
		{"memory:?ttl=400000w", `open "memory:?ttl=400000w": ttl: "400000w" is too large`},
		{"memory:?max_bytes=64", `open "memory:?max_bytes=64": max_bytes: "64" has no unit; write 64B or 64KiB`},
		{"memory:?max_bytes=", `open "memory:?max_bytes=": max_bytes: "" is not a number with a unit (B, KB, MB, GB, TB, KiB, MiB, GiB, TiB), such as 5KiB`},
		{"memory:?max_entries=many", `open "memory:?max_entries=many": max_entries: "many" is not a whole number of at least 0`},
		{"memory:?max_entries=-1", `open "memory:?max_entries=-1": max_entries: "-1" is not a whole number of at least 0`},
		{"memory:?strict=yes", `open "memory:?strict=yes": strict: "yes" is neither on nor off`},
		{"memory:?max_entires=5", `open "memory:?max_entires=5": unknown parameter "max_entires" (did you mean "max_entries"? memory takes: max_bytes, max_entries, prefix, strict, ttl)`},
		{"memory:?colour=5", `open "memory:?colour=5": unknown parameter "colour" (memory takes: max_bytes, max_entries, prefix, strict, ttl)`},
		{"memory:?TTL=5m", `open "memory:?TTL=5m": unknown parameter "TTL" (did you mean "ttl"? memory takes: max_bytes, max_entries, prefix, strict, ttl)`},
		{"memory:ttl=5m", `open "memory:ttl=5m": memory has no host and no path; write memory: with parameters after a ?`},
		{"memory://localhost", `open "memory://localhost": memory has no host and no path; write memory: with parameters after a ?`},
		{"memory:?ttl=1s&ttl=2s", `open "memory:?ttl=1s&ttl=2s": ttl: given twice`},
		{"memory:?ttl", `open "memory:?ttl": a parameter is not written name=value`},
		{"memory:?ttl=1s;max_entries=5", `open "memory:?ttl=1s;max_entries=5": a ; stands between parameters; write & there, and %3B where it belongs to a value`},
		{"memory:?ttl=%zz", `open "memory:?ttl=%zz": a parameter has a bad %-escape; write %25 for a % that stands for itself`},
		{"disk:%zz", `open "disk:%zz": the path has a bad %-escape; write %25 for a % that stands for itself`},
		{"memory:#x", `open "memory:#x": a # has no meaning here; write %23 if it belongs to a name or password`},
		{"", `open: it does not begin with a scheme and a colon, as memory: and redis://host:6379/0 do`},
		{"localhost", `open "localhost": it does not begin with a scheme and a colon, as memory: and redis://host:6379/0 do`},
		{"127.0.0.1:6379", `open "127.0.0.1:6379": it does not begin with a scheme and a colon, as memory: and redis://host:6379/0 do`},
		{"redis://h:99999", `open "redis://h:99999": port 99999 is not between 1 and 65535`},
		{"redis://h:0", `open "redis://h:0": port 0 is not between 1 and 65535`},
		{"redis://h1:1,,h2:2", `open "redis://h1:1,,h2:2": a host is empty; write localhost, for example`},
		{"redis://[::1", `open "redis://xxxxx": an address in [ ] is not IPv6`},
		{"redis://[::1]6379", `open "redis://[::1]:xxxxx": after an address in [ ] comes :port`},
		{"redis://::1", `open "redis://xxxxx": a host has more than one colon; write an IPv6 address as [::1]:6379, and a password before the host as :password@host`},
		{"redis://h:secret", `open "redis://h:xxxxx": a port is not a number; write host:6379, and a password before the host as :password@host`},
		{"redis://u:se%zzcret@h", `open "redis://xxxxx@h": the name or password has a bad %-escape; write %25 for a % that stands for itself`},
		{"redis://u:se/cret@h", `open "redis://xxxxx@h": an @ stands after the host; write %40 there, and %2F %3F %23 for / ? # in a name or password`},
		{"memory:?ttl=redis://u:secret@h", `open "memory:xxxxx": an @ stands in a parameter; write %40 there`},
		{"memory:?u:secret@h=5", `open "memory:xxxxx": an @ stands in a parameter; write %40 there`},
		{"memory:?ttl=redis%3A//u:secret%40h", `open "memory:?ttl=xxxxx": ttl: an @ has no meaning in it`},
		{"redis://localhost\n:6379", `open "redis://localhost\n:6379": a line end, a tab or another control character stands in it; write it as %0A, %09 or the like if it belongs there`},
		{"redis://u:secret @h", `open "redis://xxxxx@h": a space stands in the host, or in the name or password before it; write %20 if it belongs there`},
		{"memory: | redis://u:secret@h/0?prefix=a", `open "memory: | redis://xxxxx@h/0?prefix=a": layers are not registered; import _ "github.com/cairncache/cairn/adapters/layered"`},
	} {
		s, err := mux.Open(t.Context(), test.url)
		if s != nil || !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%q: %v, %v; want ErrInvalid", test.url, s, err)
			continue
		}
		if got := err.Error(); got != "store: "+test.want {
			t.Errorf("%q:\ngot  %s\nwant store: %s", test.url, got, test.want)
		}
	}
	if opened != 0 {
		t.Error("a store was opened all the same")
	}
	if s, err := mux.Open(t.Context(), " memory:?ttl=5m\r\n"); s == nil || err != nil {
		t.Error(err)
	}
	var none context.Context
	if _, err := mux.Open(none, "memory:"); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a nil context: %v", err)
	}
}

func TestRegisterPanics(t *testing.T) {
	open := func(context.Context, *store.URL) (store.Store, error) { return nil, nil }
	var mux store.Mux
	mux.Register("a", open)
	for name, register := range map[string]func(){
		"twice":      func() { mux.Register("a", open) },
		"empty":      func() { mux.Register("", open) },
		"upper case": func() { mux.Register("A", open) },
		"nil":        func() { mux.Register("b", nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			register()
		}()
	}
	if got := mux.Schemes(); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "90s": 90 * time.Second, "1.5h": 90 * time.Minute, "1d": 24 * time.Hour, "2w": 14 * 24 * time.Hour,
		"1h30m": 90 * time.Minute, "500ms": 500 * time.Millisecond, "7us": 7 * time.Microsecond, "7µs": 7 * time.Microsecond, "0s": 0,
	} {
		if got, err := store.ParseDuration(text); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]int64{"0": 0, "5B": 5, "1KB": 1000, "1KiB": 1024, "1.5MiB": 3 << 19, "2GB": 2e9, "1TiB": 1 << 40} {
		if got, err := store.ParseSize(text); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"1..5s", ".", "s", "1s2", "1 s", "1S", "∞"} {
		if d, err := store.ParseDuration(bad); err == nil {
			t.Errorf("%q is %v", bad, d)
		}
	}
}

// No text shows a secret, whatever it is made of.
func FuzzRedactURL(f *testing.F) {
	for _, secret := range []string{"x", "/", "?", "#", "@", "%", ":", "|", "://", " = ", "&password="} {
		f.Add(secret)
	}
	f.Fuzz(func(t *testing.T, middle string) {
		if strings.Contains(middle, " | ") || strings.ContainsAny(middle, "\t\n\v\f\r") {
			return
		}
		const mark = "hunter2"
		for _, text := range []string{"redis://u:" + mark + middle + mark + "@h", "redis://u:" + url.PathEscape(mark+middle+mark) + "@h/x"} {
			if got := store.RedactURL(text); strings.Contains(got, mark) {
				t.Errorf("RedactURL(%q) = %q", text, got)
			}
			if _, err := store.Open(t.Context(), text); err == nil || strings.Contains(err.Error(), mark) {
				t.Errorf("Open(%q): %v", text, err)
			}
		}
	})
}

func TestRedactURL(t *testing.T) {
	forms := []string{
		"redis://user:%s@host:6379/0", "redis://:%s@h", "redsi://u:%s@h?ttl=5", "redis://u:%s@h:99999", "memory: | redis://u:%s@h",
		"redis:u:%s@h", "u:%s@h", "redis://u:%s@h1:1,h2:x", "redis+sentinel://u:%s@h/0?x=%s@", "layered:?a=1 | redis://u:%s@h",
		"x:?password=%s", "x:?pasword=%s", "x:?psswd=%s", "x:?a=b&sentinel_password=%s&c=d", "x:?auth_token=%s", "x:?url=redis://u:%s@h", "x:?url=redis%3A%2F%2Fu%3A%s%40h&y=1",
	}
	secrets := []string{"hunter2", "hunter2/x", "hunter2?x", "hunter2#x", "x@hunter2", "hunter2@x", "hunter2%x", "x:hunter2", "hunter2:x", "hunter2;x", "hunter2!$'()*+,x"}
	for _, form := range forms {
		for _, secret := range secrets {
			text := strings.ReplaceAll(form, "%s", secret)
			if got := store.RedactURL(text); strings.Contains(got, "hunter2") {
				t.Errorf("RedactURL(%q) = %q", text, got)
			}
			if _, err := store.Open(t.Context(), text); err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Open(%q): %v", text, err)
			}
		}
	}
	// A password whose @host is missing stands where a port should.
	for _, text := range []string{
		"redis://app:hunter2:localhost:6379/0", "redis://:hunter2localhost:6379/0", "redis+cluster://app:hunter2:h1:1,h2:2", "app:hunter2:localhost:6379",
		"redis://app:hunter2%40localhost:6379", "redis://app@hunter2:localhost:6379/0", "redis://app:hun/hunter2:localhost:6379/0", "redis://h?user=app:hunter2",
		"redis:user:pa?hunter2=x@h", "redis://:hunter2", "redis://u:hunter2/0", "redis://u:hunter2?db=1", "redis://h1:1,h2:hunter2",
	} {
		if _, err := store.Open(t.Context(), text); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Open(%q): %v", text, err)
		}
	}
	for _, plain := range []string{"", "memory:?max_entries=5&ttl=5m", "redis://[::1]:6379/0?prefix=app:", "redis+cluster://h1:1,h2:2", "disk:///var/cache"} {
		if got := store.RedactURL(plain); got != plain {
			t.Errorf("RedactURL(%q) = %q", plain, got)
		}
	}
}
