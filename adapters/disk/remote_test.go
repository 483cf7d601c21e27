package disk

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cairncache/cairn/internal/testprocess"
	"github.com/cairncache/cairn/store"
)

// A call is what a test asks of a Store, here or in another process.
type call struct {
	ID, Store uint64 // Store is chosen by who opens it
	Op        string
	Key       string // the path to open
	Keys      []string
	Old, New  []byte
	TTL       time.Duration
	Shard     int
	Options   Options
	Context   contextState
}

// A reply is what came of a call.
type reply struct {
	ID     uint64
	Value  []byte
	Values map[string][]byte
	Keys   []string
	TTL    time.Duration
	OK     bool
	Error  *remoteError // between processes
}

// perform makes a call of a Store of this process.
func perform(ctx context.Context, s *Store, c call) (r reply, err error) {
	switch c.Op {
	case "get":
		r.Value, err = s.Get(ctx, c.Key)
	case "getwithttl":
		r.Value, r.TTL, err = s.GetWithTTL(ctx, c.Key)
	case "getmany":
		r.Values, err = s.GetMany(ctx, c.Keys)
	case "ttl":
		r.TTL, err = s.TTL(ctx, c.Key)
	case "set":
		err = s.Set(ctx, c.Key, c.New, c.TTL)
	case "delete":
		err = s.Delete(ctx, c.Key)
	case "add":
		r.OK, err = s.Add(ctx, c.Key, c.New, c.TTL)
	case "compareandswap":
		r.OK, err = s.CompareAndSwap(ctx, c.Key, c.Old, c.New, c.TTL)
	case "compareanddelete":
		r.OK, err = s.CompareAndDelete(ctx, c.Key, c.Old)
	case "touch":
		err = s.Touch(ctx, c.Key, c.TTL)
	case "keys":
		r.Keys, err = s.keysOf(ctx, c.Shard, c.Key)
	case "clear":
		err = s.Clear(ctx)
	case "close":
		err = s.Close()
	}
	return r, err
}

// serve makes the calls that another process asks for, until that ends.
func serve(in io.Reader, out io.Writer) error {
	decoder, encoder := gob.NewDecoder(in), gob.NewEncoder(out)
	var stores, cancels sync.Map
	var writing sync.Mutex
	for {
		var c call
		if err := decoder.Decode(&c); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if c.Op == "cancel" {
			if cancel, ok := cancels.Load(c.ID); ok {
				cancel.(context.CancelFunc)()
			}
			continue
		}
		ctx, cancel := c.Context.restore()
		cancels.Store(c.ID, cancel)
		go func() {
			defer cancel()
			r, err := answer(ctx, &stores, c)
			cancels.Delete(c.ID)
			r.ID, r.Error = c.ID, newRemoteError(err)
			writing.Lock()
			defer writing.Unlock()
			_ = encoder.Encode(r) // if it fails, so does the next call
		}()
	}
}

func answer(ctx context.Context, stores *sync.Map, c call) (reply, error) {
	if c.Op == "open" {
		s, err := New(c.Key, &c.Options)
		stores.Store(c.Store, s)
		return reply{}, err
	}
	s, _ := stores.Load(c.Store)
	return perform(ctx, s.(*Store), c)
}

// A contextState is what there is to be known of a context.
type contextState struct {
	Nil, Canceled bool
	Deadline      time.Time
}

func stateOf(ctx context.Context) (state contextState) {
	if ctx == nil {
		return contextState{Nil: true}
	}
	state.Deadline, _ = ctx.Deadline()
	state.Canceled = errors.Is(ctx.Err(), context.Canceled)
	return state
}

func (c contextState) restore() (context.Context, context.CancelFunc) {
	if c.Nil {
		return nil, func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	if !c.Deadline.IsZero() {
		ctx, cancel = context.WithDeadline(context.Background(), c.Deadline)
	}
	if c.Canceled {
		cancel()
	}
	return ctx, cancel
}

// A remoteError is an error of another process, with all that it matched.
type remoteError struct {
	Op, Key, Text string
	Bare, IsError bool  // is store.ErrNotFound itself, or a *store.Error
	Matches       []int // in sentinels
}

var sentinels = []error{
	store.ErrNotFound, store.ErrInvalid, store.ErrTooLarge, store.ErrClosed, store.ErrUnavailable,
	errors.ErrUnsupported, context.Canceled, context.DeadlineExceeded,
}

func newRemoteError(err error) *remoteError {
	if err == nil {
		return nil
	}
	e := &remoteError{Text: err.Error(), Bare: err == store.ErrNotFound}
	if own, ok := errors.AsType[*store.Error](err); ok {
		e.Op, e.Key, e.Text, e.IsError = own.Op, own.Key, own.Err.Error(), true
	}
	for i, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			e.Matches = append(e.Matches, i)
		}
	}
	return e
}

func (e *remoteError) restore() error {
	switch {
	case e == nil:
		return nil
	case e.Bare:
		return store.ErrNotFound
	case e.IsError:
		return &store.Error{Op: e.Op, Key: e.Key, Err: e}
	}
	return e
}

func (e *remoteError) Error() string { return e.Text }

func (e *remoteError) Is(target error) bool {
	for _, i := range e.Matches {
		if sentinels[i] == target {
			return true
		}
	}
	return false
}

// A server is a process that serves, seen from the parent.
type server struct {
	encoder *gob.Encoder
	decoder *gob.Decoder
	last    atomic.Uint64 // ID of a call, or of a Store

	mu      sync.Mutex
	waiting map[uint64]chan reply
	ended   error
}

// startServer starts one that ends with the test.
func startServer(t *testing.T) *server {
	t.Helper()
	p := testprocess.Start(t, processConfig{Serves: true})
	s := &server{encoder: gob.NewEncoder(p.In), decoder: gob.NewDecoder(p.Out), waiting: make(map[uint64]chan reply)}
	go s.read()
	return s
}

// read tells callers what the process replies, until its end.
func (s *server) read() {
	for {
		var r reply
		err := s.decoder.Decode(&r)
		s.mu.Lock()
		if err != nil {
			s.ended = fmt.Errorf("the process has ended: %w", err)
			for _, c := range s.waiting {
				close(c)
			}
			s.waiting = nil
			s.mu.Unlock()
			return
		}
		s.waiting[r.ID] <- r
		delete(s.waiting, r.ID)
		s.mu.Unlock()
	}
}

func (s *server) send(c call, replies chan reply) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return s.ended
	}
	if replies != nil {
		s.waiting[c.ID] = replies
	}
	return s.encoder.Encode(c)
}

// call makes a call in the process.
func (s *server) call(ctx context.Context, c call) (reply, error) {
	c.ID, c.Context = s.last.Add(1), stateOf(ctx)
	replies := make(chan reply, 1)
	if err := s.send(c, replies); err != nil {
		return reply{}, err
	}
	if ctx != nil {
		stop := context.AfterFunc(ctx, func() { _ = s.send(call{ID: c.ID, Op: "cancel"}, nil) })
		defer stop()
	}
	r, ok := <-replies
	if !ok {
		return reply{}, s.ended
	}
	return r, r.Error.restore()
}

// open opens a folder in the process.
func (s *server) open(t *testing.T, path string, o *Options) handle {
	t.Helper()
	id := s.last.Add(1)
	do := func(ctx context.Context, c call) (reply, error) {
		c.Store = id
		return s.call(ctx, c)
	}
	if _, err := do(t.Context(), call{Op: "open", Key: path, Options: *o}); err != nil {
		t.Fatal(err)
	}
	h := handle{path: path, do: do}
	t.Cleanup(func() { _ = h.Close() })
	return h
}
