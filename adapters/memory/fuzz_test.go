package memory

import (
	"testing"

	"github.com/cairncache/cairn/conformance"
	"github.com/cairncache/cairn/store"
)

// A store of four entries forgets most of what it is told, and must not lie.
func FuzzStore(f *testing.F) {
	conformance.Fuzz(f, func(t *testing.T) store.Store { return newStore(t, &Options{MaxEntries: 4}) }, &conformance.Options{Bubble: true})
}
