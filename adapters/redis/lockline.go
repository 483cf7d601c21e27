package redis

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// lockLine is one connection by which a server tells of locks, from its dialing
// to its end.
type lockLine struct {
	line
	pause time.Duration // after its end, until the next one is made

	// Under lockWatch.mu:
	over  bool      // it takes no subscriptions any more
	asked []lockAsk // what to do next about subscriptions
	asks  chan struct{}

	mu      sync.Mutex
	leaving map[string]int // unsubscriptions that are not confirmed, by channel
}

// lockAsk is a subscription to begin or to end.
type lockAsk struct {
	channel string
	begin   bool
}

// newLockLine makes the next line to a server, after the one that was the last.
func (s *Store) newLockLine(life context.Context, server watched, last *lockLine) *lockLine {
	l := &lockLine{line: line{s: s, watched: server, life: life}, pause: firstPause}
	l.asks, l.leaving = make(chan struct{}, 1), make(map[string]int)
	if last != nil {
		l.pause = last.pause
	}
	return l
}

// ask requires lockWatch.mu.
func (l *lockLine) ask(channel string, begin bool) {
	l.asked = append(l.asked, lockAsk{channel, begin})
	wake(l.asks)
}

// run serves until the connection fails, and gives up the subscriptions after a
// pause.
func (l *lockLine) run() {
	proven, err := l.serve()
	if l.sharded && goredis.HasErrorPrefix(err, "ERR unknown command") {
		l.s.locks.mu.Lock()
		l.s.locks.plain = true
		l.s.locks.mu.Unlock()
	}
	if proven {
		l.pause = firstPause
	}
	select {
	case <-l.life.Done():
	case <-time.After(l.pause/2 + mathrand.N(l.pause/2)):
	}
	l.pause = min(2*l.pause, l.s.watchDelta/2)
	if l.s.cluster != nil && l.life.Err() == nil {
		_, _ = exchange(l.life, l.s, l.s.masters) // makes the client ask who has which slots
	}
	l.s.locks.unplace(l)
}

// serve connects and tells those who wait what comes, until the connection
// fails, proves nothing for too long, or the life ends. It returns which.
func (l *lockLine) serve() (proven bool, err error) {
	ctx, fail := context.WithCancelCause(l.life)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer fail(nil)
	tasks.Go(func() { <-ctx.Done(); l.close() }) // see line.serve
	patience := l.s.watchDelta + l.s.watchDelta/4
	watchdog := time.AfterFunc(l.s.timer.timeout, func() {
		fail(fmt.Errorf("the server did not let locks be watched within %v", l.s.timer.timeout))
	})
	defer func() { watchdog.Stop() }()

	client := goredis.NewClient(l.options())
	defer client.Close()
	pubsub := client.Subscribe(ctx)
	defer pubsub.Close()
	if err := l.begin(ctx, pubsub, l.channel); err != nil {
		return false, l.reason(ctx, err)
	}
	for {
		m, err := pubsub.Receive(ctx)
		if err != nil {
			return proven, l.reason(ctx, err)
		}
		switch m := m.(type) {
		case *goredis.Subscription:
			if !strings.HasSuffix(m.Kind, "unsubscribe") && m.Channel == l.channel {
				watchdog.Stop()
				watchdog = time.AfterFunc(patience, func() { fail(l.silent()) })
				tasks.Go(func() { l.beat(ctx, time.Now()) })
				tasks.Go(func() { fail(l.write(ctx, pubsub)) })
			} else if err := l.changed(m); err != nil {
				return proven, err
			}
		case *goredis.Message:
			if m.Channel == l.channel {
				proven = true
				watchdog.Reset(patience)
			} else {
				l.s.locks.tell(m.Channel)
			}
		}
	}
}

// changed takes note of what the server says about a subscription. With one
// that begins, what came before may have been missed.
func (l *lockLine) changed(m *goredis.Subscription) error {
	if !strings.HasSuffix(m.Kind, "unsubscribe") {
		l.s.locks.tell(m.Channel)
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leaving[m.Channel] == 0 { // a cluster ends a subscription when the slot moves
		return fmt.Errorf("the server has changed the subscription: %v", m)
	}
	if l.leaving[m.Channel]--; l.leaving[m.Channel] == 0 {
		delete(l.leaving, m.Channel)
	}
	return nil
}

// write does what is asked about subscriptions until ctx ends.
func (l *lockLine) write(ctx context.Context, pubsub *goredis.PubSub) error {
	for {
		l.s.locks.mu.Lock()
		asked := l.asked
		l.asked = nil
		l.s.locks.mu.Unlock()
		for _, a := range asked {
			do := l.end
			if a.begin {
				do = l.begin
			}
			if err := do(ctx, pubsub, a.channel); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.asks:
		}
	}
}

// begin asks for one channel at a time: they may be in different slots.
func (l *lockLine) begin(ctx context.Context, pubsub *goredis.PubSub, channel string) error {
	if l.sharded {
		return pubsub.SSubscribe(ctx, channel)
	}
	return pubsub.Subscribe(ctx, channel)
}

func (l *lockLine) end(ctx context.Context, pubsub *goredis.PubSub, channel string) error {
	l.mu.Lock()
	l.leaving[channel]++
	l.mu.Unlock()
	if l.sharded {
		return pubsub.SUnsubscribe(ctx, channel)
	}
	return pubsub.Unsubscribe(ctx, channel)
}
