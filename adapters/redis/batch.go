package redis

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/store"
)

// What is sent to the server in one part of a batch, so that neither side must
// hold a large one as a whole and others get their turn in between.
const (
	partLen  = 1000    // keys
	partSize = 4 << 20 // bytes of values, but one value at least
)

// GetMany implements store.GetManyStore in one round trip for each thousand
// keys, on a cluster for each thousand keys and server. It stops at the first
// part that fails. A key that holds something else than a string is left out,
// on a cluster it is an error.
func (s *Store) GetMany(ctx context.Context, keys []string) (map[string][]byte, error) {
	return many(ctx, s, "getmany", keys, s.read, func(value []byte) bool { return value != nil })
}

// GetManyWithTTL implements store.GetManyWithTTLStore in the round trips of
// GetMany. Each is a transaction of two commands for each key; on a cluster it
// is not, and an entry that is replaced between its two shows its old value
// with the new time to live. It stops as GetMany does. A key that holds
// something else than a string is an error.
func (s *Store) GetManyWithTTL(ctx context.Context, keys []string) (map[string]store.Entry, error) {
	return many(ctx, s, "getmanywithttl", keys, s.readWithTTL, func(e store.Entry) bool { return e.Value != nil })
}

// many reads keys in parts. read returns one result for each full key, also
// with an error, and is tells which are there.
func many[V any](ctx context.Context, s *Store, op string, keys []string, read func(context.Context, []string) ([]V, error), is func(V) bool) (map[string]V, error) {
	if err := s.check(ctx, op, keys...); err != nil {
		return nil, err
	}
	var none V
	values := make(map[string]V, len(keys))
	full := make([]string, 0, len(keys))
	for _, key := range keys {
		if _, twice := values[key]; !twice {
			values[key] = none
			full = append(full, s.prefix+key)
		}
	}
	clear(values)
	for part := range slices.Chunk(full, partLen) {
		found, err := exchange(ctx, s, func(ctx context.Context) ([]V, error) { return read(ctx, part) })
		for i, v := range found {
			if is(v) {
				values[part[i][len(s.prefix):]] = v
			}
		}
		if err != nil {
			return values, s.fail(ctx, op, "", err)
		}
	}
	return values, nil
}

// read returns the value of each key, or nil. With an error it returns what
// else was read.
func (s *Store) read(ctx context.Context, full []string) ([][]byte, error) {
	values := make([][]byte, len(full))
	if s.cluster == nil {
		answers, err := s.client.MGet(ctx, full...).Result()
		for i, answer := range answers {
			if text, ok := answer.(string); ok {
				values[i] = []byte(text)
			}
		}
		return values, err
	}
	cmds := make([]*goredis.StringCmd, len(full))
	for i, key := range full {
		cmds[i] = goredis.NewStringCmd(ctx, "get", key)
	}
	err := readPipeline(ctx, s, s.client.Pipeline(), cmds)
	for i, cmd := range cmds {
		if cmd.Err() == nil {
			values[i] = append([]byte{}, cmd.Val()...)
		}
	}
	return values, err
}

// readWithTTL returns the entry of each key, or one with a nil value. With an
// error it returns what else was read.
func (s *Store) readWithTTL(ctx context.Context, full []string) ([]store.Entry, error) {
	gets, ttls, cmds := make([]*goredis.StringCmd, len(full)), make([]*goredis.IntCmd, len(full)), make([]*sequence, len(full))
	for i, key := range full {
		gets[i] = goredis.NewStringCmd(ctx, "get", key)
		ttls[i] = goredis.NewIntCmd(ctx, "pttl", key)
		cmds[i] = &sequence{gets[i], []goredis.Cmder{ttls[i]}}
	}
	pipe := s.client.TxPipeline
	if s.cluster != nil {
		pipe = s.client.Pipeline
	}
	err := readPipeline(ctx, s, pipe(), cmds)
	entries := make([]store.Entry, len(full))
	for i, cmd := range cmds {
		if cmd.Err() != nil {
			continue
		}
		if ttl, gone := left(ttls[i].Val()); gone == nil {
			entries[i] = store.Entry{Value: append([]byte{}, gets[i].Val()...), TTL: ttl}
		}
	}
	return entries, err
}

// readPipeline is exec for reads. If one server of a cluster does not answer,
// what the others have said is of use: this gives up a little before exchange
// does.
func readPipeline[C goredis.Cmder](ctx context.Context, s *Store, pipe goredis.Pipeliner, cmds []C) error {
	if deadline, ok := ctx.Deadline(); ok && s.cluster != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/16))
		defer cancel()
	}
	return exec(ctx, pipe, cmds)
}

// SetMany implements store.SetManyStore in one round trip for each thousand
// items or 4 MiB of values, on a cluster for each server besides. Each is a
// transaction, on a cluster one for each item. It stops at the first part that
// fails, but for values that are too large: their keys are removed, by a round
// trip of their own, and all other items stored.
func (s *Store) SetMany(ctx context.Context, items []store.Item) error {
	const op = "setmany"
	if err := store.CheckItems(ctx, op, items); err != nil {
		return err
	}
	if err := s.check(ctx, op); err != nil {
		return err
	}
	var refused error
	for part := range parts(items) {
		full := make([]store.Item, 0, len(part))
		for _, item := range part {
			if len(item.Value) > maxValue {
				if err := s.unlink(ctx, op, item.Key); err != nil {
					return err
				}
				refused = tooLarge(op, item.Key, item.Value)
				continue
			}
			full = append(full, store.Item{Key: s.prefix + item.Key, Value: s.keep(ctx, item.Value), TTL: item.TTL})
		}
		if len(full) == 0 {
			continue
		}
		if _, err := exchange(ctx, s, func(ctx context.Context) (none, error) { return none{}, s.setAll(ctx, full) }); err != nil {
			return s.fail(ctx, op, "", err)
		}
	}
	return refused
}

// setAll stores items with full keys and ends their leases.
func (s *Store) setAll(ctx context.Context, items []store.Item) error {
	if s.cluster == nil {
		if err := s.setTogether(ctx, items); !repeatable(err) {
			return err
		}
	}
	calls := make([][]any, len(items))
	for i, item := range items {
		calls[i] = []any{2, item.Key, leaseKey(item.Key), item.Value, s.millis(item.TTL), s.announce()}
	}
	return s.evalAll(ctx, set, calls)
}

// setTogether is setAll in one transaction.
func (s *Store) setTogether(ctx context.Context, items []store.Item) error {
	cmds := make([]*goredis.StatusCmd, len(items))
	leases := append(make([]any, 0, 1+len(items)), "unlink")
	var then []goredis.Cmder
	for i, item := range items {
		cmds[i] = goredis.NewStatusCmd(ctx, s.setArgs(item.Key, item.Value, item.TTL)...)
		leases = append(leases, leaseKey(item.Key))
		then = s.announced(ctx, item.Key, then...)
	}
	then = append(then, goredis.NewIntCmd(ctx, leases...))
	return exec(ctx, s.client.TxPipeline(), cmds, then...)
}

// parts cuts items into the parts in which they are sent.
func parts(items []store.Item) iter.Seq[[]store.Item] {
	return func(yield func([]store.Item) bool) {
		for len(items) > 0 {
			n, size := 1, len(items[0].Value)
			for n < min(len(items), partLen) && size+len(items[n].Value) <= partSize {
				size += len(items[n].Value)
				n++
			}
			if !yield(items[:n]) {
				return
			}
			items = items[n:]
		}
	}
}

// DeleteMany implements store.DeleteManyStore in one round trip for each
// thousand keys, on a cluster for each thousand keys and server. It stops at
// the first part that fails.
func (s *Store) DeleteMany(ctx context.Context, keys []string) error {
	const op = "deletemany"
	if err := s.check(ctx, op, keys...); err != nil {
		return err
	}
	full := make([]string, len(keys))
	for i, key := range keys {
		full[i] = s.prefix + key
	}
	for part := range slices.Chunk(full, partLen) {
		if err := s.unlinkAll(ctx, part); err != nil {
			return s.fail(ctx, op, "", err)
		}
	}
	return nil
}

// unlinkAll removes keys and their leases. An abandoned call may go on reading
// the slice.
func (s *Store) unlinkAll(ctx context.Context, full []string) error {
	each := max(len(full), 1)
	if s.cluster != nil {
		each = 1
	}
	var calls [][]any
	for keys := range slices.Chunk(full, each) {
		call := append(make([]any, 0, 2+2*len(keys)), 2*len(keys))
		for _, key := range keys {
			call = append(call, key)
		}
		for _, key := range keys {
			call = append(call, leaseKey(key))
		}
		calls = append(calls, append(call, s.announce()))
	}
	_, err := exchange(ctx, s, func(ctx context.Context) (none, error) { return none{}, s.evalAll(ctx, unlink, calls) })
	return err
}

// evalAll runs a script that may be repeated once for each of calls, which
// begin with the number of their keys. Servers that have not seen it yet get it
// by a second round trip.
func (s *Store) evalAll(ctx context.Context, sc script, calls [][]any) error {
	cmds := make([]*goredis.Cmd, len(calls))
	for i, call := range calls {
		cmds[i] = goredis.NewCmd(ctx, append([]any{"evalsha", sc.hash}, call...)...)
	}
	err := exec(ctx, s.client.Pipeline(), cmds)
	pipe := s.client.Pipeline()
	for i, cmd := range cmds {
		if goredis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
			cmds[i] = goredis.NewCmd(ctx, append([]any{"eval", sc.source}, calls[i]...)...)
			pipe.Process(ctx, cmds[i]) // it is queued
		}
	}
	if pipe.Len() == 0 {
		return err
	}
	_, err = pipe.Exec(ctx)
	return outcome(err, cmds)
}

// exec sends the commands together, on a cluster those for each server, and
// then those that follow them. It returns the first error that is not a miss,
// after all were answered or gave up.
func exec[C goredis.Cmder](ctx context.Context, pipe goredis.Pipeliner, cmds []C, then ...goredis.Cmder) error {
	for _, cmd := range cmds {
		queue(ctx, pipe, cmd)
	}
	for _, cmd := range then {
		pipe.Process(ctx, cmd) // it is queued
	}
	_, err := pipe.Exec(ctx)
	if err == nil {
		return nil
	}
	return outcome(err, cmds, then...)
}

// outcome is what failure says of commands that were sent together. Where the
// server has refused the connection, as it does with a wrong password, they do
// not know of it: then it is err, which the client returned.
func outcome[C goredis.Cmder](err error, cmds []C, then ...goredis.Cmder) error {
	if first := failure(cmds, then...); first != nil || err == goredis.Nil {
		return first
	}
	return err
}

// failure returns the first error that is not a miss and says why.
func failure[C goredis.Cmder](cmds []C, then ...goredis.Cmder) error {
	failed := 0
	var first error
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && err != goredis.Nil {
			failed++
			first = telling(first, err)
		}
	}
	for _, cmd := range then {
		first = telling(first, cmd.Err())
	}
	if failed < len(cmds) && failed > 0 {
		return fmt.Errorf("%d of %d keys: %w", failed, len(cmds), first)
	}
	return first
}
