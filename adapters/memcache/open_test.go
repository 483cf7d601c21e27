package memcache

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

func TestOpen(t *testing.T) {
	addr := testservers.Memcached(t).Addr
	for name, url := range map[string]string{
		"tcp":  "memcache://" + addr + "?prefix=" + newPrefix() + "&ttl=1m&timeout=3s&max_idle_conns=7",
		"unix": "memcache+unix://" + testservers.MemcachedSocket(t).Socket + "?prefix=" + newPrefix() + "&ttl=1m&timeout=3s&max_idle_conns=7",
	} {
		opened, err := store.Open(t.Context(), url)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s := opened.(*Store)
		if s.client.Timeout != 3*time.Second || s.client.MaxIdleConns != 7 {
			t.Errorf("%s: Timeout is %v, MaxIdleConns %d", name, s.client.Timeout, s.client.MaxIdleConns)
		}
		mustSet(t, s, "k", "v", store.DefaultTTL)
		if ttl, err := s.TTL(t.Context(), "k"); ttl <= 0 || ttl > time.Minute || err != nil {
			t.Errorf("%s: TTL = %v, %v", name, ttl, err)
		}
		wantErr(t, "Ping", s.Ping(t.Context()), nil)
		wantErr(t, "Close", store.Close(s), nil)
		wantErr(t, "Set", s.Set(t.Context(), "k", nil, 0), store.ErrClosed)
	}
}

// Open connects to nothing and looks up no names.
func TestOpenIsLazy(t *testing.T) {
	s, err := store.Open(t.Context(), "memcache://nowhere.invalid,127.0.0.1:1,[::1]")
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(s)
	c := s.(*Store).client.Client
	if c.MaxIdleConns != defaultMaxIdleConns || c.Timeout != 0 {
		t.Errorf("MaxIdleConns is %d, Timeout %v", c.MaxIdleConns, c.Timeout)
	}
	wantErr(t, "Ping", store.Ping(t.Context(), s), store.ErrUnavailable)
}

func TestOpenRefuses(t *testing.T) {
	for url, text := range map[string]string{
		"memcache:":                      "the host is missing",
		"memcache:///run/memcached.sock": "the host is missing",
		"memcache://host/0":              "a path has no meaning here",
		"memcache://user:secret@host":    "cannot log in with a name and password",
		"memcache+unix://host/socket":    "memcache+unix:///run/memcached.sock",
		"memcache+unix:socket":           "memcache+unix:///run/memcached.sock",
		"memcache://host?ttl=300":        "ttl:",
		"memcache://host?timout=1s":      `did you mean "timeout"`,
		"memcache://host?prefix=a%20b":   "Options.Prefix",
	} {
		s, err := store.Open(t.Context(), url)
		if s != nil || !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Open(%q) = %v, want ErrInvalid with %q", url, err, text)
		}
	}
}

// Two programs with one list, one with gomemcache's selector and one with
// ours, find the same keys.
func TestServersAreGomemcaches(t *testing.T) {
	hosts := []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}
	var theirs memcache.ServerList
	if err := theirs.SetServers(hosts...); err != nil {
		t.Fatal(err)
	}
	u, err := store.ParseURL("memcache://" + strings.Join(hosts, ","))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := serversOf(u)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		key := strings.Repeat("k", i%250+1)
		a, err1 := theirs.PickServer(key)
		b, err2 := ours.PickServer(key)
		if err1 != nil || err2 != nil || a.String() != b.String() {
			t.Fatalf("%q is on %v and on %v", key, a, b)
		}
	}
	var each []string
	err = ours.Each(func(addr net.Addr) error { each = append(each, addr.String()); return nil })
	if err != nil || !slices.Equal(each, hosts) {
		t.Errorf("Each gives %q, %v", each, err)
	}
}
