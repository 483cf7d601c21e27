package disk

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/store"
)

// Of ten entries those that were used longest ago go, and no more of them than
// it takes to have a tenth free.
func TestEvictsLeastRecentlyUsed(t *testing.T) {
	t.Parallel()
	value := bytes.Repeat([]byte("v"), 1000)
	size := int64(len(encode("0", value, never)))
	s := newStore(t, newPath(t), &Options{MaxBytes: 10 * size})
	for i := range 10 {
		key := fmt.Sprint(i)
		mustSet(t, s, key, string(value))
		age(t, pathOfKey(s, key), time.Hour-time.Duration(i)*time.Minute)
	}
	wantValue(t, s, "0", string(value)) // is a use
	if _, err := s.TTL(t.Context(), "1"); err != nil {
		t.Error(err)
	}
	if added, err := s.Add(t.Context(), "1", nil, 0); added || err != nil {
		t.Errorf("Add = %v, %v", added, err)
	}
	mustSet(t, s, "a", string(value))
	for i, there := range []bool{true, false, false, true, true, true, true, true, true, true} {
		if exists(pathOfKey(s, fmt.Sprint(i))) != there {
			t.Errorf("%d is there: %v", i, !there)
		}
	}
	wantValue(t, s, "a", string(value))
	if got := s.Stats(); got.Evicted != 2 || got.Bytes != 9*size {
		t.Errorf("got %+v, of entries of %d bytes", got, size)
	}

	// What a sweep has seen is used by later evictions, unless it is outdated.
	wantValue(t, s, "3", string(value))
	for _, key := range []string{"b", "c"} {
		mustSet(t, s, key, string(value))
	}
	for key, there := range map[string]bool{"0": true, "3": true, "4": false, "5": false, "6": true, "a": true, "b": true, "c": true} {
		if exists(pathOfKey(s, key)) != there {
			t.Errorf("%s is there: %v", key, !there)
		}
	}
}

// Expired entries go first.
func TestEvictsExpiredFirst(t *testing.T) {
	t.Parallel()
	value := bytes.Repeat([]byte("v"), 1000)
	size := int64(len(encode("0", value, never)))
	s := newStore(t, newPath(t), &Options{MaxBytes: 10 * size})
	for i := range 10 {
		ttl := store.Forever
		if i >= 8 {
			ttl = 1
		}
		if err := s.Set(t.Context(), fmt.Sprint(i), value, ttl); err != nil {
			t.Fatal(err)
		}
	}
	mustSet(t, s, "a", string(value))
	for i := range 8 {
		wantValue(t, s, fmt.Sprint(i), string(value))
	}
	if got := s.Stats(); got.Expired != 2 || got.Evicted != 0 {
		t.Errorf("got %+v", got)
	}
}

// Room for a large entry is made although more small ones must go than a sweep
// remembers.
func TestEvictsMoreThanCandidates(t *testing.T) {
	t.Parallel()
	const n, most = 100, 30_000
	s := newStore(t, newPath(t), &Options{MaxBytes: most})
	s.sweeper.most = 8
	for i := range n {
		mustSet(t, s, fmt.Sprint(i), strings.Repeat("v", 150))
	}
	mustSet(t, s, "large", string(make([]byte, most-most/20)))
	if got := sizeOf(t, s.folder.Name()); got > most {
		t.Errorf("the files have %d bytes, more than %d", got, most)
	}
	if got := s.Stats(); got.Evicted != n || got.Bytes != sizeOf(t, s.folder.Name()) {
		t.Errorf("got %+v, of %d small entries", got, n)
	}
}

// Writers never have more than one entry each beyond the bound, whatever the
// sizes, and although two Stores write.
func TestMaxBytesHolds(t *testing.T) {
	t.Parallel()
	const most, writers, largest = 100_000, 8, 20_000
	path := newPath(t)
	stores := []*Store{newStore(t, path, &Options{MaxBytes: most}), newStore(t, path, &Options{MaxBytes: most})}
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			s := stores[i%2]
			for n := range 40 {
				key := fmt.Sprintf("%d.%d", i, n%30)
				mustSet(t, s, key, string(make([]byte, (i*7919+n*104729)%largest)))
				if n%5 == 4 {
					if err := s.Delete(context.Background(), key); err != nil {
						t.Error(err)
					}
				}
				if total := sizeOf(t, path); total > most+writers*(largest+100) {
					t.Errorf("%d bytes", total)
				}
			}
		})
	}
	wg.Wait()
	mustSet(t, stores[0], "last", "v")
	total := sizeOf(t, path)
	if got := stores[1].Stats().Bytes; got != total || total > most+writers*(largest+100) {
		t.Errorf("the files have %d bytes, and Stats says %d", total, got)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	s := newStore(t, newPath(t), &Options{MaxBytes: 1000})
	large, ctx := make([]byte, 1000), t.Context()
	mustSet(t, s, "k", "old")
	wantErr(t, "Set", s.Set(ctx, "k", large, 0), store.ErrTooLarge)
	wantMiss(t, s, "k")
	mustSet(t, s, "k", "old")
	if swapped, err := s.CompareAndSwap(ctx, "k", []byte("other"), large, 0); swapped || err != nil {
		t.Errorf("CompareAndSwap = %v, %v", swapped, err)
	}
	if added, err := s.Add(ctx, "k", large, 0); added || err != nil {
		t.Errorf("Add = %v, %v", added, err)
	}
	wantValue(t, s, "k", "old")
	_, err := s.CompareAndSwap(ctx, "k", []byte("old"), large, 0)
	wantErr(t, "CompareAndSwap", err, store.ErrTooLarge)
	wantMiss(t, s, "k")
}

// Counts that a crash has left too high are set right by the next sweep, and
// nothing is evicted for them but what they ask for until then.
func TestSweepCountsAnew(t *testing.T) {
	t.Parallel()
	s := newStore(t, newPath(t), &Options{MaxBytes: 10_000})
	mustSet(t, s, "k", "v")
	for i := range stripes {
		if err := s.usage.set(i, 1<<40); err != nil {
			t.Fatal(err)
		}
	}
	mustSet(t, s, "other", "v")
	wantValue(t, s, "k", "v")
	if got := s.Stats(); got.Bytes != sizeOf(t, s.folder.Name()) || got.Evicted != 0 {
		t.Errorf("got %+v", got)
	}
}

// An open Store sweeps every hour, also without a bound.
func TestSweepsEveryHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, newPath(t), nil)
		// The file system has the time of the world outside.
		if err := s.folder.Chtimes(sweepName, time.Time{}, time.Now()); err != nil {
			t.Fatal(err)
		}
		second := newStore(t, s.folder.Name(), nil)
		if err := s.Set(t.Context(), "k", nil, time.Minute); err != nil {
			t.Fatal(err)
		}
		time.Sleep(sweepEvery - 1)
		synctest.Wait()
		if !exists(pathOfKey(s, "k")) {
			t.Error("swept too early")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if exists(pathOfKey(s, "k")) || s.Stats().Expired+second.Stats().Expired != 1 {
			t.Errorf("not swept: %+v, %+v", s.Stats(), second.Stats())
		}
	})
}

// A Store sweeps at once when it is opened if nobody has for an hour.
func TestSweepsWhenOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, newPath(t), nil)
		if err := s.Set(t.Context(), "k", nil, 1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := s.folder.Chtimes(sweepName, time.Time{}, time.Now().Add(-sweepEvery)); err != nil {
			t.Fatal(err)
		}
		second := newStore(t, s.folder.Name(), nil)
		synctest.Wait()
		if exists(pathOfKey(s, "k")) || second.Stats().Expired != 1 {
			t.Errorf("not swept: %+v", second.Stats())
		}
	})
}

// The clock of the system counts, also where it was set between a write and a
// read: entries live longer or shorter by that, the bound holds, and no more
// than an hour passes between two sweeps.
func TestClockJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, newPath(t), &Options{MaxBytes: 1000})
		if err := s.Set(t.Context(), "forward", nil, time.Minute); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		wantMiss(t, s, "forward")

		// What was written before the clock was set back by a day.
		mustSet(t, s, "back", "v")
		ahead := uint64(24 * time.Hour)
		mustWrite(t, pathOfKey(s, "back"), string(encode("back", []byte("v"), now()+ahead+uint64(time.Minute))))
		for _, path := range []string{pathOfKey(s, "back"), filepath.Join(s.folder.Name(), sweepName)} {
			age(t, path, -24*time.Hour)
		}
		wantValue(t, s, "back", "v")
		if ttl, err := s.TTL(t.Context(), "back"); ttl != 24*time.Hour+time.Minute || err != nil {
			t.Errorf("TTL = %v, %v", ttl, err)
		}
		if wait := s.untilSweep(); wait > sweepEvery {
			t.Errorf("the next sweep is in %v", wait)
		}
		for i := range 50 {
			mustSet(t, s, fmt.Sprint(i), strings.Repeat("v", 100))
			if size := sizeOf(t, s.folder.Name()); size > 1000 {
				t.Fatalf("the files have %d bytes", size)
			}
		}
		wantValue(t, s, "49", strings.Repeat("v", 100))
	})
}

// Whoever waits for a stripe that another process holds gives up when its
// context ends. A read does not wait.
func TestWaitEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, newPath(t), nil)
		other := newStore(t, s.folder.Name(), nil)
		p, _ := s.placeOf("k")
		mustSet(t, s, "k", "old")
		err := other.hold(t.Context(), p.stripe(), func() error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			wantErr(t, "Set", s.Set(ctx, "k", []byte("new"), 0), context.DeadlineExceeded)
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			wantErr(t, "Delete", s.Delete(ctx, "k"), context.Canceled)
			wantValue(t, s, "k", "old")
			return nil
		})
		wantErr(t, "hold", err, nil)
		if _, temporary := filesIn(t, s.folder.Name()); temporary != 0 {
			t.Errorf("%d temporary files are left", temporary)
		}
	})
}

// So does whoever waits for room while another process makes some.
func TestWaitForRoomEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, newPath(t), &Options{MaxBytes: 1000})
		other := newStore(t, s.folder.Name(), nil)
		mustSet(t, s, "k", strings.Repeat("v", 900))
		wantErr(t, "lock", other.sweeper.lock.lock(t.Context()), nil)
		defer other.sweeper.lock.unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantErr(t, "Set", s.Set(ctx, "new", make([]byte, 900), 0), context.DeadlineExceeded)
		wantMiss(t, s, "new")
		wantValue(t, s, "k", strings.Repeat("v", 900))
		if entries, temporary := filesIn(t, s.folder.Name()); entries != 1 || temporary != 0 {
			t.Errorf("there are %d files and %d temporary ones", entries, temporary)
		}
	})
}

// Close waits for calls that are under way.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	s := newStore(t, newPath(t), nil)
	other := newStore(t, s.folder.Name(), nil)
	p, _ := s.placeOf("k")
	set, closed := make(chan error, 1), make(chan error, 1)
	err := other.hold(t.Context(), p.stripe(), func() error {
		go func() { set <- s.Set(context.Background(), "k", []byte("new"), 0) }()
		for len(s.locks[p.stripe()].turn) == 0 { // until it waits
			time.Sleep(time.Millisecond)
		}
		go func() { closed <- s.Close() }()
		select {
		case err := <-closed:
			t.Errorf("Close did not wait: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
		return nil
	})
	wantErr(t, "hold", err, nil)
	wantErr(t, "Set", <-set, nil)
	wantErr(t, "Close", <-closed, nil)
	_, err = s.Get(t.Context(), "k")
	wantErr(t, "Get", err, store.ErrClosed)
	wantValue(t, other, "k", "new")
}
