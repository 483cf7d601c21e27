package null_test

import (
	"testing"

	"github.com/cairncache/cairn/adapters/null"
	"github.com/cairncache/cairn/conformance"
	"github.com/cairncache/cairn/store"
)

// A store that remembers nothing cannot pass the suite; but it must not lie.
func FuzzStore(f *testing.F) {
	conformance.Fuzz(f, func(*testing.T) store.Store { return null.New() }, &conformance.Options{Bubble: true})
}
