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
	const op = "getmany"
	if err := s.check(ctx, op, keys...); err != nil {
		return nil, err
	}
	values := make(map[string][]byte, len(keys))
	full := make([]string, 0, len(keys))
	for _, key := range keys {
		if _, twice := values[key]; !twice {
			values[key] = nil
			full = append(full, s.prefix+key)
		}
	}
	clear(values)
	for part := range slices.Chunk(full, partLen) {
		found, err := exchange(ctx, s, func(ctx context.Context) ([][]byte, error) {
			return s.read(ctx, part)
		})
		for i, value := range found {
			if value != nil {
				values[part[i][len(s.prefix):]] = value
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
	// If one server does not answer, what the others have said is of use: this
	// gives up a little before exchange does.
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/16))
		defer cancel()
	}
	cmds := make([]*goredis.StringCmd, len(full))
	for i, key := range full {
		cmds[i] = goredis.NewStringCmd(ctx, "get", key)
	}
	err := pipeline(ctx, s, cmds)
	for i, cmd := range cmds {
		if cmd.Err() == nil {
			values[i] = append([]byte{}, cmd.Val()...)
		}
	}
	return values, err
}

// SetMany implements store.SetManyStore in one round trip for each thousand
// items or 4 MiB of values, on a cluster for each server besides. It stops at
// the first part that fails, but for values that are too large: their keys are
// removed and all other items stored.
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
		cmds := make([]*goredis.StatusCmd, len(part))
		for i, item := range part {
			if len(item.Value) > maxValue {
				refused = tooLarge(op, item.Key, item.Value)
				cmds[i] = goredis.NewStatusCmd(ctx, "unlink", s.prefix+item.Key)
			} else {
				cmds[i] = goredis.NewStatusCmd(ctx, s.setArgs(item.Key, s.keep(ctx, item.Value), item.TTL)...)
			}
		}
		_, err := exchange(ctx, s, func(ctx context.Context) (none, error) {
			return none{}, pipeline(ctx, s, cmds)
		})
		if err != nil {
			return s.fail(ctx, op, "", err)
		}
	}
	return refused
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

// unlinkAll removes keys, which an abandoned call may go on reading.
func (s *Store) unlinkAll(ctx context.Context, full []string) error {
	_, err := exchange(ctx, s, func(ctx context.Context) (none, error) {
		if s.cluster == nil {
			return none{}, s.client.Unlink(ctx, full...).Err()
		}
		cmds := make([]*goredis.Cmd, len(full))
		for i, key := range full {
			cmds[i] = goredis.NewCmd(ctx, "unlink", key)
		}
		return none{}, pipeline(ctx, s, cmds)
	})
	return err
}

// pipeline sends the commands together, on a cluster those for each server. It
// returns the first error that is not a miss, after all were answered or gave
// up.
func pipeline[C goredis.Cmder](ctx context.Context, s *Store, cmds []C) error {
	pipe := s.client.Pipeline()
	for _, cmd := range cmds {
		pipe.Process(ctx, cmd) // it is queued
	}
	_, err := pipe.Exec(ctx)
	if err == nil {
		return nil
	}
	failed := 0
	var first error
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && err != goredis.Nil {
			if failed++; first == nil {
				first = err
			}
		}
	}
	if failed < len(cmds) && failed > 0 {
		return fmt.Errorf("%d of %d keys: %w", failed, len(cmds), first)
	}
	return first
}
