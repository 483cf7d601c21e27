package memo

import (
	"context"
	"errors"
	"time"

	"github.com/cairncache/cairn/store"
)

// updateLife is how long an Update may take.
const updateLife = 10 * time.Second

// Update runs commit, which changes what the value for k is made from, such as
// a row of a database, and removes the value before and after: see
// store.Update. What is loaded meanwhile, in whichever process, is given to
// those who wait for it and stored nowhere. If the process dies, the value is
// gone all the same; with a commit followed by Delete it might stay.
//
// commit has 10 seconds; its context ends one second before that. Its error is
// returned as it is, and the value is removed then, too. Another error is that
// of the store: before commit, which was then not called, or after it, and
// nothing is stored for k then for the rest of the 10 seconds; or it matches
// ctx.Err(); or k cannot be made into a key. Over a store without leases
// (store.LeaseStore) it matches errors.ErrUnsupported, and commit was not
// called.
func (f *Func[K, V]) Update(ctx context.Context, k K, commit func(context.Context) error) error {
	const op = "update"
	at, key, err := f.locate(ctx, op, k)
	if err != nil {
		return err
	}
	if commit == nil {
		return &Error{op, f.name, key, invalid("commit is nil")}
	}
	change := f.flights.Invalidate(key)
	defer change.Done()
	if err := change.Wait(ctx); err != nil {
		return &Error{op, f.name, key, err}
	}
	err = store.Update(ctx, at.Store, key, updateLife, func(ctx context.Context) error {
		if err := commit(ctx); err != nil {
			return commitError{err}
		}
		return nil
	})
	f.pauses.forget(key)
	if failed, ok := err.(commitError); ok {
		return failed.error
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		f.reportStore(ctx, op, err)
	}
	return err
}

// commitError tells the error of a commit from those of the store.
type commitError struct{ error }

func (e commitError) Unwrap() error { return e.error }
