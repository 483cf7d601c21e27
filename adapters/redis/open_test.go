package redis

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

func openURL(t *testing.T, text string) (*Store, error) {
	t.Helper()
	s, err := store.Open(t.Context(), text)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { store.Close(s) })
	return s.(*Store), nil
}

func TestOpen(t *testing.T) {
	for name, address := range map[string]func(t *testing.T) string{
		"redis":      func(t *testing.T) string { return "redis://" + testservers.Redis(t).Addr + "/3?" },
		"redis+unix": func(t *testing.T) string { return "redis+unix://" + testservers.Redis(t).Socket + "?db=3&" },
		"rediss": func(t *testing.T) string {
			server := testservers.RedisTLS(t)
			user := url.UserPassword(server.Username, server.Password)
			return "rediss://" + user.String() + "@" + server.Addr + "?ca_file=" + url.QueryEscape(server.CAFile) + "&"
		},
		"rediss with a name": func(t *testing.T) string {
			server := testservers.RedisTLS(t)
			user := url.UserPassword(server.Username, server.Password)
			return "rediss://" + user.String() + "@" + server.Addr + "?server_name=localhost&ca_file=" + url.QueryEscape(server.CAFile) + "&"
		},
		"redis+cluster": func(t *testing.T) string {
			return "redis+cluster://" + strings.Join(testservers.RedisCluster(t).Addrs, ",") + "?"
		},
		"redis+sentinel": func(t *testing.T) string {
			sentinel := testservers.RedisSentinel(t)
			return "redis+sentinel://" + strings.Join(sentinel.Addrs, ",") + "/3?master_name=" + sentinel.MasterName + "&"
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := openURL(t, address(t)+"prefix="+url.QueryEscape(unique(t))+"&ttl=1h&timeout=30s")
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Set(t.Context(), "k", []byte("v"), store.DefaultTTL); err != nil {
				t.Fatal(err)
			}
			value, ttl, err := s.GetWithTTL(t.Context(), "k")
			if string(value) != "v" || ttl > time.Hour || ttl < time.Hour-time.Minute || err != nil {
				t.Errorf("got %q, %v, %v", value, ttl, err)
			}
			if err := s.Clear(t.Context()); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if err := s.client.Ping(context.Background()).Err(); !errors.Is(err, goredis.ErrClosed) {
				t.Errorf("the client was left open: %v", err)
			}
		})
	}
}

func TestOpenConfiguresTheClient(t *testing.T) {
	s, err := openURL(t, "redis://user:pw@[::1]/2?prefix=p:&ttl=1d&timeout=3s&read_timeout=200ms&write_timeout=300ms&dial_timeout=400ms&pool_size=7")
	if err != nil {
		t.Fatal(err)
	}
	got := s.client.(*goredis.Client).Options()
	if got.Addr != "[::1]:6379" || got.Username != "user" || got.Password != "pw" || got.DB != 2 || got.PoolSize != 7 ||
		got.ReadTimeout != 200*time.Millisecond || got.WriteTimeout != 300*time.Millisecond || got.DialTimeout != 400*time.Millisecond {
		t.Errorf("the client has %+v", got)
	}
	if s.prefix != "p:" || s.ttl != 24*time.Hour || s.timer.timeout != 3*time.Second || !s.prompt {
		t.Errorf("the store has prefix %q, ttl %v, timeout %v, prompt %v", s.prefix, s.ttl, s.timer.timeout, s.prompt)
	}

	s, err = openURL(t, "redis+unix:///run/redis.sock?db=1&username=user&password=pw")
	if err != nil {
		t.Fatal(err)
	}
	got = s.client.(*goredis.Client).Options()
	if got.Network != "unix" || got.Addr != "/run/redis.sock" || got.Username != "user" || got.Password != "pw" || got.DB != 1 ||
		got.ReadTimeout != time.Second || got.DialTimeout != time.Second || !got.ContextTimeoutEnabled {
		t.Errorf("the client has %+v", got)
	}

	s, err = openURL(t, "redis+cluster://user:pw@a,b:7000?tls=on&server_name=c")
	if err != nil {
		t.Fatal(err)
	}
	cluster := s.client.(*goredis.ClusterClient).Options()
	if strings.Join(cluster.Addrs, " ") != "a:6379 b:7000" || cluster.Password != "pw" || cluster.TLSConfig.ServerName != "c" || !s.prompt {
		t.Errorf("the client has %+v", cluster)
	}

	s, err = openURL(t, "redis+sentinel://user:pw@a,b:7000/2?master_name=main&sentinel_username=su&sentinel_password=sp")
	if err != nil {
		t.Fatal(err)
	}
	if got = s.client.(*goredis.Client).Options(); got.DB != 2 || got.Password != "pw" || !s.prompt {
		t.Errorf("the client has %+v", got)
	}
}

func TestOpenRefuses(t *testing.T) {
	noCertificate := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(noCertificate, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"redis:":                                    "no host; write redis://localhost:6379",
		"redis:///0":                                "no host",
		"redis://a,b":                               "redis+cluster://",
		"redis://a/b":                               "the number of a database",
		"redis://a/-1":                              "the number of a database",
		"redis://:secret@a/0?prefx=x":               `did you mean "prefix"?`,
		"redis://:secret@a/0?ttl=-1s":               "ttl",
		"redis://:secret@a/0?ttl=300":               "no unit",
		"redis://:secret@a/0?timeout=x":             "timeout",
		"redis://:secret@a/0?pool_size=many":        "pool_size",
		"redis://:secret@a/0?db=1":                  "db",
		"redis://:secret@a/0?ca_file=/x":            "ca_file",
		"rediss://:secret@a/0?ca_file=/absent":      "no such file",
		"rediss://a/0?ca_file=" + noCertificate:     "no certificate",
		"redis+cluster://a/1":                       "database 0 alone",
		"redis+cluster:":                            "no host",
		"redis+cluster://a?tls=perhaps":             "tls",
		"redis+sentinel://a":                        "master_name",
		"redis+sentinel://a?mastername=main":        `did you mean "master_name"?`,
		"redis+sentinel:?master_name=main":          "no host; write redis+sentinel://localhost:26379",
		"redis+unix://host/run/redis.sock":          "redis+unix:///run/redis.sock",
		"redis+unix:run/redis.sock":                 "absolute path",
		"redis+unix:":                               "absolute path",
		"redis+unix:///run/redis.sock?password=a&x": "not written name=value",
	} {
		s, err := openURL(t, text)
		if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, %v, want an error about %q", text, s, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the password: %v", text, err)
		}
	}
}

// A program can start while Redis is down.
func TestOpenDoesNotConnect(t *testing.T) {
	s, err := openURL(t, "redis://localhost:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Ping: got %v, want ErrUnavailable", err)
	}
}
