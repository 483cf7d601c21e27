package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/redis/go-redis/v9/push"

	"github.com/cairncache/cairn/store"
)

// line is one connection that watches one server, from its dialing to its end.
type line struct {
	s *Store
	watched
	life   context.Context
	tracks bool // the server tells it of changes
	proven func(sent time.Time)

	mu     sync.Mutex
	dialed bool
	closed bool
	conn   net.Conn

	unsent atomic.Pointer[error] // why the last heartbeat could not be published
}

// serve connects and tells the Watchers what comes, until the connection fails,
// proves nothing for too long, or ctx ends. It returns which.
func (l *line) serve(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer fail(nil)
	// Closing the connection ends every read and write, at whatever point it
	// is. A deadline in the middle of an answer would not leave it usable.
	tasks.Go(func() { <-ctx.Done(); l.close() })
	patience := l.s.watchDelta + l.s.watchDelta/4 // the heartbeat that is awaited may have been sent a quarter ago
	watchdog := time.AfterFunc(l.s.timer.timeout, func() {
		fail(fmt.Errorf("the server did not let itself be watched within %v", l.s.timer.timeout))
	})
	defer func() { watchdog.Stop() }()

	client := goredis.NewClient(l.options())
	defer client.Close()
	if l.tracks {
		if err := client.RegisterPushNotificationHandler("invalidate", (*invalidations)(l), false); err != nil {
			return err
		}
	}
	pubsub := client.Subscribe(ctx)
	defer pubsub.Close()
	if err := l.subscribe(ctx, pubsub); err != nil {
		return l.reason(ctx, err)
	}
	l.tell(nil)
	watchdog.Stop()
	watchdog = time.AfterFunc(patience, func() { fail(l.silent()) })

	epoch := time.Now() // heartbeats say how long after this they were sent
	tasks.Go(func() { l.beat(ctx, epoch) })
	for {
		m, err := receive(ctx, pubsub)
		if err != nil {
			return l.reason(ctx, err)
		}
		if m.Channel != l.channel {
			l.invalidate([]string{m.Payload})
			continue
		}
		after, err := strconv.ParseInt(m.Payload, 10, 64)
		if sent := epoch.Add(time.Duration(after)); err == nil && !sent.After(time.Now()) {
			watchdog.Reset(patience)
			l.proven(sent)
		}
	}
}

// reason returns why the connection has ended, of which err is what was
// noticed last.
func (l *line) reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (l *line) silent() error {
	err := fmt.Errorf("no heartbeat has come back for %v", l.s.watchDelta)
	if unsent := l.unsent.Load(); unsent != nil {
		err = fmt.Errorf("%w; the last could not be published: %w", err, *unsent)
	}
	return err
}

// options are those of a client that makes one connection and never another
// one, since go-redis would make it without saying so at once.
func (l *line) options() *goredis.Options {
	opts := *l.opts
	dial := opts.Dialer
	if dial == nil {
		dial = l.opts.NewDialer()
	}
	opts.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return l.once(func() (net.Conn, error) { return dial(ctx, network, addr) })
	}
	opts.ContextTimeoutEnabled = true
	opts.DialerRetries = 1
	opts.MinIdleConns = 0
	opts.PipelinePoolSize = -1
	opts.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	opts.PushNotificationProcessor = nil // not that of the other client
	if l.tracks {
		opts.Protocol = 3
		opts.OnConnect = l.track
	}
	return &opts
}

var errOnce = errors.New("the connection is not made again")

func (l *line) once(dial func() (net.Conn, error)) (net.Conn, error) {
	l.mu.Lock()
	again := l.dialed
	l.dialed = true
	l.mu.Unlock()
	if again {
		return nil, errOnce
	}
	conn, err := dial()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	l.conn = conn
	return conn, nil
}

func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.conn != nil {
		l.conn.Close()
	}
}

// track has the server tell this connection of all changes. It is the OnConnect
// of the client.
func (l *line) track(ctx context.Context, conn *goredis.Conn) error {
	if l.opts.OnConnect != nil {
		if err := l.opts.OnConnect(ctx, conn); err != nil {
			return err
		}
	}
	// The client goes on with RESP2 if the server has no RESP3. Tracking would
	// then be turned on, and nothing told.
	err := conn.Hello(ctx, 3, "", "", "").Err()
	if err == nil {
		args := []any{"client", "tracking", "on", "bcast"}
		if l.s.prefix != "" {
			args = append(args, "prefix", l.s.prefix)
		}
		err = conn.Do(ctx, args...).Err()
	}
	if _, refused := errors.AsType[goredis.Error](err); refused && !goredis.IsPermissionError(err) {
		return fmt.Errorf("%w; the server does not offer tracking, so use WatchPublish (watching=publish)", err)
	}
	return err
}

// subscribe returns when the server has confirmed everything.
func (l *line) subscribe(ctx context.Context, pubsub *goredis.PubSub) error {
	limit, cancel := context.WithTimeout(ctx, l.s.timer.timeout)
	defer cancel()
	channels, do := []string{l.channel}, pubsub.Subscribe
	if l.sharded {
		do = pubsub.SSubscribe
	}
	if l.s.publishes {
		channels = append(channels, l.s.channel)
	}
	if err := do(limit, channels...); err != nil {
		return err
	}
	for range channels {
		m, err := pubsub.Receive(ctx)
		if err != nil {
			return err
		}
		if _, ok := m.(*goredis.Subscription); !ok {
			return fmt.Errorf("the server answered a subscription with %T", m)
		}
	}
	return nil
}

// receive returns the next message. While it waits, invalidations are told.
func receive(ctx context.Context, pubsub *goredis.PubSub) (*goredis.Message, error) {
	m, err := pubsub.Receive(ctx)
	if err != nil {
		return nil, err
	}
	message, ok := m.(*goredis.Message)
	if !ok { // a cluster ends a subscription when the slot moves
		return nil, fmt.Errorf("the server has changed the subscription: %v", m)
	}
	return message, nil
}

// beat publishes heartbeats through the client of the store until ctx ends. The
// server sends an answer after it has queued the invalidations of what was done
// before, so nobody can know of a change that is not told before the heartbeat
// that is sent then.
func (l *line) beat(ctx context.Context, epoch time.Time) {
	pause := time.NewTicker(l.s.watchDelta / 4)
	defer pause.Stop()
	for {
		nonce := strconv.FormatInt(int64(time.Since(epoch)), 10)
		_, err := exchange(ctx, l.s, func(ctx context.Context) (none, error) {
			if l.sharded {
				return none{}, l.s.client.SPublish(ctx, l.channel, nonce).Err()
			}
			return none{}, l.s.client.Publish(ctx, l.channel, nonce).Err()
		})
		if err == nil {
			l.unsent.Store(nil)
		} else if ctx.Err() == nil {
			err = l.s.explain(err)
			l.unsent.Store(&err)
		}
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}

func (l *line) tell(event func(store.Watcher)) { l.s.watch.tell(l.life, event) }

// invalidate tells that these keys of the server have changed.
func (l *line) invalidate(full []string) {
	keys := full[:0]
	for _, full := range full {
		key, ok := strings.CutPrefix(full, l.s.prefix)
		if ok && key != "" && len(key) <= store.MaxKeyLen && !isInternal(full) {
			keys = append(keys, key)
		}
	}
	if len(keys) > 0 {
		l.tell(func(w store.Watcher) { w.Invalidate(keys...) })
	}
}

// invalidations handles what tracking tells.
type invalidations line

// HandlePushNotification implements push.NotificationHandler. The notification
// is "invalidate" and a list of keys, or nil after FLUSHALL and FLUSHDB.
func (i *invalidations) HandlePushNotification(_ context.Context, _ push.NotificationHandlerContext, notification []any) error {
	l := (*line)(i)
	if len(notification) == 2 {
		if list, ok := notification[1].([]any); ok {
			keys := make([]string, 0, len(list))
			for _, key := range list {
				if key, ok := key.(string); ok {
					keys = append(keys, key)
				}
			}
			l.invalidate(keys)
			return nil
		}
	}
	l.tell(nil)
	return nil
}
