package store

import "context"

// ClearStore is a Store that can remove all its entries at once.
type ClearStore interface {
	Store

	// Clear removes the entries of this store and nothing else on the server:
	// never what is stored there under another prefix or by another program.
	// Entries that are written while Clear runs may stay.
	Clear(ctx context.Context) error
}

// Clear removes all entries of s. If s implements ClearStore, it calls
// s.Clear. Otherwise it lists the keys and deletes them, and if s cannot list
// its keys it returns an error matching errors.ErrUnsupported.
//
// Of leases (LeaseStore) the list shows nothing. So of a view of Prefix that is
// cleared, a load of an absent key that began before may still be stored. The
// Clear of a store that has a prefix of its own ends these leases too.
func Clear(ctx context.Context, s Store) error {
	const op = "clear"
	if err := checkStore(op, s); err != nil {
		return err
	}
	if s, ok := s.(ClearStore); ok {
		if err := s.Clear(ctx); !declined(err) {
			return err
		}
	}
	_, err := deleteKeys(ctx, s, "", func(string) bool { return true })
	if declined(err) {
		return unsupported(op, "", s, "Clear")
	}
	return err
}

// deleteBatch bounds the keys that a scan collects before it deletes them.
const deleteBatch = 512

// deleteKeys deletes the keys that begin with prefix and match, and counts them.
func deleteKeys(ctx context.Context, s Store, prefix string, match func(string) bool) (n int, err error) {
	batch := make([]string, 0, deleteBatch)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := DeleteMany(ctx, s, batch)
		if err == nil {
			n += len(batch)
		}
		batch = batch[:0]
		return err
	}
	for key, err := range Keys(ctx, s, prefix) {
		if err != nil {
			return n, err
		}
		if !match(key) {
			continue
		}
		if batch = append(batch, key); len(batch) == deleteBatch {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
	return n, flush()
}
