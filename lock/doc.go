// Package lock lets one at a time do something, in all processes that share a
// store.
//
//	l, err := lock.New(s, nil) // s: Redis, memory, or any store that can hold a lock
//	err = lock.Do(ctx, l, "report", func(ctx context.Context, fence uint64) error {
//		… // ctx ends if the lock is lost
//	})
//
// [Locker.Lock] waits, [Locker.TryLock] answers at once with [ErrHeld]. What
// they return is a [Lease]: it holds the lock for a TTL, and is renewed until it
// is unlocked, or lost.
//
// # What a lease can promise, and what it cannot
//
// No lock that ends by itself when its holder dies can stop a holder who is
// alive and late. A process that is paused for longer than the TTL (by the
// scheduler, a debugger, the move of its virtual machine) wakes up believing
// that it holds the lock, and its next instruction may be the write. What is
// promised is this:
//
//   - The Context of a lease ends before the lock's TTL, whatever the network
//     does. A timer in the process ends it, by the monotonic clock and counted
//     from before the request was sent, less 1 % and 2 ms. After a pause its Err
//     is right at once. A machine that sleeps stops that clock.
//   - A holder whose lock is lost in the store, as that has restarted without
//     its data, evicted the lock or failed over, is told with the next renewal:
//     within a third of the TTL. Without renewals (Options.NoRenewal) nobody
//     tells it.
//   - Nobody unlocks or extends a lock that another holds since.
//   - [Lease.Fence] is larger than that of everyone who has held the lock
//     before, also if the store has lost its data since, as it is then made from
//     the clock of the store.
//
// If work must never overlap, what it changes has to check the fence: a table
// remembers the largest fence that has written to it, and refuses the write of
// one with a smaller fence. The example of [Lease.Fence] does so. Without such a
// check a lock saves work that would be done twice, and does not make twice
// impossible.
//
// A lock excludes at the same time, and not twice: a job that every process
// begins on the hour is done by each, one after another, if it is shorter than
// their clocks differ. Who takes the lock by TryLock, with NoRenewal and a TTL
// that is somewhat shorter than the hour, and does not unlock it, does it once.
//
// # Stores
//
// A name is a key of the store: with the prefix that the store has or is seen
// by, so that programs with different prefixes do not exclude each other.
//
// Redis and memory have locks (store.LockStore) that are no entries, and which
// Clear leaves alone. But a Redis server with maxmemory and an allkeys policy
// evicts locks like all else. Give them a server with noeviction, or one of
// their own. A failover to a replica that does not have the lock yet lets
// another take it before the first is told; its fence is larger if the clocks of
// the two servers agree well enough. A server's clock that is set forward ends
// locks early, and their holders are told with the next renewal.
//
// A store that has Add, CompareAndSwap and CompareAndDelete instead, such as
// Memcached, holds a lock as an entry: "lockowner:" and the name, with the TTL. The
// last fence is the entry "lockfence:" and the name, which does not expire. There
// Clear and Delete free the lock, a cache evicts it when it needs the room, and
// if the fence is evicted too the next one is made from the clock of its holder.
// Memcached's entries also end by the clock of the process that reads them: clocks
// that differ by more than half a TTL let two hold the lock, and without renewals
// much less does. Use all that to save work, and not where the result depends on
// it.
//
// [NewQuorum] takes locks in several independent servers, for those who must go
// on when one of them is down. It needs the fence no less.
//
// # Waiting
//
// Of those who wait in one Locker the first contends with other processes, and
// the others wait in line behind it, so that a thousand goroutines ask the store
// as often as one. It asks when it is told that the lock is free, by the store if
// that can (store.WatchLockStore) or by its own process; when the lock ends at
// the latest; once a second; and just before the deadline of its context.
//
// There is no reentrancy: a goroutine that holds a lock and takes it again waits
// for itself. Pass the Lease on instead.
//
// # With package memo
//
// [Locker.Acquire] fits memo.Options.Lock, for stores that have locks and no
// leases. The adapters of this module have leases, over which it is not called.
package lock
