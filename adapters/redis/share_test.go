package redis

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/faultproxy"
	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

// crowd calls f in n goroutines at the same moment. With one processor most of
// them are ready when one yields.
func crowd(n int, f func(i int)) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// gathered repeats a test, each time with a store that has not yet found out
// whether gathering pays, until some commands have travelled together.
func gathered(t *testing.T, client *goredis.Client, test func(s *Store)) {
	t.Helper()
	var batches atomic.Int64
	client.AddHook(hook{pipeline: func(ctx context.Context, cmds []goredis.Cmder, next goredis.ProcessPipelineHook) error {
		greeting := cmds[0].Name() == "hello" || cmds[0].Name() == "client"
		alone := len(cmds) == 4 && cmds[0].Name() == "multi" && cmds[1].Name() == "set" // a Set by itself
		if cmds[0].Name() != "multi" && slices.ContainsFunc(cmds, func(cmd goredis.Cmder) bool { return cmd.Name() == "set" }) {
			t.Error("a Set is no transaction")
		}
		if !greeting && !alone {
			batches.Add(1)
			if !slices.ContainsFunc(cmds, goredis.Cmder.NoRetry) {
				t.Error("the client may repeat a batch, though some may have given up")
			}
		}
		return next(ctx, cmds)
	}})
	for range 100 {
		test(newStore(t, client, &Options{Prefix: unique(t), Timeout: patience}))
		if batches.Load() > 0 {
			return
		}
	}
	t.Error("nothing travelled together")
}

func TestCommandsOfOneMomentTravelTogether(t *testing.T) {
	for name, ctx := range map[string]context.Context{"never done": context.Background(), "may be done": t.Context()} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, testservers.Redis(t).Addr)
			gathered(t, client, func(s *Store) {
				crowd(100, func(i int) {
					key, value := fmt.Sprint("key", i), fmt.Sprint("value", i)
					if _, err := s.Get(ctx, key); err != store.ErrNotFound {
						t.Errorf("Get of an absent key: %v", err)
					}
					if err := s.Set(ctx, key, []byte(value), time.Hour); err != nil {
						t.Errorf("Set: %v", err)
					}
					if got, err := s.Get(ctx, key); string(got) != value || err != nil {
						t.Errorf("Get: %q, %v, want %q", got, err, value)
					}
					if ttl, err := s.TTL(ctx, key); ttl < 59*time.Minute || ttl > time.Hour || err != nil {
						t.Errorf("TTL: %v, %v", ttl, err)
					}
					if err := s.Touch(ctx, key, time.Minute); err != nil {
						t.Errorf("Touch: %v", err)
					}
					if err := s.Delete(ctx, key); err != nil {
						t.Errorf("Delete: %v", err)
					}
					if err := s.Touch(ctx, key, time.Minute); err != store.ErrNotFound {
						t.Errorf("Touch of an absent key: %v", err)
					}
				})
			})
		})
	}
}

// What is wrong with one command must not be wrong with the others.
func TestAnErrorIsItsOwnersAlone(t *testing.T) {
	client := newClient(t, testservers.Redis(t).Addr)
	gathered(t, client, func(s *Store) {
		if err := client.LPush(t.Context(), s.prefix+"list", "x").Err(); err != nil {
			t.Fatal(err)
		}
		crowd(100, func(i int) {
			key := fmt.Sprint("key", i)
			if i%10 == 0 {
				key = "list"
			}
			switch _, err := s.Get(t.Context(), key); {
			case key == "list" && !errors.Is(err, store.ErrUnavailable):
				t.Errorf("a list: got %v", err)
			case key != "list" && err != store.ErrNotFound:
				t.Errorf("%s: got %v", key, err)
			}
		})
	})
}

// A connection that breaks under a batch costs a repeat of each command.
func TestABatchWhoseAnswersAreLost(t *testing.T) {
	proxy := faultproxy.New(t, testservers.Redis(t).Addr)
	client := newClient(t, proxy.Addr)
	gathered(t, client, func(s *Store) {
		for range 10 {
			crowd(50, func(i int) {
				if i == 25 {
					proxy.DropReply()
				}
				key, value := fmt.Sprint("key", i), fmt.Sprint("value", i)
				if err := s.Set(t.Context(), key, []byte(value), time.Hour); err != nil {
					t.Errorf("Set: %v", err)
				}
				if got, err := s.Get(t.Context(), key); string(got) != value || err != nil {
					t.Errorf("Get: %q, %v, want %q", got, err, value)
				}
			})
		}
	})
}

// While a batch is stuck, those of its callers return whose context ends, also
// the one who drives, and the others get their answers.
func TestSomeOfABatchGiveUp(t *testing.T) {
	client := newClient(t, testservers.Redis(t).Addr)
	var (
		ctx      context.Context
		cancel   context.CancelFunc
		quitters sync.WaitGroup
	)
	client.AddHook(hook{pipeline: func(ctx context.Context, cmds []goredis.Cmder, next goredis.ProcessPipelineHook) error {
		cancel()
		quitters.Wait()
		return next(ctx, cmds)
	}})
	gathered(t, client, func(s *Store) {
		ctx, cancel = context.WithCancel(t.Context())
		quitters.Add(50)
		crowd(100, func(i int) {
			if i%2 == 0 {
				if _, err := s.Get(context.Background(), "k"); err != store.ErrNotFound {
					t.Errorf("who does not give up got %v", err)
				}
				return
			}
			defer quitters.Done()
			if _, err := s.Get(ctx, "k"); err != store.ErrNotFound && !errors.Is(err, context.Canceled) {
				t.Errorf("who gives up got %v", err)
			}
		})
		cancel()
	})
}

// A hook that panics does so to the one who drives. The others must not take
// what was not answered for an answer.
func TestAHookPanics(t *testing.T) {
	client := newClient(t, testservers.Redis(t).Addr)
	prefix := unique(t)
	if err := client.Set(t.Context(), prefix+"k", "v", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	client.AddHook(hook{pipeline: func(context.Context, []goredis.Cmder, goredis.ProcessPipelineHook) error {
		panic("the hook")
	}})
	var panics atomic.Int64
	for round := 0; panics.Load() == 0; round++ {
		if round == 100 {
			t.Fatal("nothing travelled together")
		}
		s := newStore(t, client, &Options{Prefix: prefix, Timeout: patience})
		crowd(100, func(int) {
			defer func() {
				if recover() != nil {
					panics.Add(1)
				}
			}()
			if value, err := s.Get(context.Background(), "k"); string(value) != "v" || err != nil {
				t.Errorf("got %q, %v", value, err)
			}
		})
	}
}
