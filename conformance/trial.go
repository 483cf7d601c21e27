package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairncache/cairn/store"
)

// A suite is what all trials of one run share.
type suite struct {
	opts      Options
	canReopen bool
	moved     atomic.Int64 // by Options.Advance
	facts
}

// facts are what is learnt of the store before the first case.
type facts struct {
	storeType  string
	offered    map[string]bool // abilities of the store itself
	callable   map[string]bool // methods that do not decline, also those of wrappers
	closes     bool
	knowsTTL   bool
	defaultTTL lifetime
	latency    time.Duration // of a call, in steps of 10 ms
}

// A way is how a trial calls an ability: by the store's method, or by the
// function of package store.
type way string

const (
	byMethod   way = "method"
	byFunction way = "function"
	plainly    way = "" // a case that is not about one ability
)

// ways tells how a case is to be tried; none, with the reason, if it is not.
func (s *suite) ways(c testCase) ([]way, string) {
	if reason := s.opts.Skip[c.id]; reason != "" {
		return nil, reason
	}
	if reason := c.needs(s); reason != "" {
		return nil, reason
	}
	if c.ability == "" {
		return []way{plainly}, ""
	}
	if s.callable[c.ability] && !hasFunction(c.ability) {
		return []way{byMethod}, ""
	}
	if s.callable[c.ability] {
		return []way{byMethod, byFunction}, ""
	}
	if a, _ := findAbility(c.ability); a.fallback || (a.name == "Clear" && s.offers("Keys")) {
		return []way{byFunction}, ""
	}
	return nil, need(c.ability)(s)
}

// A trial is one run of a case on one store. Its methods are the calls on that
// store; a call's outcome is checked by the methods of outcome. The first
// check that fails ends the goroutine it is made in, and so the case.
type trial struct {
	*client
	suite *suite
	c     testCase
	env   environment

	mu       sync.Mutex
	opened   []store.Store
	used     map[string]bool // keys that calls were given, for Options.Tidy
	log      []string        // the latest calls and waits
	underWay map[*outcome]bool
	failure  string // in the words in which it is reported
	unproven string // why the case, which has not failed, shows nothing
}

// An environment makes the stores of a trial.
type environment struct {
	open   func(context.Context) (store.Store, error)
	reopen func(context.Context, store.Store) (store.Store, error)
}

// A verdict is how a trial ended.
type verdict struct {
	failure string // "" if it did not fail
	skipped string // why it shows nothing
	elapsed time.Duration
}

// caseLimit is how long a case may take before it is taken to hang, but for
// what it waits for a coarse clock or a slow link. Tests shorten it.
var caseLimit = time.Minute

// callsInTurn is how many calls a case may make one after another: TestSlowLink
// counts them.
const callsInTurn = 300

// timeLimit is caseLimit on the clock of the case. Virtual time stands still
// while anything works, so that its limit is only reached when all is blocked;
// it must be longer than what cases wait for.
func (s *suite) timeLimit() time.Duration {
	if s.opts.Bubble {
		return 90 * 24 * time.Hour
	}
	return caseLimit + 30*s.opts.TTLStep + 2*callsInTurn*s.latency // some methods take several round trips
}

// try runs the case in one way. It returns when the case has ended, or hangs
// for too long. If ctx ends the case is cut short and shows nothing.
func (s *suite) try(ctx context.Context, c testCase, w way, env environment) verdict {
	start := time.Now()
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &trial{suite: s, c: c, env: env, underWay: make(map[*outcome]bool), used: make(map[string]bool)}
	t.client = &client{t: t, way: w, ctx: yielding{own}}

	done := make(chan struct{})
	most := s.timeLimit() // before the case that learns what it depends on
	go func() {
		defer close(done)
		t.body(c)
	}()
	limit := time.NewTimer(most)
	defer limit.Stop()
	select {
	case <-done:
	case <-ctx.Done():
		select { // what heeds its context ends now, and deletes what it has stored
		case <-done:
		case <-time.After(tidyLimit + time.Second):
		}
	case <-limit.C:
		t.record(failure{Call: t.calling(), Got: fmt.Sprintf("no end after %v", most), Want: "an end"})
		cancel()
		if c.breaks {
			s.opts.Fault.Restore()
		}
		select { // what heeds its context ends now, and is not left behind
		case <-done:
		case <-time.After(time.Second):
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return verdict{"", "cut short: " + err.Error(), time.Since(start)}
	}
	return verdict{t.failure, t.unproven, time.Since(start)}
}

// body opens the store, runs the case and closes the store.
func (t *trial) body(c testCase) {
	defer t.recover()
	if c.noStore {
		c.run(t)
		return
	}
	t.client.s = t.open()
	defer t.closeQuietly(t.client.s)
	if t.suite.opts.Tidy {
		defer t.tidy()
	}
	if c.breaks {
		defer t.suite.opts.Fault.Restore()
	}
	c.run(t)
}

// use notes keys that a call is given.
func (t *trial) use(keys ...string) {
	if !t.suite.opts.Tidy {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range keys {
		if key != "" && len(key) <= t.suite.opts.MaxKey {
			t.used[key] = true
		}
	}
}

// tidyLimit is how long tidy may take.
const tidyLimit = 5 * time.Second

// tidy deletes the keys that were used, also where ctx has ended: it is not
// what the case is about, so an error is not reported.
func (t *trial) tidy() {
	defer t.recover()
	t.mu.Lock()
	opened, keys := slices.Clone(t.opened), slices.Collect(maps.Keys(t.used))
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), tidyLimit)
	defer cancel()
	for _, s := range opened {
		_ = store.DeleteMany(ctx, s, keys)
	}
}

// open returns another store, whose entries are its own unless open of the
// adapter's test derives them from the test's name.
func (t *trial) open() store.Store {
	s, err := t.env.open(t.ctx)
	if err == nil && s == nil {
		err = errors.New("the store is nil")
	}
	if err != nil {
		t.fail(failure{Call: "open", Got: err.Error(), Want: "a store"})
	}
	t.mu.Lock()
	t.opened = append(t.opened, s)
	t.mu.Unlock()
	return s
}

// reopen returns a second handle on the data of the trial's store. The caller
// closes it.
func (t *trial) reopen() *client {
	s, err := t.env.reopen(t.ctx, t.client.s)
	if err == nil && s == nil {
		err = errors.New("the store is nil")
	}
	if err != nil {
		t.fail(failure{Call: "Options.Reopen", Got: err.Error(), Want: "a second handle on the same data"})
	}
	second := *t.client
	second.s, second.name = s, "second"
	return &second
}

// handles returns the trial's client and, if a second handle can be had, one on
// that, which done closes.
func (t *trial) handles() (all []*client, done func()) {
	if !t.suite.canReopen {
		return []*client{t.client}, func() {}
	}
	second := t.reopen()
	return []*client{t.client, second}, func() { t.closeQuietly(second.s) }
}

// closeQuietly closes a store whose Close is not what the case is about.
func (t *trial) closeQuietly(s store.Store) {
	defer t.recover()
	_ = store.Close(s)
}

// recover turns a panic of the store into a failure. A deferred call of it
// ends a goroutine of the trial.
func (t *trial) recover() {
	if p := recover(); p != nil {
		_, stack, _ := strings.Cut(string(debug.Stack()), "\npanic(") // what lies above is this function
		t.record(failure{Call: t.calling(), Got: fmt.Sprintf("panic: %v\npanic(%s", p, stack), Want: "no panic"})
	}
}

// parallel runs f in n goroutines at once and waits for them. If a check fails
// in one of them, the case ends.
func (t *trial) parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			defer t.recover()
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
	if t.failed() {
		runtime.Goexit()
	}
}

// atOnce is how many calls of f each makes at a time.
const atOnce = 16

// each calls f for every index below n, some of them at once, as a case must not
// make more than callsInTurn over a slow link. Where one call of f moves the
// clock the others must not be under way.
func (t *trial) each(n int, f func(i int)) {
	workers := min(n, atOnce)
	if t.suite.opts.Advance != nil {
		workers = 1
	}
	t.parallel(workers, func(worker int) {
		for i := worker; i < n && !t.failed(); i += workers {
			f(i)
		}
	})
}

// eachOf is each for strings.
func (t *trial) eachOf(all []string, f func(string)) {
	t.each(len(all), func(i int) { f(all[i]) })
}

// eachOnKey is eachOf with a key for f to write to: one that no other call has
// at the same time, and the next one has after it.
func (t *trial) eachOnKey(all []string, f func(key, value string)) {
	t.each(len(all), func(i int) { f(fmt.Sprintf("key%d", i%atOnce), all[i]) })
}

// failed reports whether a check has failed, in whatever goroutine.
func (t *trial) failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failure != ""
}

// skip says that the case could not show anything, and ends it.
func (t *trial) skip(format string, args ...any) {
	t.mu.Lock()
	t.unproven = fmt.Sprintf(format, args...)
	t.mu.Unlock()
	runtime.Goexit()
}
