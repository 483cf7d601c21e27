package cairn_test

import (
	"context"
	"fmt"
	"log"
	"time"

	_ "github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

type User struct {
	ID   int64
	Name string
}

func fetchUser(_ context.Context, id int64) (User, error) {
	fmt.Println("loading", id)
	return User{id, "Ada"}, nil
}

func Example() {
	ctx := context.Background()
	s, err := store.Open(ctx, "memory:?max_entries=10000") // or redis://localhost:6379/0?prefix=app:
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close(s)
	m, err := memo.New(s, &memo.Options{Namespace: "app", Policy: memo.Policy{TTL: 5 * time.Minute}})
	if err != nil {
		log.Fatal(err)
	}
	users, err := memo.Wrap(m, "user", fetchUser, nil)
	if err != nil {
		log.Fatal(err)
	}

	u, err := users.Get(ctx, 42) // calls fetchUser
	fmt.Println(u.Name, err)
	u, err = users.Get(ctx, 42) // does not
	fmt.Println(u.Name, err)
	err = users.Delete(ctx, 42) // the next Get calls it again
	fmt.Println(err)
	// Output:
	// loading 42
	// Ada <nil>
	// Ada <nil>
	// <nil>
}
