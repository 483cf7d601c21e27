package config_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	_ "github.com/cairncache/cairn/adapters/layered"
	_ "github.com/cairncache/cairn/adapters/memory"
	"github.com/cairncache/cairn/config"
	"github.com/cairncache/cairn/memo"
)

type User struct{ Name string }

func fetchUser(_ context.Context, id int64) (User, error) {
	fmt.Println("fetch", id)
	return User{fmt.Sprintf("user %d", id)}, nil
}

// The stores and the regions of the functions are in a file.
func ExampleLoad() {
	ctx := context.Background()
	path := "testdata/example.yaml"

	c, err := config.Load(path) // or config.FromEnv("MYAPP_CACHE")
	if err != nil {
		log.Fatal(err)
	}
	stores, err := c.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer stores.Close()
	s, err := stores.Default()
	if err != nil {
		log.Fatal(err)
	}
	regions, err := stores.Regions()
	if err != nil {
		log.Fatal(err)
	}
	m, err := memo.New(s, &memo.Options{Namespace: "app", Regions: regions})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close(ctx)
	users, err := memo.Wrap(m, "user", fetchUser, &memo.FuncOptions[int64, User]{Region: "user"})
	if err != nil {
		log.Fatal(err)
	}

	for range 2 {
		u, err := users.Get(ctx, 42)
		fmt.Println(u.Name, err)
	}
	// Output:
	// fetch 42
	// user 42 <nil>
	// user 42 <nil>
}

// A program that has one store needs one variable.
func ExampleFromEnv() {
	os.Setenv("MYAPP_CACHE_URL", "memory:?max_entries=10000") // the shell does this

	c, err := config.FromEnv("MYAPP_CACHE")
	if err != nil {
		log.Fatal(err)
	}
	stores, err := c.Open(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer stores.Close()
	fmt.Println(stores.Names())
	// Output:
	// [default]
}

// A configuration may come from anywhere, and says where its mistakes are.
func ExampleParse() {
	_, err := config.Parse(strings.NewReader(`
stores:
  local:  { url: "memory:?max_entries=10000", ttl: 30 }
  shared: { url: "${CACHE_EXAMPLE_URL:-memory:}" }
  pages:  { layers: [local, shard] }
`), "cache.yaml")
	fmt.Println(err)
	// Output:
	// config cache.yaml:3:52: stores.local.ttl: "30" has no unit; write 30s or 30m
	// config cache.yaml:5:29: stores.pages.layers[1]: no store named "shard" (did you mean "shared"?)
}

// A program may write a Config itself.
func ExampleConfig() {
	ctx := context.Background()
	stores, err := (&config.Config{
		Default: "pages",
		Stores: map[string]config.Store{
			"local":  {URL: "memory:?max_entries=10000", TTL: 30 * time.Second},
			"shared": {URL: "memory:", Prefix: "app:"}, // redis://localhost:6379/0, for example
			"pages":  {Layers: []string{"local", "shared"}, Coherence: "watch:2s"},
		},
	}).Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer stores.Close()
	pages, err := stores.Store("pages")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(pages.Set(ctx, "k", []byte("v"), 0))
	_, err = stores.Store("page")
	fmt.Println(err)
	// Output:
	// <nil>
	// config: no store named "page" (did you mean "pages"? there are: local, pages, shared)
}

// A store can get other limits while it is in use.
func ExampleStores_Reconfigure() {
	stores, err := (&config.Config{Stores: map[string]config.Store{"main": {URL: "memory:?max_entries=1000"}}}).Open(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer stores.Close()
	err = stores.Reconfigure("main", config.Store{URL: "memory:?max_entries=2000", TTL: time.Minute})
	fmt.Println(err)
	// Output:
	// <nil>
}
