package memo_test

import (
	"context"
	"iter"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// A stage lets actors do one step at a time. Each call of the store is a step,
// and each call of step. Who is no actor does as he likes.
type stage struct {
	turns []chan struct{} // one for each actor
}

type actorKey struct{}

func (st *stage) step(ctx context.Context) {
	if turn, ok := ctx.Value(actorKey{}).(chan struct{}); ok {
		<-turn
	}
}

func (st *stage) gate(s store.Store) store.Store {
	return storetest.Intercept(s, func(ctx context.Context, _ storetest.Call, next func(context.Context) error) error {
		st.step(ctx)
		return next(ctx)
	})
}

// A scene is what actors do, and what is to be checked when all have ended.
type scene struct {
	actors []func(context.Context)
	after  func(order []int)
}

// interleave plays a scene in each order in which the steps of its actors can
// follow each other. It is called in a bubble.
func interleave(t *testing.T, play func(*stage) scene) {
	t.Helper()
	counts := perform(t, nil, play)
	n := 0
	for order := range orders(counts) {
		perform(t, order, play)
		if n++; t.Failed() {
			t.Fatalf("in the order %v", order)
		}
	}
	t.Logf("%v steps, %d orders", counts, n)
}

// perform plays a scene once. When the order is at its end, or an actor does
// not come to his step, the first goes on who can.
func perform(t *testing.T, order []int, play func(*stage) scene) (counts []int) {
	st := new(stage)
	sc := play(st)
	counts = make([]int, len(sc.actors))
	var all sync.WaitGroup
	ended := make(chan struct{})
	for _, act := range sc.actors {
		turn := make(chan struct{})
		st.turns = append(st.turns, turn)
		ctx := context.WithValue(context.Background(), actorKey{}, turn)
		all.Go(func() {
			st.step(ctx)
			act(ctx)
		})
	}
	go func() {
		all.Wait()
		close(ended)
	}()
	rest := order
	for {
		synctest.Wait()
		select {
		case <-ended:
			sc.after(order)
			return counts
		default:
		}
		moved := false
		for len(rest) > 0 && !moved {
			moved = st.move(rest[0], counts)
			rest = rest[1:]
		}
		for i := 0; i < len(st.turns) && !moved; i++ {
			moved = st.move(i, counts)
		}
		if !moved {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func (st *stage) move(i int, counts []int) bool {
	select {
	case st.turns[i] <- struct{}{}:
		counts[i]++
		return true
	default:
		return false
	}
}

// orders yields all sequences in which i occurs counts[i] times.
func orders(counts []int) iter.Seq[[]int] {
	total := 0
	for _, n := range counts {
		total += n
	}
	return func(yield func([]int) bool) {
		order := make([]int, total)
		var place func(at int) bool
		place = func(at int) bool {
			if at == total {
				return yield(order)
			}
			for i := range counts {
				if counts[i] == 0 {
					continue
				}
				counts[i]--
				order[at] = i
				more := place(at + 1)
				counts[i]++
				if !more {
					return false
				}
			}
			return true
		}
		place(0)
	}
}

// eachStoreAnew is onEachStore for tests that need many stores.
func eachStoreAnew(t *testing.T, test func(t *testing.T, open func() store.Store)) {
	t.Helper()
	for name, open := range map[string]func() store.Store{
		"live":   func() store.Store { return newLiveStore() },
		"add":    func() store.Store { return &addStore{liveStore: newLiveStore()} },
		"bytes":  func() store.Store { return storetest.Bare(newLiveStore()) },
		"prefix": func() store.Store { return store.Prefix(newLiveStore(), "p:") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, open) })
		})
	}
}

// addStore is a liveStore that can Add.
type addStore struct {
	*liveStore
	adding sync.Mutex
}

func (s *addStore) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	s.adding.Lock()
	defer s.adding.Unlock()
	if _, err := s.Get(ctx, key); err == nil {
		return false, nil
	}
	return true, s.Set(ctx, key, value, ttl)
}

// openMemo makes a Memo that the caller closes.
func openMemo(t *testing.T, s store.Store, o *memo.Options) *memo.Memo {
	t.Helper()
	m, err := memo.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func closeMemos(t *testing.T, memos ...*memo.Memo) {
	t.Helper()
	for _, m := range memos {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}
