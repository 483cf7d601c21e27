package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/cairncache/cairn/store"
)

func init() {
	for _, scheme := range []string{"redis", "rediss", "redis+unix", "redis+cluster", "redis+sentinel"} {
		store.Register(scheme, open)
	}
}

// open is the store.Opener of this package. It connects to nothing, so that a
// program can start while Redis is down.
func open(_ context.Context, u *store.URL) (store.Store, error) {
	opts := &Options{
		Prefix: u.Text("prefix"), TTL: u.Duration("ttl"), Timeout: u.Duration("timeout"),
		WatchDelta: u.Duration("watch_delta"),
	}
	switch way := u.Word("watching"); way {
	case "", WatchTracking.String():
	case WatchPublish.String():
		opts.Watching = WatchPublish
	default:
		return nil, u.Errorf("watching: %q is neither %v nor %v", way, WatchTracking, WatchPublish)
	}
	c := clientOptions(u, cmp.Or(opts.Timeout, time.Second))
	secure := u.Scheme == "rediss"
	if u.Scheme == "redis+cluster" || u.Scheme == "redis+sentinel" {
		secure = u.Bool("tls")
	}
	var serverName, caFile string
	if secure {
		serverName, caFile = u.Text("server_name"), u.Text("ca_file")
	}
	err := u.Err()
	if err == nil {
		err = locate(u, c)
	}
	if err == nil && secure {
		c.TLSConfig, err = tlsConfig(u, serverName, caFile)
	}
	if err != nil {
		return nil, err
	}
	s, err := New(goredis.NewUniversalClient(c), opts)
	if err != nil {
		return nil, u.Errorf("%w", err)
	}
	s.own = true
	return s, nil
}

// clientOptions reads the parameters that are the client's. The defaults suit
// a cache: rather fail soon than wait long.
func clientOptions(u *store.URL, timeout time.Duration) *goredis.UniversalOptions {
	c := &goredis.UniversalOptions{
		Username:              u.Username,
		Password:              u.Password,
		ContextTimeoutEnabled: true,
		MaxRetries:            1,
		DialerRetries:         1,
		DialTimeout:           cmp.Or(u.Duration("dial_timeout"), time.Second),
		ReadTimeout:           cmp.Or(u.Duration("read_timeout"), timeout),
		WriteTimeout:          cmp.Or(u.Duration("write_timeout"), timeout),
		PoolSize:              u.Int("pool_size"),
		// Some hosted services announce their maintenance to clients that ask
		// for it; every other server would be asked in vain.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	switch u.Scheme {
	case "redis+unix":
		c.DB = u.Int("db")
		c.Username, c.Password = u.Text("username"), u.Text("password")
	case "redis+cluster":
		c.IsClusterMode = true
		c.MaxRetries = 0 // MaxRedirects bounds the repeats there
	case "redis+sentinel":
		c.MasterName = u.Text("master_name")
		c.SentinelUsername, c.SentinelPassword = u.Text("sentinel_username"), u.Text("sentinel_password")
	}
	return c
}

// locate reads the hosts and the path.
func locate(u *store.URL, c *goredis.UniversalOptions) (err error) {
	port := "6379"
	switch u.Scheme {
	case "redis+unix":
		if len(u.Hosts) > 0 || !strings.HasPrefix(u.Path, "/") {
			return u.Errorf("not the absolute path of a socket; write redis+unix:///run/redis.sock")
		}
		c.Addrs = []string{u.Path}
		return nil
	case "redis+sentinel":
		port = "26379"
		if c.MasterName == "" {
			return u.Errorf("master_name: missing; it is what the sentinels call the server")
		}
	case "redis", "rediss":
		if len(u.Hosts) > 1 {
			return u.Errorf("several hosts; write redis+cluster:// or redis+sentinel:// for them")
		}
	}
	if c.Addrs, err = addresses(u, port); err != nil {
		return err
	}
	c.DB, err = database(u)
	return err
}

// addresses returns the hosts with the port that is usual where there is none.
func addresses(u *store.URL, port string) ([]string, error) {
	if len(u.Hosts) == 0 {
		return nil, u.Errorf("no host; write %s://localhost:%s, for example", u.Scheme, port)
	}
	addrs := make([]string, len(u.Hosts))
	for i, host := range u.Hosts {
		addrs[i] = host
		if _, _, err := net.SplitHostPort(host); err != nil {
			addrs[i] = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
	}
	return addrs, nil
}

// database reads the path, which is the number of a database.
func database(u *store.URL) (int, error) {
	text := strings.TrimPrefix(u.Path, "/")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n < 0:
		return 0, u.Errorf("the path is not the number of a database, as in %s://localhost/0", u.Scheme)
	case n > 0 && u.Scheme == "redis+cluster":
		return 0, u.Errorf("a cluster has database 0 alone; leave out /%d", n)
	}
	return n, nil
}

// tlsConfig trusts the certificates in a file, or those of the system.
func tlsConfig(u *store.URL, serverName, caFile string) (*tls.Config, error) {
	config := &tls.Config{ServerName: serverName, MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, u.Errorf("ca_file: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, u.Errorf("ca_file: %q holds no certificate in PEM", caFile)
	}
	return config, nil
}
