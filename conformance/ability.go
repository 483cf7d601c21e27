package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/cairncache/cairn/store"
)

// An ability is an extension interface of package store.
type ability struct {
	name     string // the interface's name without "Store", which is its method's (Live and Lease have more than one)
	supports func(store.Store) bool
	// call calls the method in a way that does no harm. It returns errNoMethod
	// if the store has none, and the method may decline.
	call func(ctx context.Context, s store.Store) error
	// fallback says that the function of this name works without the ability.
	fallback bool
}

var errNoMethod = errors.New("the store does not have the method")

// probeKey is what the suite asks about before the first case.
const probeKey = "cairn:probe"

// as calls the method of the interface T.
func as[T store.Store](s store.Store, call func(T) error) error {
	if s, ok := s.(T); ok {
		return call(s)
	}
	return errNoMethod
}

var abilities = []ability{
	{"GetMany", store.Supports[store.GetManyStore], func(ctx context.Context, s store.Store) error {
		return as(s, func(s store.GetManyStore) error { _, err := s.GetMany(ctx, []string{probeKey}); return err })
	}, true},
	{"SetMany", store.Supports[store.SetManyStore], func(ctx context.Context, s store.Store) error {
		return as(s, func(s store.SetManyStore) error {
			return s.SetMany(ctx, []store.Item{{Key: probeKey, Value: []byte("v"), TTL: time.Minute}})
		})
	}, true},
	{"DeleteMany", store.Supports[store.DeleteManyStore], func(ctx context.Context, s store.Store) error {
		return as(s, func(s store.DeleteManyStore) error { return s.DeleteMany(ctx, []string{probeKey}) })
	}, true},
	{"GetWithTTL", store.Supports[store.GetWithTTLStore], func(ctx context.Context, s store.Store) error {
		return as(s, func(s store.GetWithTTLStore) error { _, _, err := s.GetWithTTL(ctx, probeKey); return err })
	}, true},
	{"GetManyWithTTL", store.Supports[store.GetManyWithTTLStore], func(ctx context.Context, s store.Store) error {
		return as(s, func(s store.GetManyWithTTLStore) error {
			_, err := s.GetManyWithTTL(ctx, []string{probeKey})
			return err
		})
	}, true},
	{"Add", store.Supports[store.AddStore], func(ctx context.Context, s store.Store) error {
		return as(s, func(s store.AddStore) error {
			_, err := s.Add(ctx, probeKey, []byte("v"), time.Minute)
			return err
		})
	}, false},
	{"CompareAndSwap", store.Supports[store.CompareAndSwapStore], func(ctx context.Context, s store.Store) error {
		return as(s, func(s store.CompareAndSwapStore) error {
			_, err := s.CompareAndSwap(ctx, probeKey, []byte("v"), []byte("w"), time.Minute)
			return err
		})
	}, false},
	{"CompareAndDelete", store.Supports[store.CompareAndDeleteStore], func(ctx context.Context, s store.Store) error {
		return as(s, func(s store.CompareAndDeleteStore) error {
			_, err := s.CompareAndDelete(ctx, probeKey, []byte("v"))
			return err
		})
	}, false},
	{"Touch", store.Supports[store.TouchStore], func(ctx context.Context, s store.Store) error {
		return as(s, func(s store.TouchStore) error { return s.Touch(ctx, probeKey, time.Minute) })
	}, false},
	{"Keys", store.Supports[store.KeysStore], func(ctx context.Context, s store.Store) error {
		return as(s, func(s store.KeysStore) error {
			for _, err := range s.Keys(ctx, "") {
				return err
			}
			return nil
		})
	}, false},
	{"Clear", store.Supports[store.ClearStore], func(ctx context.Context, s store.Store) error {
		return as(s, func(s store.ClearStore) error { return s.Clear(ctx) })
	}, false},
	{"Live", store.Supports[store.LiveStore], func(ctx context.Context, s store.Store) error {
		return as(s, func(s store.LiveStore) error { _, err := s.GetLive(ctx, probeKey); return err })
	}, true},
	{"LiveAt", store.Supports[store.LiveAtStore], func(ctx context.Context, s store.Store) error {
		return as(s, func(s store.LiveAtStore) error { _, err := s.GetLiveAt(ctx, probeKey, time.Now()); return err })
	}, true},
	{"Watch", store.Supports[store.WatchStore], func(ctx context.Context, s store.Store) error {
		return as(s, func(s store.WatchStore) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			return s.Watch(ctx, deaf{})
		})
	}, false},
	{"Lease", store.Supports[store.LeaseStore], func(ctx context.Context, s store.Store) error {
		return as(s, func(s store.LeaseStore) error { return s.Abandon(ctx, probeKey, "probe") })
	}, false},
	lockAbility,
	watchLockAbility,
	{"Ping", store.Supports[store.PingStore], func(ctx context.Context, s store.Store) error {
		return as(s, func(s store.PingStore) error { return s.Ping(ctx) })
	}, true},
}

func findAbility(name string) (ability, bool) {
	i := slices.IndexFunc(abilities, func(a ability) bool { return a.name == name })
	if i < 0 {
		return ability{}, false
	}
	return abilities[i], true
}

func abilityNames() []string {
	names := make([]string, len(abilities))
	for i, a := range abilities {
		names[i] = a.name
	}
	return names
}

// learn finds out what the store can do, before all cases. If it fails, or ctx
// ends meanwhile, nothing more is to be tried.
func (s *suite) learn(ctx context.Context, env environment) verdict {
	probe := &suite{opts: s.opts} // of its own, as it may go on behind our back if it hangs
	v := probe.try(ctx, learning, plainly, env)
	if v.failure == "" && v.skipped == "" {
		s.facts = probe.facts
	}
	return v
}

var learning = rule("Abilities/Learn", "A store can be opened and takes an entry. One that cannot is not tried further.", func(t *trial) {
	s := t.suite
	s.storeType = fmt.Sprintf("%T", t.s)
	s.offered, s.callable = make(map[string]bool), make(map[string]bool)
	_, s.closes = t.s.(io.Closer)
	for _, a := range abilities {
		// A method that fails for another reason is there: its cases will tell.
		err := a.call(t.ctx, t.s)
		there := !errors.Is(err, errNoMethod) && !errors.Is(err, errors.ErrUnsupported)
		s.callable[a.name] = there
		s.offered[a.name] = there && a.supports(t.s)
	}

	set := t.Set(probeKey, "v", store.DefaultTTL).ok()
	ttl := t.TTL(probeKey) // a miss is for the cases to judge; Fuzz allows it
	s.defaultTTL = lifetime{store.Forever, store.Forever}
	s.latency = min(atMost(set.began, set.ended), atMost(ttl.began, ttl.ended)).Truncate(10 * time.Millisecond)
	left := ttl.value.(time.Duration)
	s.knowsTTL = left != store.UnknownTTL
	switch d := s.opts.DefaultTTL; {
	case d > 0:
		s.defaultTTL = lifetime{d, s.longest(d)}
	case left > 0 && left < store.Forever:
		s.defaultTTL = lifetime{left, left + atMost(set.began, ttl.ended) + s.opts.TTLStep}
	}
})

// offers reports whether the store has the ability itself, not by a fallback.
func (s *suite) offers(name string) bool { return s.offered[name] }

// offersOp is offers for the name of a method as in store.Error.
func (s *suite) offersOp(op string) bool {
	return slices.ContainsFunc(abilities, func(a ability) bool {
		name := strings.ToLower(a.name)
		return s.offered[a.name] && (op == name || op == "get"+name || op == "set"+name)
	})
}

// abilityCases hold what Options.Want says. They know it before they begin.
var abilityCases = group("Abilities",
	withoutStore(rule("Want", "A store offers just what its author means it to offer. A method with a wrong signature makes an ability vanish in silence; a wrapper that invents one makes it fail in production.", func(t *trial) {
		if t.suite.opts.Want == nil {
			return
		}
		var missing, undeclared []string
		for _, a := range abilities {
			wanted := slices.Contains(t.suite.opts.Want, a.name)
			switch offered := t.suite.offers(a.name); {
			case wanted && !offered:
				missing = append(missing, a.name)
			case offered && !wanted:
				undeclared = append(undeclared, a.name)
			}
		}
		if len(missing)+len(undeclared) > 0 {
			t.fail(failure{
				Call: fmt.Sprintf("store.Supports(%s), and the methods themselves", t.suite.storeType),
				Got:  fmt.Sprintf("missing: [%s]; offered but not in Options.Want: [%s]", strings.Join(missing, " "), strings.Join(undeclared, " ")),
				Want: "[" + strings.Join(t.suite.opts.Want, " ") + "]",
			})
		}
	})),
)
