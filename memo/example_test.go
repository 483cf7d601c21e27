package memo_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/memo"
)

type User struct {
	ID   int64
	Name string
}

var errNoUser = errors.New("no such user")

// fetchUser stands for a query that takes its time.
func fetchUser(_ context.Context, id int64) (User, error) {
	fmt.Println("fetching", id)
	if id != 42 {
		return User{}, errNoUser
	}
	return User{id, "Ada"}, nil
}

func Example() {
	ctx := context.Background()
	s, err := memory.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	m, err := memo.New(s, &memo.Options{Namespace: "app"})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close(ctx)

	users, err := memo.Wrap(m, "user", fetchUser, &memo.FuncOptions[int64, User]{
		Policy: memo.Policy{TTL: 5 * time.Minute},
	})
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		u, err := users.Get(ctx, 42)
		fmt.Println(u.Name, err)
	}
	// When the user has changed:
	fmt.Println(users.Delete(ctx, 42))
	u, err := users.Get(ctx, 42)
	fmt.Println(u.Name, err)
	// Output:
	// fetching 42
	// Ada <nil>
	// Ada <nil>
	// Ada <nil>
	// <nil>
	// fetching 42
	// Ada <nil>
}

// An error is not stored. It is the function's own, with the key before it.
func ExampleFunc_Get_error() {
	m := newExampleMemo()
	users := memo.Must(memo.Wrap(m, "user", fetchUser, nil))
	for range 2 {
		_, err := users.Get(context.Background(), 7)
		fmt.Println(err, errors.Is(err, errNoUser))
	}
	// Output:
	// fetching 7
	// memo: load "app:user:7": no such user true
	// fetching 7
	// memo: load "app:user:7": no such user true
}

// Only a part of the argument decides the result.
func ExampleFuncOptions_keyFunc() {
	type request struct {
		User  User
		Trace string // is different each time
	}
	greet := func(_ context.Context, r request) (string, error) {
		fmt.Println("called")
		return "Hello, " + r.User.Name, nil
	}
	greetings := memo.Must(memo.Wrap(newExampleMemo(), "greeting", greet, &memo.FuncOptions[request, string]{
		KeyFunc: func(r request) (string, error) { return r.User.Name, nil },
	}))
	for _, trace := range []string{"a", "b"} {
		fmt.Println(greetings.Get(context.Background(), request{User{42, "Ada"}, trace}))
	}
	fmt.Println(greetings.Key(request{User{42, "Ada"}, "c"}))
	// Output:
	// called
	// Hello, Ada <nil>
	// Hello, Ada <nil>
	// app:greeting:Ada <nil>
}

// What the store does wrong is told to the Trace; the callers have their values.
func ExampleTrace() {
	m, err := memo.New(brokenStore{}, &memo.Options{Trace: &memo.Trace{
		StoreError: func(_ context.Context, info memo.StoreErrorInfo) {
			fmt.Println("the store failed:", info.Func, info.Op)
		},
	}})
	if err != nil {
		log.Fatal(err)
	}
	users := memo.Must(memo.Wrap(m, "user", fetchUser, nil))
	fmt.Println(users.Get(context.Background(), 42))
	// Output:
	// the store failed: user get
	// fetching 42
	// {42 Ada} <nil>
}
