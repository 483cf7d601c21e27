package redis

import (
	"context"
	"errors"
	"slices"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/gather"
)

// sharedValue is the longest value that travels with other commands. A longer
// one would hold them up.
const sharedValue = 16 << 10

// sequence is a command and those that follow it. They are sent together, and
// carried out in this order, with nothing in between.
type sequence struct {
	goredis.Cmder
	then []goredis.Cmder
}

// Err implements goredis.Cmder with the first error of all that says why.
func (q *sequence) Err() error {
	err := q.Cmder.Err()
	for _, cmd := range q.then {
		err = telling(err, cmd.Err())
	}
	return err
}

// telling returns the first of two errors, but not that of a command which was
// refused for another's fault.
func telling(first, second error) error {
	if first == nil || second != nil && goredis.IsExecAbortError(first) {
		return second
	}
	return first
}

// queue adds a command to a pipeline, or all that a sequence has.
func queue(ctx context.Context, pipe goredis.Pipeliner, cmd goredis.Cmder) {
	q, ok := cmd.(*sequence)
	if !ok {
		pipe.Process(ctx, cmd) // it is queued
		return
	}
	pipe.Process(ctx, q.Cmder) // likewise
	for _, cmd := range q.then {
		pipe.Process(ctx, cmd) // likewise
	}
}

// send is do, or alone for a command that is too long to travel with others.
func (s *Store) send(ctx context.Context, cmd goredis.Cmder, size int) error {
	if size > sharedValue {
		return s.alone(ctx, s.timer.context(), cmd)
	}
	return s.do(ctx, cmd)
}

// do runs one command that may be repeated, or a sequence of such. Those that
// are given to it at the same moment travel together in a pipeline, but not to
// a cluster, where each would wait for the servers of the others. After an
// error other than a miss, cmd must not be looked at.
func (s *Store) do(ctx context.Context, cmd goredis.Cmder) error {
	limit := s.timer.context()
	if s.cluster != nil {
		return s.alone(ctx, limit, cmd)
	}
	batch, drive := s.singles.Join(cmd)
	if batch == nil {
		defer s.singles.Leave()
		return s.alone(ctx, limit, cmd)
	}
	carried, err := true, error(nil)
	switch {
	case drive:
		_, err = within(ctx, limit, s, func(context.Context) (none, error) {
			return none{}, s.carry(limit, batch)
		})
	case s.abandons(ctx):
		carried, err = batch.Wait(ctx, limit)
	default: // whoever drives keeps to the limit
		carried, err = batch.Wait(ctx, context.Background())
	}
	if err != nil {
		return err
	}
	if carried {
		err = cmd.Err()
		if err == nil || errors.Is(err, goredis.Nil) || limit.Err() != nil {
			return err
		}
	}
	return s.alone(ctx, limit, cmd)
}

// alone runs one command, or a sequence, by itself.
func (s *Store) alone(ctx, limit context.Context, cmd goredis.Cmder) error {
	_, err := within(ctx, limit, s, func(ctx context.Context) (none, error) {
		q, ok := cmd.(*sequence)
		if !ok {
			return none{}, s.client.Process(ctx, cmd)
		}
		pipe := s.client.TxPipeline()
		queue(ctx, pipe, q)
		_, err := pipe.Exec(ctx)
		if goredis.IsExecAbortError(err) {
			err = q.Err() // says why
		}
		return none{}, err
	})
	return err
}

// carry sends the commands of a batch; what comes of each is in it. With a
// sequence among them all are one transaction, as that takes less time than one
// for each: a command that is refused then has the others refused. The client
// does not repeat them, since the callers of some may have given up. Those who
// have not repeat their own.
func (s *Store) carry(ctx context.Context, batch *gather.Batch[goredis.Cmder]) error {
	carried := false
	defer func() { batch.End(carried) }() // also if a hook of the client panics
	pipe := s.client.Pipeline()
	if slices.ContainsFunc(batch.Calls, func(cmd goredis.Cmder) bool { _, ok := cmd.(*sequence); return ok }) {
		pipe = s.client.TxPipeline()
	}
	for i, cmd := range batch.Calls {
		if i == 0 {
			cmd = unrepeated(cmd) // one is enough for all of them
		}
		queue(ctx, pipe, cmd)
	}
	_, err := pipe.Exec(ctx)
	if err != nil && !slices.ContainsFunc(batch.Calls, func(cmd goredis.Cmder) bool { return cmd.Err() != nil }) {
		for _, cmd := range batch.Calls { // see outcome
			cmd.SetErr(err)
		}
	}
	carried = true
	return nil
}

// unrepeated is the command as one that the client does not repeat, nor what
// it is sent with.
func unrepeated(cmd goredis.Cmder) goredis.Cmder {
	if q, ok := cmd.(*sequence); ok {
		return &sequence{once{q.Cmder}, q.then}
	}
	return once{cmd}
}
