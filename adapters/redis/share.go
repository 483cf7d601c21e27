package redis

import (
	"context"
	"errors"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/gather"
)

// sharedValue is the longest value that travels with other commands. A longer
// one would hold them up.
const sharedValue = 16 << 10

// do runs one command that may be repeated. Those that are given to it at the
// same moment travel together in a pipeline, but not to a cluster, where each
// would wait for the servers of the others. After an error other than a miss,
// cmd must not be looked at.
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

// alone runs one command by itself.
func (s *Store) alone(ctx, limit context.Context, cmd goredis.Cmder) error {
	_, err := within(ctx, limit, s, func(ctx context.Context) (none, error) {
		return none{}, s.client.Process(ctx, cmd)
	})
	return err
}

// carry sends the commands of a batch; what comes of each is in it. The client
// does not repeat them, since the callers of some may have given up. Those who
// have not repeat their own.
func (s *Store) carry(ctx context.Context, batch *gather.Batch[goredis.Cmder]) error {
	carried := false
	defer func() { batch.End(carried) }() // also if a hook of the client panics
	pipe := s.client.Pipeline()
	for i, cmd := range batch.Calls {
		if i == 0 {
			cmd = once{cmd} // one is enough for all of them
		}
		pipe.Process(ctx, cmd) // it is queued
	}
	pipe.Exec(ctx) // it is in the commands
	carried = true
	return nil
}
