// Package memo remembers what functions return.
//
//	m, err := memo.New(s, &memo.Options{Namespace: "app"})
//	users, err := memo.Wrap(m, "user", fetchUser, &memo.FuncOptions[int64, User]{
//		Policy: memo.Policy{TTL: 5 * time.Minute},
//	})
//	u, err := users.Get(ctx, 42) // users.Get is itself a func(context.Context, int64) (User, error)
//
// [Func.Get] answers from the [store.Store], or calls the function and stores
// what it returns. What holds for each [Func], whatever store it is over:
//
//   - Those who want the result for the same argument while it is being loaded
//     wait for that one load, each with its own context. Other arguments are
//     not held up. A second load of the same argument begins beside the first
//     only after a Delete, or when nobody waits for the first any more.
//   - What was loaded before a [Func.Delete] returned is not answered to those
//     who ask after it, nor found in the store. Two things are beyond one
//     process: a second Func of the same keys, such as that of another process,
//     may still store what it is loading; and a write that the store did not
//     acknowledge in time ([Trace] is told) may arrive there after the Delete.
//   - An error of the function is returned and never stored. An error of the
//     store is reported to [Trace] and fails nobody whose value can be loaded.
//     A store that does not answer costs its time-out, twice for a load. A
//     caller whose deadline is nearer than that gets its deadline's error, so
//     set the time-out of the store well below those of the callers.
//   - Each caller gets a value of its own, which it may change, unless
//     [FuncOptions] says Shared.
//
// # Keys
//
// The value for an argument is stored under namespace:name[@version]:argument,
// as [Func.Key] tells. A string or a number stays readable: app:user:42.
// Spaces, control characters, % " # { } and all that is not ASCII are written
// as %XX. A key of more than 200 bytes ends in # and a hash.
//
// Arguments have the same key only if the function could not tell them apart:
// all fields count, also unexported ones; maps have no order; pointers stand
// for what they point to; a value in an interface comes with its type, so that
// 1, "1", 1.0 and true differ; nil is not empty. But:
//
//   - A time.Time is its instant. A function that depends on the location takes
//     it as an argument of its own, or formatted.
//   - A type with a method CacheKey() string is what that returns. So it can
//     leave out what does not matter, and must not leave out what does. String
//     and MarshalText are not asked, as they may hide a value.
//
// Funcs, channels, contexts, mutexes and what contains them have no key, which
// Wrap says. [FuncOptions] KeyFunc makes keys of one's own. Keys are no place
// for secrets: arguments stand in them as they are.
//
// # Values
//
// A value is stored as JSON, by encoding/json, and what is returned from the
// cache is what json.Unmarshal makes of it: unexported fields and fields
// tagged "-" come back zero, and a value in an interface comes back as a map,
// a slice, a string, a float64 or a bool. A V must survive this, or have its
// own MarshalJSON and UnmarshalJSON. A nil pointer, slice or map is a value
// like any other. A result that cannot be encoded is returned, and not stored.
// The caller whose Get called the function gets its very result, and the next
// one what came back from JSON: test the second Get too.
//
// The entry carries the shape of V: the kinds, field names and tags that
// decide what its JSON looks like. An entry of another shape is not decoded
// into half of a V, but loaded anew, as is one that cannot be read for any
// other reason. So after a field was added to V, or renamed, no entry without
// it is answered. While programs of two shapes run side by side they overwrite
// each other's entries; another [FuncOptions] Version keeps them apart.
package memo
