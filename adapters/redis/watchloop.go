package redis

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/store"
)

// firstPause is the longest pause before a lost connection is made again for
// the first time.
const firstPause = 10 * time.Millisecond

// topologyPause is how often the masters of a cluster are looked up.
const topologyPause = time.Second

// channelTries is how many names of channels are tried until each master of a
// cluster has one. It is enough for a master with one slot out of 16384.
const channelTries = 200_000

// keepWatching tells the Watchers of the store until the life of the watch ends.
func (s *Store) keepWatching(life context.Context) {
	pause := firstPause
	for {
		proven, err := s.watchOnce(life)
		s.watch.fail(life, err)
		if proven {
			pause = firstPause
		}
		select {
		case <-life.Done():
			return
		case <-time.After(pause/2 + mathrand.N(pause/2)):
		}
		pause = min(2*pause, s.watchDelta/2)
	}
}

// watchOnce watches all servers until one of them fails, and returns why.
func (s *Store) watchOnce(life context.Context) (proven bool, err error) {
	ctx, fail := context.WithCancelCause(life)
	defer fail(nil)
	servers, err := s.watchedServers(ctx)
	if err != nil {
		return false, err
	}
	p := &proofs{sent: make([]time.Time, len(servers))}
	var tasks sync.WaitGroup
	for i, server := range servers {
		l := &line{s: s, watched: server, life: life, tracks: !s.publishes}
		l.proven = func(sent time.Time) {
			p.add(i, sent, func(sent time.Time) {
				s.watch.fail(life, nil)
				s.watch.tell(life, func(w store.Watcher) { w.Proven(sent) })
			})
		}
		tasks.Go(func() { fail(l.serve(ctx)) })
	}
	if s.cluster != nil {
		tasks.Go(func() { fail(s.followMasters(ctx, servers)) })
	}
	tasks.Wait()
	return !p.all.IsZero(), context.Cause(ctx)
}

// proofs are those of all servers, of which the oldest counts.
type proofs struct {
	mu   sync.Mutex
	sent []time.Time // by server: when the newest heartbeat that came back was sent
	all  time.Time
}

// add calls proven if a proof of one server proves something of all.
func (p *proofs) add(server int, sent time.Time, proven func(sent time.Time)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent[server] = sent
	for _, other := range p.sent {
		if other.Before(sent) { // the zero time too
			sent = other
		}
	}
	if sent.After(p.all) {
		p.all = sent
		proven(sent)
	}
}

// watched is a server to watch.
type watched struct {
	opts    *goredis.Options // those of its client, to be copied
	channel string           // of heartbeats: random, and on a cluster in a slot of this server
	sharded bool
}

func beatChannel() string { return "cairn:beat:" + rand.Text() }

// watchedServers returns the servers that hold keys of their own.
func (s *Store) watchedServers(ctx context.Context) ([]watched, error) {
	channel := beatChannel()
	if s.cluster == nil {
		client := s.client.(interface{ Options() *goredis.Options }) // see adopt
		return []watched{{opts: client.Options(), channel: channel}}, nil
	}
	return exchange(ctx, s, func(ctx context.Context) ([]watched, error) {
		missing, err := s.masters(ctx)
		if err != nil {
			return nil, err
		}
		var servers []watched
		for i := 0; len(missing) > 0; i++ {
			if i == channelTries {
				return nil, errors.New("a master of the cluster has no slot")
			}
			channel := fmt.Sprint(channel, ":", i)
			master, err := s.cluster.MasterForKey(ctx, channel)
			if err = cmp.Or(err, ctx.Err()); err != nil {
				return nil, err
			}
			if addr := master.Options().Addr; missing[addr] {
				delete(missing, addr)
				servers = append(servers, watched{opts: master.Options(), channel: channel, sharded: true})
			}
		}
		if len(servers) == 0 {
			return nil, errors.New("the cluster has no master")
		}
		return servers, nil
	})
}

// masters asks the cluster for the addresses of its masters.
func (s *Store) masters(ctx context.Context) (map[string]bool, error) {
	var mu sync.Mutex
	addrs := make(map[string]bool)
	err := s.cluster.ForEachMaster(ctx, func(_ context.Context, master *goredis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		addrs[master.Options().Addr] = true
		return nil
	})
	return addrs, err
}

// followMasters returns when the masters are others than those.
func (s *Store) followMasters(ctx context.Context, those []watched) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(topologyPause):
		}
		now, err := exchange(ctx, s, s.masters)
		if err != nil {
			continue // the heartbeats will show whether this matters
		}
		same := len(now) == len(those)
		for _, server := range those {
			same = same && now[server.opts.Addr]
		}
		if !same {
			return errors.New("the cluster has got other masters")
		}
	}
}
