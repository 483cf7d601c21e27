package memory_test

import (
	"fmt"
	"log"
	"time"

	"github.com/cairncache/cairn/adapters/memory"
)

// A typed LRU map with ttl, and no more than that.
func ExampleNewTyped() {
	type user struct{ Name string }
	users, err := memory.NewTyped(&memory.TypedOptions[int, user]{
		MaxEntries: 3,
		Policy:     memory.LRU,
		TTL:        5 * time.Minute,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer users.Close()

	users.Set(1, user{"Ada"})
	users.Set(2, user{"Grace"})
	users.Set(3, user{"Edsger"})
	users.Get(1)                  // so 2 is now the least recently used
	users.Set(4, user{"Barbara"}) // and makes room

	u, found := users.Get(1)
	fmt.Println(u.Name, found)
	_, found = users.Get(2)
	fmt.Println("2 is there:", found)
	for id, u := range users.All() {
		fmt.Println(id, u.Name)
	}
	// Output:
	// Ada true
	// 2 is there: false
	// 3 Edsger
	// 4 Barbara
	// 1 Ada
}

// OnRemove is told of each value that has left, and why.
func ExampleTypedOptions_onRemove() {
	sessions, err := memory.NewTyped(&memory.TypedOptions[string, int]{
		MaxEntries: 1,
		OnRemove: func(key string, value int, cause memory.Cause) {
			fmt.Println(key, value, cause)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer sessions.Close()

	sessions.SetTTL("a", 1, time.Hour)
	sessions.Set("b", 2)
	sessions.Delete("b")
	// Output:
	// a 1 Capacity
	// b 2 Deleted
}

func ExampleTypedOptions_maxCost() {
	pages, err := memory.NewTyped(&memory.TypedOptions[string, []byte]{
		MaxCost: 64 << 20, // bytes, as Cost counts them
		Cost:    func(url string, page []byte) int64 { return int64(len(url) + len(page)) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer pages.Close()

	pages.Set("/", []byte("hello"))
	fmt.Println(pages.Stats().Bytes)
	// Output: 6
}
