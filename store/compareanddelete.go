package store

import "context"

// CompareAndDeleteStore is a Store that can remove a key only if its value
// still is what the caller last saw.
type CompareAndDeleteStore interface {
	Store

	// CompareAndDelete removes key if its live value equals old byte for byte,
	// and else changes nothing, in one atomic step. An absent key is not
	// deleted, and is not an error.
	CompareAndDelete(ctx context.Context, key string, old []byte) (deleted bool, err error)
}

// CompareAndDelete removes a key only if its value equals old. If s implements
// CompareAndDeleteStore, it calls s.CompareAndDelete. Otherwise it returns an
// error matching errors.ErrUnsupported: a Get followed by a Delete would not
// be atomic.
func CompareAndDelete(ctx context.Context, s Store, key string, old []byte) (deleted bool, err error) {
	const op = "compareanddelete"
	if err := checkStore(op, s); err != nil {
		return false, err
	}
	if s, ok := s.(CompareAndDeleteStore); ok {
		if deleted, err := s.CompareAndDelete(ctx, key, old); !declined(err) {
			return deleted, err
		}
	}
	return false, unsupported(op, key, s, "CompareAndDelete")
}
