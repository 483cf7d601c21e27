package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/cairncache/cairn/adapters/layered"
	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
)

var explainCommand = command{
	name:    "explain",
	args:    "KEY",
	summary: "tell where a key is, and what its entry says of itself",
	details: `
Each layer of the store tells whether it has the key and for how long. The
entry is read, and its value not shown. A layer in memory is the command's own
and so is empty; those of other processes cannot be seen from here.

With -locks it also tells of a lease on the key, if there is no entry, which
is that of a process that loads it now or writes it; and of the lock of that
name. There is no way to look at these without asking for them, so those that
are free are taken for a millisecond and given back at once: a load that
begins just then is put off, and a single attempt to lock fails. A lock that
is kept as an entry, as on disk and Memcached, is read. On Redis each look at a
lock leaves its fence, a key of a few bytes, for a day.`,
	define: func(flags *flag.FlagSet) func(context.Context, *call) error {
		locks := flags.Bool("locks", false, "ask for a lease and a lock too; see above")
		asJSON := jsonFlag(flags)
		return func(ctx context.Context, c *call) error { return explain(ctx, c, *locks, *asJSON) }
	},
}

// An explanation is what the command has found.
type explanation struct {
	Key    any       `json:"key"`
	Found  bool      `json:"found"`
	Layers []level   `json:"layers"`
	Size   int       `json:"size"`
	Entry  *envelope `json:"envelope,omitempty"` // nil if not of memo
	Lease  string    `json:"lease,omitempty"`
	Lock   string    `json:"lock,omitempty"`

	other string // what an entry without an envelope is
}

// A level is what one store has under the key.
type level struct {
	Name  string `json:"layer"`
	Found bool   `json:"found"`
	TTL   *ttl   `json:"ttl,omitempty"`
	Note  string `json:"note,omitempty"`
}

func explain(ctx context.Context, c *call, locks, asJSON bool) error {
	key, s, err := c.openKey(ctx)
	if err != nil {
		return err
	}
	x := explanation{Key: text(key)}
	readErr := x.read(ctx, c, s, key)
	if readErr != nil && len(x.Layers) == 0 {
		return readErr
	}
	if locks {
		if err := x.ask(ctx, s, key); err != nil {
			return err
		}
	}
	if asJSON {
		err = printJSON(c.stdout, x)
	} else {
		err = x.print(newTable(c.stdout))
	}
	switch {
	case readErr != nil || err != nil:
		return errors.Join(readErr, err)
	case !x.Found:
		return store.ErrNotFound
	}
	return nil
}

// read asks the layers, and then for the entry. The layers come first, as
// reading fills the nearer ones.
func (x *explanation) read(ctx context.Context, c *call, s store.Store, key string) error {
	l, full, note := c.layersOf(s, key)
	if l != nil {
		e, err := settled(ctx, l, full)
		if err != nil {
			return err
		}
		x.Layers = levels(&e, 1)
	}
	value, left, err := store.GetWithTTL(ctx, s, key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	x.Found, x.Size = err == nil, len(value)
	if x.Layers == nil {
		x.Layers = []level{newLevel("store", x.Found, left, note)}
	}
	if e, err := memo.ParseEnvelope(value); err == nil {
		x.Entry = describe(&e)
	}
	x.other = "not an entry of memo"
	if strings.Contains(key, ":#tag:") || strings.HasSuffix(key, ":#") { // as the key of no value
		x.other = "bookkeeping of memo, for what was invalidated"
	}
	return nil
}

// layersOf returns the layers below s and the key that they have for key, nil if
// there are none. Their note is that they are there and their key is not known.
func (c *call) layersOf(s store.Store, key string) (l *layered.Store, full, note string) {
	if l, ok := s.(*layered.Store); ok {
		return l, key, ""
	}
	prefix := ""
	if c.loaded != nil {
		prefix = c.loaded.Stores[c.name].Prefix
	}
	for n := 0; ; n++ {
		w, ok := s.(store.Wrapper)
		if !ok {
			return nil, "", ""
		}
		s = w.Unwrap()
		if l, ok := s.(*layered.Store); ok {
			if n > 0 || prefix == "" {
				return nil, "", "it has layers, which are seen through a view here; give -store for each"
			}
			return l, prefix + key, ""
		}
	}
}

// settled waits for the layers to prove that they may answer, which takes them
// a moment after they were opened.
func settled(ctx context.Context, s *layered.Store, key string) (layered.Explanation, error) {
	for deadline := time.Now().Add(2 * time.Second); ; {
		e, err := s.Explain(ctx, key)
		if err != nil || e.L2Err != nil || !bypassed(&e) || time.Now().After(deadline) {
			return e, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func bypassed(e *layered.Explanation) bool {
	return e != nil && (e.Bypass != "" || bypassed(e.L2))
}

// levels are the layers of e, of which the first has this number.
func levels(e *layered.Explanation, n int) []level {
	name := func(n int) string { return fmt.Sprint("L", n) }
	bypass := ""
	if e.Bypass != "" {
		bypass = "not asked, as " + e.Bypass
	}
	found := []level{newLevel(name(n), e.InL1, e.L1TTL, bypass)}
	if e.L2 != nil {
		return append(found, levels(e.L2, n+1)...)
	}
	far := newLevel(name(n+1), e.InL2, e.L2TTL, "")
	if e.L2Err != nil {
		far.Note = "fails: " + e.L2Err.Error()
	}
	return append(found, far)
}

func newLevel(name string, found bool, left time.Duration, note string) level {
	l := level{Name: name, Found: found, Note: note}
	if found {
		l.TTL = (*ttl)(&left)
	}
	return l
}

func (x *explanation) print(t table) error {
	for _, l := range x.Layers {
		t.row(l.Name, l.holds())
		if l.Note != "" {
			t.row("", strings.ReplaceAll(l.Note, "\n", "; "))
		}
	}
	if x.Found {
		t.row("size", bytesOf(x.Size))
		if x.Entry != nil {
			x.Entry.rows(t, time.Now())
		} else {
			t.row("envelope", "none: "+x.other)
		}
	}
	if x.Lease != "" {
		t.row("lease", x.Lease)
	}
	if x.Lock != "" {
		t.row("lock", x.Lock)
	}
	return t.Flush()
}

func (l *level) holds() string {
	if !l.Found {
		return "no entry"
	}
	switch time.Duration(*l.TTL) {
	case store.Forever:
		return "has it for ever"
	case store.UnknownTTL:
		return "has it, and cannot tell for how long"
	}
	return "has it for " + l.TTL.String()
}
