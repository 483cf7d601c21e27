package store

import (
	"context"
	"iter"
)

// KeysStore is a Store that can list its keys.
type KeysStore interface {
	Store

	// Keys yields the live keys of this store that begin with prefix, in any
	// order; the empty prefix is all of them. A key that is there the whole
	// time is yielded; one that comes or goes meanwhile may be; a backend that
	// scans may yield a key twice. A failure is yielded last, with an empty
	// key. No lock is held while a key is yielded: the loop may use the store.
	// ctx is used until the loop ends, and no longer.
	Keys(ctx context.Context, prefix string) iter.Seq2[string, error]
}

// Keys lists the live keys of s that begin with prefix. If s implements
// KeysStore, it calls s.Keys. Otherwise it yields one error matching
// errors.ErrUnsupported.
func Keys(ctx context.Context, s Store, prefix string) iter.Seq2[string, error] {
	const op = "keys"
	return func(yield func(string, error) bool) {
		if err := checkStore(op, s); err != nil {
			yield("", err)
			return
		}
		k, ok := s.(KeysStore)
		if !ok {
			yield("", unsupported(op, "", s, "Keys"))
			return
		}
		for key, err := range k.Keys(ctx, prefix) {
			if declined(err) {
				err = unsupported(op, "", s, "Keys")
			}
			if !yield(key, err) || err != nil {
				return
			}
		}
	}
}
