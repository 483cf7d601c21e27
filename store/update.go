package store

import (
	"context"
	"time"
)

// Update runs commit, which changes what the entry of key is made from, such as
// a row of a database, so that the old value is not in s afterwards. A commit
// followed by a Delete leaves it there if the process dies in between, or if
// the Delete fails. Update removes the entry first and holds the key, so that
// what others load meanwhile is given to them and stored nowhere; if the
// process dies, the hold ends after life by itself.
//
// commit has to end within life; its context ends a tenth before that. Its
// error is returned, and the entry is removed all the same, as something may
// have changed. An error of s before commit means that it was not called. One
// afterwards is returned with that of commit, and the key stays held for the
// rest of life.
//
// The end is a Delete, which removes what came in if the hold was lost, by
// another write of the key for example. So of Updates of a key that overlap, the
// first to end takes the hold of the others away, and what is left to them is
// their own Delete.
//
// If s does not implement LeaseStore, the error matches errors.ErrUnsupported,
// and commit was not called.
func Update(ctx context.Context, s Store, key string, life time.Duration, commit func(context.Context) error) (err error) {
	began := time.Now()
	if err := Hold(ctx, s, key, life); err != nil {
		return err // if the hold was made all the same, it ends after life
	}
	defer func() { // also if commit panics, or ctx has ended
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), life)
		defer cancel()
		if deleted := s.Delete(ctx, key); deleted != nil {
			err = joinErrors(append(asList(err), deleted))
		}
	}()
	during, cancel := context.WithDeadline(ctx, began.Add(life-life/10))
	defer cancel()
	return commit(during)
}

// asList returns no error, or the only one.
func asList(err error) []error {
	if err == nil {
		return nil
	}
	return []error{err}
}
