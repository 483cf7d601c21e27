package lock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cairncache/cairn/store"
)

const (
	fleetSize  = 4
	fleetUsers = 25 // goroutines of each process
	fleetTurns = 10 // sections of each goroutine
)

// state is what the lock of a section protects: an entry that is read and
// written by itself, so that nothing else keeps the sections apart.
type state struct {
	fence  uint64 // of the last section
	count  int
	inside int // sections under way
}

func (st *state) read(ctx context.Context, s store.Store) error {
	value, err := s.Get(ctx, "state")
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err == nil {
		_, err = fmt.Sscan(string(value), &st.fence, &st.count, &st.inside)
	}
	return err
}

func (st *state) write(ctx context.Context, s store.Store) error {
	return s.Set(ctx, "state", fmt.Append(nil, st.fence, " ", st.count, " ", st.inside), store.Forever)
}

// section counts one up, and reports if another was at work meanwhile.
func section(ctx context.Context, s store.Store, fence uint64) error {
	var before, after state
	if err := before.read(ctx, s); err != nil {
		return err
	}
	if before.inside != 0 || before.fence >= fence {
		return fmt.Errorf("fence %d found %+v", fence, before)
	}
	during := state{fence, before.count, 1}
	if err := during.write(ctx, s); err != nil {
		return err
	}
	if err := after.read(ctx, s); err != nil || after != during {
		return fmt.Errorf("wrote %+v, found %+v, %v", during, after, err)
	}
	during.count, during.inside = during.count+1, 0
	return during.write(ctx, s)
}

// sections is what a process does: its goroutines take turns.
func (w *worker) sections(a *answer) {
	var mu sync.Mutex
	var users sync.WaitGroup
	for range fleetUsers {
		users.Go(func() {
			for range fleetTurns {
				err := Do(context.Background(), w.k, "a", func(ctx context.Context, fence uint64) error {
					return section(ctx, w.s, fence)
				})
				mu.Lock()
				if err == nil {
					a.Sections++
				} else if len(a.Faults) < 5 {
					a.Faults = append(a.Faults, err.Error())
				}
				mu.Unlock()
			}
		})
	}
	users.Wait()
}

// Many in several processes: each section sees what the one before it has
// written, its fence is larger, and at the end nothing is left.
func TestContention(t *testing.T) {
	t.Parallel()
	onSites(t, func(t *testing.T, s *site) {
		var fleet []*child
		for range fleetSize {
			fleet = append(fleet, startProcess(t, s, longTTL))
		}
		for _, c := range fleet {
			c.Send("sections")
		}
		for i, c := range fleet {
			if a := c.answer("sections"); a.Sections != fleetUsers*fleetTurns || len(a.Faults) > 0 {
				t.Errorf("process %d: %d sections, %v", i, a.Sections, a.Faults)
			}
		}
		var end state
		if err := end.read(t.Context(), s.direct); err != nil {
			t.Fatal(err)
		}
		if end.count != fleetSize*fleetUsers*fleetTurns || end.inside != 0 {
			t.Errorf("counted %+v, want %d", end, fleetSize*fleetUsers*fleetTurns)
		}
		for i, c := range fleet {
			if a := c.ask("close"); a.Error != "" {
				t.Errorf("process %d: %s", i, a.Error)
			}
		}
		if left := s.left(t, "a"); left != 0 {
			t.Errorf("the lock is left, for %v", left)
		}
	})
}
