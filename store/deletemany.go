package store

import "context"

// DeleteManyStore is a Store that removes many keys at once.
type DeleteManyStore interface {
	Store

	// DeleteMany removes the keys, each as Delete would. It is not atomic: if
	// it fails some may have been removed. A bad key fails the whole call
	// before anything is sent.
	DeleteMany(ctx context.Context, keys []string) error
}

// DeleteMany removes many keys, as DeleteManyStore promises. If s implements
// DeleteManyStore, it calls s.DeleteMany. Otherwise it calls s.Delete for each
// key, a bounded number of them at a time.
func DeleteMany(ctx context.Context, s Store, keys []string) error {
	const op = "deletemany"
	if err := checkStore(op, s); err != nil {
		return err
	}
	if s, ok := s.(DeleteManyStore); ok {
		if err := s.DeleteMany(ctx, keys); !declined(err) {
			return err
		}
	}
	if err := Check(ctx, op, keys...); err != nil {
		return err
	}
	return forEach(ctx, keys, func(key string) (func(), error) {
		return nil, s.Delete(ctx, key)
	})
}
