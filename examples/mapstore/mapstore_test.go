package mapstore_test

import (
	"testing"

	"github.com/cairncache/cairn/conformance"
	"github.com/cairncache/cairn/examples/mapstore"
	"github.com/cairncache/cairn/store"
)

func TestStore(t *testing.T) {
	conformance.Run(t, func(*testing.T) store.Store { return mapstore.New() }, &conformance.Options{
		Want:   []string{}, // the four methods and no ability beyond them
		Bubble: true,       // time is virtual: no network is involved
	})
}

func TestOpen(t *testing.T) {
	s, err := store.Open(t.Context(), "map:?prefix=app:")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set(t.Context(), "k", nil, 0); err != nil {
		t.Error(err)
	}
	for _, url := range []string{"map:?ttl=5m", "map:?size=3", "map:prefix=app:", "map://host"} {
		if _, err := store.Open(t.Context(), url); err == nil {
			t.Errorf("%s was opened", url)
		}
	}
}
