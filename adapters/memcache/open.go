package memcache

import (
	"context"
	"errors"
	"hash/crc32"
	"net"
	"strings"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/cairncache/cairn/store"
)

const (
	defaultPort         = "11211"
	defaultMaxIdleConns = 128
)

func init() {
	store.Register("memcache", open)
	store.Register("memcache+unix", open)
}

// open makes a Store from a URL such as
//
//	memcache://h1:11211,h2:11211?timeout=100ms&prefix=app:&ttl=10m
//	memcache+unix:///run/memcached.sock
//
// with the parameters prefix, ttl, timeout (500ms) and max_idle_conns (128).
// It connects to nothing.
func open(_ context.Context, u *store.URL) (store.Store, error) {
	opts := &Options{Prefix: u.Text("prefix"), TTL: u.Duration("ttl")}
	timeout, idle := u.Duration("timeout"), u.Int("max_idle_conns")
	if err := u.Err(); err != nil {
		return nil, err
	}
	if u.Username != "" || u.Password != "" {
		return nil, u.Errorf("the client cannot log in with a name and password; leave them out, or log in by the DialContext of a client that you give to memcache.New")
	}
	servers, err := serversOf(u)
	if err != nil {
		return nil, err
	}
	c := memcache.NewFromSelector(servers)
	c.Timeout = timeout
	c.MaxIdleConns = idle
	if idle == 0 {
		c.MaxIdleConns = defaultMaxIdleConns
	}
	s, err := New(c, opts)
	if err != nil {
		return nil, u.Errorf("%w", errors.Unwrap(err))
	}
	s.owned = true
	return s, nil
}

func serversOf(u *store.URL) (servers, error) {
	if u.Scheme == "memcache+unix" {
		if len(u.Hosts) > 0 || !strings.HasPrefix(u.Path, "/") {
			return nil, u.Errorf("the path of a socket is missing; write memcache+unix:///run/memcached.sock, with three slashes")
		}
		return servers{address{"unix", u.Path}}, nil
	}
	switch {
	case len(u.Hosts) == 0:
		return nil, u.Errorf("the host is missing; write memcache://localhost:11211")
	case u.Path != "" && u.Path != "/":
		return nil, u.Errorf("a path has no meaning here; write the prefix of keys as ?prefix=app:")
	}
	list := make(servers, len(u.Hosts))
	for i, host := range u.Hosts {
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), defaultPort)
		}
		list[i] = address{"tcp", host}
	}
	return list, nil
}

// servers is a memcache.ServerSelector that picks the same server for a key as
// gomemcache's own of the same list. Unlike that it looks up a host's name
// when it connects, not once and for all when it is made.
type servers []net.Addr

func (s servers) PickServer(key string) (net.Addr, error) {
	return s[crc32.ChecksumIEEE([]byte(key))%uint32(len(s))], nil
}

func (s servers) Each(f func(net.Addr) error) error {
	for _, addr := range s {
		if err := f(addr); err != nil {
			return err
		}
	}
	return nil
}

type address struct{ network, text string }

func (a address) Network() string { return a.network }
func (a address) String() string  { return a.text }
