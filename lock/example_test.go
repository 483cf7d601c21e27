package lock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"
	"sync"
	"time"

	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/lock"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

func newStore() store.Store {
	s, err := memory.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	return s
}

func newLocker() *lock.Locker {
	l, err := lock.New(newStore(), nil)
	if err != nil {
		log.Fatal(err)
	}
	return l
}

// One process at a time writes the report. Those who come meanwhile wait.
func ExampleDo() {
	ctx := context.Background()
	l, err := lock.New(newStore(), &lock.Options{TTL: 30 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close(ctx)
	err = lock.Do(ctx, l, "report", func(ctx context.Context, _ uint64) error {
		for page := range 3 {
			if ctx.Err() != nil {
				return context.Cause(ctx) // lost: another may be writing
			}
			fmt.Println("page", page+1)
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// page 1
	// page 2
	// page 3
	// <nil>
}

// A job that another is doing is not done at the same time.
func ExampleLocker_TryLock() {
	ctx := context.Background()
	l := newLocker()
	cleanUp := func() {
		lease, err := l.TryLock(ctx, "cleanup")
		var held *lock.HeldError
		if errors.As(err, &held) {
			fmt.Println("another does it, and has the lock for", held.RetryAfter.Round(time.Second))
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		defer lease.Unlock(ctx)
		fmt.Println("cleaning up")
	}
	lease, err := l.Lock(ctx, "cleanup")
	if err != nil {
		log.Fatal(err)
	}
	cleanUp()
	lease.Unlock(ctx)
	cleanUp()
	// Output:
	// another does it, and has the lock for 10s
	// cleaning up
}

// A lease that is kept for long. Its Context ends when it is lost.
func ExampleLocker_Lock() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // to wait
	defer cancel()
	lease, err := newLocker().Lock(ctx, "leader")
	if err != nil {
		log.Fatal(err)
	}
	select {
	case <-lease.Context().Done():
		fmt.Println("not the leader any more:", context.Cause(lease.Context()))
	case <-time.After(time.Millisecond):
		fmt.Println("led for a while")
	}
	fmt.Println(lease.Unlock(context.Background()))
	// Output:
	// led for a while
	// <nil>
}

// accounts is a table. In SQL, Update is
//
//	UPDATE accounts SET balance = ?, fence = ? WHERE name = ? AND fence <= ?
//
// and has failed if no row was affected.
type accounts struct {
	mu   sync.Mutex
	rows map[string]account
}

type account struct {
	balance int
	fence   uint64 // the largest one that has written
}

var errStale = errors.New("the lock was lost, and another has written since")

func (a *accounts) Update(name string, balance int, fence uint64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rows[name].fence > fence {
		return errStale
	}
	a.rows[name] = account{balance, fence}
	return nil
}

// What the lock protects refuses the write of one who has held the lock before,
// and has been paused for so long that another has it now.
func ExampleLease_Fence() {
	ctx := context.Background()
	s := newStore()
	l, err := lock.New(s, &lock.Options{TTL: 100 * time.Millisecond, NoRenewal: true})
	if err != nil {
		log.Fatal(err)
	}
	table := &accounts{rows: make(map[string]account)}
	paused, err := l.Lock(ctx, "ada")
	if err != nil {
		log.Fatal(err)
	}
	next, err := l.Lock(ctx, "ada") // waits until the ttl is over
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(table.Update("ada", 100, next.Fence()))
	fmt.Println(table.Update("ada", 50, paused.Fence()))
	fmt.Println(table.rows["ada"].balance, paused.Unlock(ctx))
	// Output:
	// <nil>
	// the lock was lost, and another has written since
	// 100 lock: lost; another may hold it since
}

// Over a store that has locks and no leases, one process loads a key, and the
// others find what it has stored.
func ExampleLocker_Acquire() {
	ctx := context.Background()
	l := newLocker()
	withoutLeases := storetest.Bare(newStore())
	square := func(_ context.Context, n int) (string, error) {
		fmt.Println("computing the square of", n)
		return strconv.Itoa(n * n), nil
	}
	for range 2 { // two processes
		m, err := memo.New(withoutLeases, &memo.Options{Namespace: "app", Lock: l.Acquire})
		if err != nil {
			log.Fatal(err)
		}
		squares, err := memo.Wrap(m, "square", square, &memo.FuncOptions[int, string]{Policy: memo.Policy{TTL: time.Hour}})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(squares.Get(ctx, 12))
	}
	fmt.Println("locks taken:", l.Stats().Acquired)
	// Output:
	// computing the square of 12
	// 144 <nil>
	// 144 <nil>
	// locks taken: 1
}

// The lock is held while two of the three servers are up. In a program they
// are three Redis servers that know nothing of each other, each opened by itself.
func ExampleNewQuorum() {
	ctx := context.Background()
	servers := []store.Store{newStore(), newStore(), newStore()}
	l, err := lock.NewQuorum(servers, nil)
	if err != nil {
		log.Fatal(err)
	}
	store.Close(servers[0])
	err = lock.Do(ctx, l, "report", func(context.Context, uint64) error {
		fmt.Println("writing the report")
		return nil
	})
	fmt.Println(err)
	store.Close(servers[1])
	_, err = l.TryLock(ctx, "report")
	fmt.Println(errors.Is(err, store.ErrUnavailable))
	// Output:
	// writing the report
	// <nil>
	// true
}
