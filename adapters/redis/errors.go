package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/store"
)

// fail makes the error that a method returns of one that the client returned.
func (s *Store) fail(ctx context.Context, op, key string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, goredis.Nil):
		return store.ErrNotFound
	}
	if ended := contextError(ctx); ended != nil {
		return &store.Error{Op: op, Key: key, Err: ended}
	}
	kind := store.ErrUnavailable
	if s.closed.Load() || errors.Is(err, goredis.ErrClosed) {
		kind = store.ErrClosed
	}
	return store.Errorf(op, key, kind, "%w", s.explain(err))
}

// contextError returns how ctx has ended, or nil. A socket may notice the
// deadline a moment before the context does.
func contextError(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// repeatable reports whether err is one after which the client repeats a command.
// It does not repeat a transaction.
func repeatable(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || ok && op.Op == "read" && !op.Timeout() ||
		goredis.IsReadOnlyError(err) || goredis.IsLoadingError(err) || goredis.IsClusterDownError(err)
}

// explain says what to do about an error, where that is known, and takes out
// of it what must not be shown or matched.
func (s *Store) explain(err error) error {
	switch {
	case err == context.DeadlineExceeded || err == context.Canceled:
		return fmt.Errorf("no answer within %v", s.timer.timeout)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		// A time-out of the client's own. It must not look as if the caller's
		// context had ended.
		return errors.New(err.Error())
	case goredis.IsAuthError(err):
		return &worded{strings.TrimSuffix(err.Error(), ".") + "; check the user and the password", err}
	case goredis.IsPermissionError(err):
		return fmt.Errorf("%w; allow the client's user this command, %s", err, s.rights())
	case strings.Contains(err.Error(), "The user executing the script can't"): // Redis 7.0 does not say which command
		return fmt.Errorf("%w; allow the client's user the commands %s, %s", err, scriptCommands, s.rights())
	case goredis.IsOOMError(err):
		return fmt.Errorf("%w; give the server more memory, or a maxmemory-policy that evicts", err)
	case goredis.HasErrorPrefix(err, "Protocol error: invalid bulk length"):
		return fmt.Errorf("%w; the server is configured to take less than %d bytes (proto-max-bulk-len)", err, maxValue)
	case goredis.HasErrorPrefix(err, "WRONGTYPE"):
		return fmt.Errorf("%w; another program uses this key, so give the store a prefix of its own", err)
	}
	// The answer to a command that a server does not know quotes its arguments,
	// among them values.
	if before, _, ok := strings.Cut(err.Error(), ", with args beginning with"); ok {
		return &worded{before, err}
	}
	return err
}

// rights are those that no command goes without.
func (s *Store) rights() string {
	return fmt.Sprintf("the keys %q, %q and %q, and the channels \"cairn:*\"", s.prefix+"*", leaseMark+"*", lockMark+"*")
}

// scriptCommands are those that the scripts run.
const scriptCommands = "get, set, exists, pttl, pexpire, unlink and publish"

// worded is an error with another text.
type worded struct {
	text string
	err  error
}

func (w *worded) Error() string { return w.text }
func (w *worded) Unwrap() error { return w.err }

// maxValue is the longest string that Redis takes.
const maxValue = 512 << 20

func tooLarge(op, key string, value []byte) error {
	return store.Errorf(op, key, store.ErrTooLarge, "the value has %d bytes, more than Redis takes (%d)", len(value), maxValue)
}
