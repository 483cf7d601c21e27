package memo_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/store"
	"github.com/cairncache/cairn/store/storetest"
)

// A policy is that of the call, the function, its region, the region's parents
// and the Memo, in this order, each field by itself. Off is stated, zero is
// not.
func TestPrecedence(t *testing.T) {
	const levels = 6 // call, function, region, parent, grandparent, Memo
	synctest.Test(t, func(t *testing.T) {
		for choice := range 729 { // 3 to the number of levels
			var stated [levels]memo.Policy
			wantTTL, wantAbsent := store.UnknownTTL, time.Duration(0)
			wantWait := 10 * time.Second // what the function takes
			for level, rest := levels-1, choice; level >= 0; level, rest = level-1, rest/3 {
				n := time.Duration(level + 1)
				switch p := &stated[level]; rest % 3 {
				case 1:
					*p = memo.Policy{TTL: n * time.Hour, Absent: n * time.Minute, WaitTimeout: n * time.Second}
					wantTTL, wantAbsent, wantWait = p.TTL, p.Absent, p.WaitTimeout
				case 2:
					*p = memo.Policy{TTL: memo.Off, Absent: memo.Off, WaitTimeout: memo.Off}
					wantTTL, wantAbsent, wantWait = store.Forever, 0, 10*time.Second
				}
			}
			m := newMemo(t, newLiveStore(), &memo.Options{
				Policy: stated[5],
				Regions: map[string]memo.Region{
					"region":      {Parent: "parent", Policy: stated[2]},
					"parent":      {Parent: "grandparent", Policy: stated[3]},
					"grandparent": {Policy: stated[4]},
				},
			})
			var o origin
			f := wrap(t, m, "f", o.load, &memo.FuncOptions[int, int]{Region: "region", Policy: stated[1]})
			call := memo.Call{Policy: stated[0]}
			wantLookup(t, f, seen{1, memo.SourceLoaded, 0, wantTTL, nil}, call)
			mustDelete(t, f, 7)
			o.fails(store.ErrNotFound)
			wantLookup(t, f, seen{err: store.ErrNotFound}, call)
			if meta, err := f.Meta(t.Context(), 7); wantAbsent == 0 && err != store.ErrNotFound || wantAbsent != 0 && meta.TTL != wantAbsent {
				t.Errorf("%d: Meta is %+v, %v; want to know for %v that it is absent", choice, meta, err, wantAbsent)
			}
			mustDelete(t, f, 7)
			o.takes(10 * time.Second)
			start := time.Now()
			if _, _ = f.Lookup(t.Context(), 7, call); time.Since(start) != wantWait {
				t.Errorf("%d: waited %v, want %v", choice, time.Since(start), wantWait)
			}
			time.Sleep(10 * time.Second)
			if t.Failed() {
				t.Fatalf("stated: %+v", stated)
			}
		}
	})
}

func TestRegionsOfFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, users, own := storetest.NewRecorder(newLiveStore()), storetest.NewRecorder(newLiveStore()), storetest.NewRecorder(newLiveStore())
		m := newMemo(t, root, &memo.Options{
			Namespace: "app",
			Regions: map[string]memo.Region{
				"plain": {},
				"user":  {Namespace: "user", Store: users},
				"admin": {Parent: "user", Namespace: "admin"},
				"guest": {Parent: "user"},
			},
		})
		for _, test := range []struct {
			options memo.FuncOptions[int, int]
			key     string
			at      *storetest.Recorder
		}{
			{memo.FuncOptions[int, int]{}, "app:f0:7", root},
			{memo.FuncOptions[int, int]{Region: "plain"}, "app:f1:7", root},
			{memo.FuncOptions[int, int]{Region: "user"}, "user:f2:7", users},
			{memo.FuncOptions[int, int]{Region: "admin"}, "admin:f3:7", users},
			{memo.FuncOptions[int, int]{Region: "guest"}, "user:f4:7", users},
			{memo.FuncOptions[int, int]{Region: "guest", Namespace: "own"}, "own:f5:7", users},
			{memo.FuncOptions[int, int]{Region: "guest", Store: own}, "user:f6:7", own},
			{memo.FuncOptions[int, int]{Namespace: "own", Store: own}, "own:f7:7", own},
			{memo.FuncOptions[int, int]{Region: "admin", Version: "v1"}, "admin:f8@v1:7", users},
		} {
			name := test.key[strings.Index(test.key, ":")+1:][:2]
			f := wrap(t, m, name, echo, &test.options)
			if key := theKeyOf(t, f, 7); key != test.key {
				t.Errorf("the key is %s, want %s", key, test.key)
			}
			for _, r := range []*storetest.Recorder{root, users, own} {
				r.Reset()
			}
			get(t, f, 7)
			_, _ = f.Has(t.Context(), 7)
			_, _ = f.TTL(t.Context(), 7)
			_, _ = f.Meta(t.Context(), 7)
			must(t, f.Touch(t.Context(), 7))
			must(t, f.Set(t.Context(), 7, 1))
			must(t, f.Expire(t.Context(), 7))
			mustDelete(t, f, 7)
			must(t, f.DeleteMany(t.Context(), []int{7}))
			must(t, f.Clear(t.Context()))
			for _, r := range []*storetest.Recorder{root, users, own} {
				for _, c := range r.Calls() {
					for _, key := range c.Keys {
						if r != test.at || !ofVersions(c) && key != test.key {
							t.Errorf("%s: %s of %s in another store or namespace", test.key, c.Op, key)
						}
					}
				}
			}
			if len(test.at.Calls()) < 9 {
				t.Errorf("%s: the store was asked %v", test.key, test.at.Calls())
			}
		}
	})
}

// Functions of one name in several Memos, or several names in one, do not meet.
func TestRegionsKeepFunctionsApart(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		m := newMemo(t, s, &memo.Options{Regions: map[string]memo.Region{"a": {Namespace: "a"}, "b": {Namespace: "b"}}})
		var as, bs origin
		bs.calls = make([]time.Time, 10)
		a := wrap(t, m, "one", as.load, &memo.FuncOptions[int, int]{Region: "a"})
		b := wrap(t, m, "two", bs.load, &memo.FuncOptions[int, int]{Region: "b"})
		wantLookup(t, a, seen{1, memo.SourceLoaded, 0, store.UnknownTTL, nil})
		wantLookup(t, b, seen{11, memo.SourceLoaded, 0, store.UnknownTTL, nil})
		must(t, a.Clear(t.Context()))
		wantGone(t, a)
		if v := get(t, b, 7); v != 11 {
			t.Errorf("got %d", v)
		}
	})
}

func TestUnknownRegions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemo(t, newLiveStore(), &memo.Options{Regions: map[string]memo.Region{"user": {}, "page": {}}})
		_, wrapErr := memo.Wrap(m, "f", echo, &memo.FuncOptions[int, int]{Region: "usr"})
		_, getErr := memo.Get(t.Context(), m, "k", func(context.Context) (int, error) { return 1, nil }, &memo.GetOptions{Region: "usr"})
		deleteErr := memo.Delete(t.Context(), m, "k", &memo.GetOptions{Region: "usr"})
		bindErr := m.Bind(newLiveStore(), "usr")
		for _, err := range []error{wrapErr, getErr, deleteErr, bindErr} {
			if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), `there is no region "usr"; Options.Regions has "page", "user"`) {
				t.Errorf("got %v", err)
			}
		}
		wrap(t, m, "f", echo, nil) // the name was not taken
		_, err := memo.Wrap(m, "g", echo, &memo.FuncOptions[int, int]{Store: memo.Later})
		if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "declare a Region with Later") {
			t.Errorf("got %v", err)
		}
		_, err = memo.Wrap(m, "h", echo, &memo.FuncOptions[int, int]{Policy: memo.Policy{Stale: time.Hour}})
		if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "without a TTL") {
			t.Errorf("got %v", err)
		}
		_, err = memo.Wrap(m, "h", echo, &memo.FuncOptions[int, int]{Region: "user", Policy: memo.Policy{TTL: memo.Off, Stale: time.Hour}})
		must(t, err)
	})
}

// What a program would declare at package level.
func TestBind(t *testing.T) {
	synctest.Test(t, testBind)
}

func testBind(t *testing.T) {
	var (
		m = memo.Must(memo.New(memo.Later, &memo.Options{
			Namespace: "app",
			Regions: map[string]memo.Region{
				"local":  {Store: memo.Later, Namespace: "local"},
				"nested": {Parent: "local"},
				"plain":  {},
			},
		}))
		plain  = memo.Must(memo.Wrap(m, "plain", echo, &memo.FuncOptions[int, int]{Region: "plain"}))
		nested = memo.Must(memo.Wrap(m, "nested", echo, &memo.FuncOptions[int, int]{Region: "nested"}))
		own    = memo.Must(memo.Wrap(m, "own", echo, &memo.FuncOptions[int, int]{Store: newLiveStore()}))
	)
	wantUnbound := func(f *memo.Func[int, int]) {
		t.Helper()
		_, getErr := f.Get(t.Context(), 7)
		_, lookupErr := f.Lookup(t.Context(), 7)
		_, refreshErr := f.Refresh(t.Context(), 7)
		_, manyErr := f.GetMany(t.Context(), []int{7})
		_, hasErr := f.Has(t.Context(), 7)
		_, ttlErr := f.TTL(t.Context(), 7)
		_, metaErr := f.Meta(t.Context(), 7)
		for i, err := range []error{
			getErr, lookupErr, refreshErr, manyErr, hasErr, ttlErr, metaErr, f.Set(t.Context(), 7, 1), f.Delete(t.Context(), 7),
			f.DeleteMany(t.Context(), []int{7}), f.Expire(t.Context(), 7), f.Touch(t.Context(), 7), f.Clear(t.Context()),
			f.TouchAt(t.Context(), 7, time.Now().Add(time.Hour)), m.InvalidateTags(t.Context(), "a"), m.Clear(t.Context()),
		} {
			if !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "Memo.Bind gives it") {
				t.Errorf("%d: got %v", i, err)
			}
		}
		if key, err := f.Key(7); key == "" || err != nil {
			t.Errorf("Key: %q, %v", key, err)
		}
	}
	wantBindErr := func(s store.Store, want string, regions ...string) {
		t.Helper()
		if err := m.Bind(s, regions...); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("Bind: %v, want %q", err, want)
		}
	}
	wantUnbound(plain)
	wantUnbound(nested)
	get(t, own, 7)

	wantBindErr(nil, "the store is nil or Later")
	wantBindErr(memo.Later, "the store is nil or Later")
	wantBindErr(newLiveStore(), `there is no region "loca"`, "local", "loca")
	wantBindErr(newLiveStore(), `the region "local" has a store already`, "local", "local")
	wantUnbound(nested) // nothing was bound

	local, root := storetest.NewRecorder(newLiveStore()), storetest.NewRecorder(newLiveStore())
	must(t, m.Bind(local, "local"))
	get(t, nested, 7)
	if local.Count("setlive") != 1 {
		t.Errorf("the store of the region was asked %v", local.Calls())
	}
	wantUnbound(plain)
	must(t, m.Bind(root))
	get(t, plain, 7)
	if root.Count("setlive") != 1 {
		t.Errorf("the store of the Memo was asked %v", root.Calls())
	}
	wantBindErr(newLiveStore(), "the Memo has a store already; Bind is called once")
	wantBindErr(newLiveStore(), `the region "local" has a store already`, "local")
	wantBindErr(newLiveStore(), `the region "plain" has no store of its own`, "plain")
	must(t, m.InvalidateTags(t.Context(), "a"))
	must(t, m.Close(t.Context()))
}

// A Memo that was never bound can be closed.
func TestCloseBeforeBind(t *testing.T) {
	m, err := memo.New(memo.Later, nil)
	must(t, err)
	f := wrap(t, m, "f", echo, nil)
	must(t, m.Close(t.Context()))
	if _, err := f.Get(t.Context(), 7); !errors.Is(err, memo.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// Where an answer comes from, how old it is, how long it stays fresh, and what
// went wrong, for each Source there is.
func TestSources(t *testing.T) {
	onEachStore(t, func(t *testing.T, s store.Store) {
		var o origin
		f := wrap(t, newMemo(t, s, nil), "f", o.load, policy(memo.Policy{TTL: time.Minute, Stale: time.Minute, Absent: time.Hour}))
		o.fails(errOrigin)
		wantLookup(t, f, seen{0, memo.SourceNone, 0, 0, errOrigin})
		o.fails(nil)
		o.takes(time.Second)
		first := ask(t.Context(), f, 7)
		time.Sleep(time.Second / 4)
		wantLookupIn(t, 3*time.Second/4, f, seen{2, memo.SourceShared, 0, time.Minute, nil})
		wantAnswer(t, "first", first, 2, time.Second)
		time.Sleep(time.Second)
		wantLookup(t, f, seen{2, sourceOf(s), time.Second, 59 * time.Second, nil})
		mustDelete(t, f, 7)
		wantLookupIn(t, time.Second, f, seen{3, memo.SourceLoaded, 0, time.Minute, nil})
		o.fails(store.ErrNotFound)
		time.Sleep(90 * time.Second)
		wantLookup(t, f, seen{3, memo.SourceStale, 90 * time.Second, 0, nil})
		time.Sleep(2 * time.Second)
		wantLookup(t, f, seen{0, memo.SourceNegative, time.Second, time.Hour - time.Second, store.ErrNotFound})
		var remembered *memo.RememberedError
		if r, _ := f.Lookup(t.Context(), 7); !errors.As(r.Err, &remembered) || !remembered.Absent {
			t.Errorf("got %+v", r)
		}
	})
}

// What was found by somebody else who looked again comes from the store, too.
func TestSourceOfWhatWasFoundMeanwhile(t *testing.T) {
	for _, absent := range []bool{false, true} {
		onEachStore(t, func(t *testing.T, s store.Store) {
			var o, other origin
			p := policy(memo.Policy{TTL: time.Minute, Absent: time.Minute})
			theirs := wrap(t, newMemo(t, s, nil), "f", other.load, p)
			unlocked := make(chan struct{})
			m := newMemo(t, s, &memo.Options{Lock: func(context.Context, string) (func(), error) {
				<-unlocked // as long as the other process holds it
				return nil, nil
			}})
			f := wrap(t, m, "f", o.load, p)
			results := make(chan memo.Result[int], 2)
			for range 2 {
				go func() {
					r, _ := f.Lookup(t.Context(), 7)
					results <- r
				}()
			}
			synctest.Wait()
			if absent {
				other.fails(store.ErrNotFound)
			}
			_, _ = theirs.Get(t.Context(), 7)
			time.Sleep(time.Second)
			close(unlocked)
			want := seen{1, sourceOf(s), time.Second, 59 * time.Second, nil}
			if absent {
				want = seen{0, memo.SourceNegative, time.Second, 59 * time.Second, store.ErrNotFound}
			}
			for range 2 {
				r := <-results
				if got := (seen{r.Value, r.Source, r.Age, r.TTL, want.err}); got != want || !errors.Is(r.Err, want.err) {
					t.Errorf("got %+v, want %+v", r, want)
				}
			}
			o.want(t, 0)
		})
	}
}

// Who could not read the generation cannot tell whether what another has found
// is still valid, and so loads.
func TestFoundForOneWithoutGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o origin
		s := newLiveStore()
		blind := false
		half := storetest.Intercept(s, func(ctx context.Context, c storetest.Call, next func(context.Context) error) error {
			if blind {
				return store.Errorf(c.Op, c.Key(), store.ErrUnavailable, "no answer")
			}
			return next(ctx)
		})
		unlocked := make(chan struct{})
		m := newMemo(t, half, &memo.Options{Lock: func(context.Context, string) (func(), error) {
			<-unlocked
			return nil, nil
		}})
		f := wrap(t, m, "f", o.load, nil)
		theirs := wrap(t, newMemo(t, s, nil), "f", func(context.Context, int) (int, error) { return 99, nil }, nil)
		first := ask(t.Context(), f, 7)
		time.Sleep(time.Second)
		blind = true
		joined := ask(t.Context(), f, 7)
		blind = false
		get(t, theirs, 7)
		close(unlocked)
		wantAnswer(t, "first", first, 99, time.Second)
		wantAnswer(t, "joined", joined, 1, 0)
	})
}

func TestSourceString(t *testing.T) {
	var text []string
	for s := range memo.SourceNegative + 2 {
		text = append(text, fmt.Sprint(s))
	}
	if got, want := strings.Join(text, " "), "none memory store loaded shared stale negative unknown"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Bind of a region that has its store from somewhere else would bind that.
func TestBindOfInheritedStore(t *testing.T) {
	m, err := memo.New(memo.Later, &memo.Options{Regions: map[string]memo.Region{"plain": {}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Bind(newLiveStore(), "plain"); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), `"plain"`) {
		t.Errorf("got %v", err)
	}
	if err := m.Bind(newLiveStore()); err != nil {
		t.Error(err)
	}
}
