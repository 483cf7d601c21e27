// Package cairn is the root of a library for caching and memoization with
// swappable backends. It holds no code; these packages do:
//
//   - [github.com/cairncache/cairn/memo] wraps a function so that its results
//     are remembered: the key, the encoding, one load per key, and
//     invalidation done right. Most programs need only this.
//   - [github.com/cairncache/cairn/lock] lets one at a time do something, in all
//     processes that share a store.
//   - [github.com/cairncache/cairn/store] is the contract of a cache: a small
//     interface, one optional interface for each further ability, and stores
//     opened from URLs.
//   - [github.com/cairncache/cairn/adapters/memory],
//     [github.com/cairncache/cairn/adapters/disk],
//     [github.com/cairncache/cairn/adapters/redis],
//     [github.com/cairncache/cairn/adapters/memcache] and
//     [github.com/cairncache/cairn/adapters/null] are the backends, and
//     [github.com/cairncache/cairn/adapters/layered] puts one before another.
//   - [github.com/cairncache/cairn/config] opens stores by the names that a file
//     or the environment gives them.
//   - [github.com/cairncache/cairn/conformance] proves an adapter, one of ours
//     or your own.
package cairn
