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
//     only after an invalidation, when nobody waits for the first any more, or
//     when it has taken longer than [Policy].LoadTimeout.
//   - What was loaded before a [Func.Delete], [Func.Set], [Func.Expire],
//     [Func.Clear] or [Memo.InvalidateTags] returned is not answered as fresh
//     to those who ask after it, nor found in the store. For a second Func of
//     the same keys, such as that of another process, Delete and Set hold only
//     over a store with leases, see below; Clear and InvalidateTags hold for
//     all. A write that the store did not acknowledge in time ([Trace] is
//     told) may arrive there later.
//   - An error of the function is returned and never stored, unless
//     [Policy].Absent or CacheError says so. An error of the store is reported
//     to [Trace], Stats and the Logger and fails nobody whose value can be
//     loaded, unless the Memo is Strict. A store that does not answer costs its
//     time-out; a caller whose deadline is nearer than that gets its
//     deadline's error, so set the time-out of the store well below those of
//     the callers.
//   - Each caller gets a value of its own, which it may change, unless
//     [FuncOptions] says Shared.
//
// # Fresh, stale, gone
//
// A value is fresh for [Policy].TTL, counted from the end of its load, and then
// stale for Policy.Stale. A stale value is answered at once, while one load in
// the background replaces it, and when that load fails: see Retry. SoftTimeout
// makes callers wait for the load for a while first, RefreshAhead and
// EarlyRefresh begin it before the ttl has passed. [Func.Lookup] tells where an
// answer comes from, and how old it is.
//
// What is not acceptable to a caller, because of its MaxAge or because its etag
// is another one, is loaded anew for all. A value with another etag is a
// substitute, within Stale, if that load fails; one that is too old is none.
//
// A function may look at what was stored before, and say that it is still
// right: see [Previous] and [ErrNotModified]. By [SetTTL], [SetETag], [NoStore]
// and [Tag] it tells what it has learned with the value. [FuncOptions] FillMany
// loads many values for [Func.GetMany].
//
// Policies come from the call, the function, its [Region], the region's parents
// and the Memo, each field by itself: zero inherits, and [Off] says that there
// shall be none. All methods of a function use what that comes to.
//
// # To refresh, and to skip
//
// What is stored can be passed over: to refresh is to load anew and store that,
// to skip is to neither read nor store. Both go for one call ([Call] Refresh and
// Skip), for all calls with a context, also those in loads ([WithRefresh] and
// [WithSkip]), and for all functions of a Memo ([Options] Refresh and Skip), or
// of a process: CAIRN_MEMO_REFRESH=1 and CAIRN_MEMO_SKIP=1 in its environment,
// where anything but 1, 0, true and false is ErrInvalid of New.
// Options.Skip precedes the rest, and a Call the context. Options.Refresh loads
// each argument once, not at each call. In Stats a call that skips is neither a
// hit nor a miss, but Skipped; its load counts as any other.
//
// # Several processes
//
// Over a store with leases (store.LeaseStore), such as Redis and memory, what is
// said of one process holds for all that share the store, and for several Memos
// in one:
//
//   - One of them loads the value for an argument; the others wait, each caller
//     with its own context, and then read it. If the one that loads is gone,
//     the next begins when its lease has ended, after 3 seconds. One that has
//     failed, or stores nothing, is followed by the next at once; so processes
//     that wait for an argument whose load fails try one after another, and
//     WaitTimeout limits how long a caller takes part in that. With a stale
//     value nobody waits.
//   - What was loaded before a Delete or a Set of another process is stored
//     nowhere. Those who had joined get it. Who asks after that joins no such
//     load, as soon as this process knows: at once in memory, within the
//     milliseconds in which the message comes where the store tells of changes
//     (store.WatchStore), and where it does not, when the lease is renewed,
//     every second.
//   - [Func.Update] changes what a value is made from, such that no process
//     keeps the old one, even if this one dies in between.
//
// Over layers (package layered) that have an L1 of their own, other processes
// may answer what was deleted, cleared or invalidated for as much longer as was
// stated for those layers; the process that did it does not.
//
// If the store fails, or loses the lease, processes load the same argument at
// the same time, and what the store does not know to be new is not stored.
// FillMany does not wait for other processes. Loads that need each other in a
// ring through several processes wait for each other until their callers' time
// is over, or LoadTimeout; in one process that is a *CycleError.
//
// # Invalidating many
//
// [Memo.InvalidateTags] and [Func.Clear] need no list of keys: entries carry
// the versions of their tags and the generation of their function, random
// numbers that are stored under keys with a # in them. As long as an entry's
// numbers are those that are stored, it is valid. If the store loses a number,
// entries become invalid; they never become valid again. Readers compare the
// versions of tags each time, in one round trip for all, and the generation
// with what they have read in the last quarter of a second.
//
// # Keys
//
// The value for an argument is stored under namespace:name[@version]:argument,
// as [Func.Key] tells. Arguments stay readable:
//
//	app:user:42              one argument, a number
//	app:city:New%20York      one argument, a string
//	app:price@v2:7,"EUR"     two arguments, a function with a Version
//	app:rates:               no argument
//	app:zone:(Lat=1.5,Lon=2.0) a struct
//	:user:42                 no namespace
//
// Spaces, control characters, % " # { } and all that is not ASCII are written
// as %XX where they occur in a string, and : and @ in namespace, name and
// version, so that keys of two functions are never the same. A key of more than 200 bytes ends in #
// and a hash.
//
// Arguments have the same key only if the function could not tell them apart:
// all fields count, also unexported ones; maps have no order; pointers stand
// for what they point to; a value in an interface comes with its type, so that
// 1, "1", 1.0 and true differ; nil is not empty. But:
//
//   - A time.Time is its instant. A function that depends on the location takes
//     it as an argument of its own, or formatted.
//   - A type with a method CacheKey() string is what that returns, written as
//     k"…". So it can leave out what does not matter, and must not leave out what does. String
//     and MarshalText are not asked, as they may hide a value.
//
// Funcs, channels, contexts, mutexes and what contains them have no key, which
// Wrap says. [FuncOptions] KeyFunc makes keys of one's own. Keys are no place
// for secrets: arguments stand in them as they are.
//
// # Values
//
// A value is stored as JSON, by encoding/json, unless FuncOptions names another
// [Codec], and what is returned from the cache is what the codec makes of it.
// JSON drops unexported fields and fields tagged "-", and a value in an
// interface comes back as a map, a slice, a string, a float64 or a bool. A V
// must survive this. A nil pointer, slice or map is a value like any other. A
// result that cannot be encoded is returned, and not stored. The caller whose
// Get called the function gets its very result, and the next one what came
// back from the codec: test the second Get too.
//
// The entry carries the shape of V: the kinds, field names and tags that
// decide what its JSON looks like. An entry of another shape is not decoded
// into half of a V, but loaded anew, as is one that cannot be read for any
// other reason: another codec, another compressor, a later format. So after a
// field was added to V, or renamed, no entry without it is answered. While
// programs of two shapes run side by side they overwrite each other's entries;
// another [FuncOptions] Version keeps them apart.
package memo
