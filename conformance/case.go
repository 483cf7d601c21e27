package conformance

import (
	"fmt"
	"path"
	"runtime"
	"slices"
)

// A testCase holds one rule of the contract and the calls that show whether a
// store keeps it.
type testCase struct {
	id    string // Group/Name; never changes, as it is what Options.Skip names
	rule  string // what must hold, and what breaks in a real system otherwise
	where string // file:line of the case
	run   func(*trial)

	needs   condition // what the case cannot do without
	ability string    // the case is about this ability, and is tried in each way of calling it
	once    bool      // it chooses the ways itself
	breaks  bool      // it breaks the backend, and so runs alone
	noStore bool      // it opens none
}

// A condition tells why a case cannot be tried in a suite; "" if it can.
type condition func(*suite) string

// groups are all cases in the order of the report. A new group is one more
// line here and one more file.
var groups = [][]testCase{
	abilityCases,
	basicsCases,
	valueCases,
	keyCases,
	expiryCases,
	ttlCases,
	getManyCases,
	setManyCases,
	deleteManyCases,
	getWithTTLCases,
	getManyWithTTLCases,
	addCases,
	compareAndSwapCases,
	compareAndDeleteCases,
	touchCases,
	keysCases,
	clearCases,
	liveCases,
	liveAtCases,
	watchCases,
	leaseCases,
	leaseRaceCases,
	holdCases,
	lockCases,
	lockApartCases,
	watchLockCases,
	pingCases,
	contextCases,
	failureCases,
	closeCases,
	concurrencyCases,
	reopenCases,
}

var allCases = slices.Concat(groups...)

// group gives the cases their group's name. If the group is that of an
// ability, all of them are tried by the method and by the function.
func group(name string, cases ...testCase) []testCase {
	_, isAbility := findAbility(name)
	for i := range cases {
		cases[i].id = name + "/" + cases[i].id
		if isAbility && !cases[i].once {
			cases[i].ability = name
		}
	}
	return cases
}

// rule makes a case. The conditions must all hold for it to be tried.
func rule(name, rule string, run func(*trial), needs ...condition) testCase {
	_, file, line, _ := runtime.Caller(1)
	return testCase{
		id:    name,
		rule:  rule,
		where: fmt.Sprintf("conformance/%s:%d", path.Base(file), line),
		run:   run,
		needs: func(s *suite) string {
			for _, need := range needs {
				if reason := need(s); reason != "" {
					return reason
				}
			}
			return ""
		},
	}
}

// breaking marks a case that breaks the backend for every store there is.
func breaking(c testCase) testCase {
	c.breaks = true
	return c
}

// withoutStore marks a case that needs no store.
func withoutStore(c testCase) testCase {
	c.noStore = true
	return c
}

// Conditions.

func needHang(s *suite) string {
	if s.opts.Fault == nil || s.opts.Fault.Hang == nil {
		return "needs Options.Fault.Hang"
	}
	return ""
}

func needBreak(s *suite) string {
	if s.opts.Fault == nil || s.opts.Fault.Break == nil {
		return "needs Options.Fault.Break"
	}
	return ""
}

func needReopen(s *suite) string {
	if !s.canReopen {
		return "needs Options.Reopen (CheckReopen outside go test)"
	}
	return ""
}

func needVirtualTime(s *suite) string {
	if !s.virtual() {
		return "needs Options.Bubble or Options.Advance"
	}
	return ""
}

func needMaxValue(s *suite) string {
	if s.opts.MaxValue == 0 {
		return "needs Options.MaxValue"
	}
	return ""
}

// noMaxValue is the condition that the store need not know how large its
// values are.
func noMaxValue(s *suite) string {
	if s.opts.MaxValue > 0 {
		return "Options.MaxValue is given: the store must know the length of a value"
	}
	return ""
}

func needTTL(s *suite) string {
	if !s.knowsTTL {
		return "the store cannot tell its ttl (store.UnknownTTL)"
	}
	return ""
}

func needClose(s *suite) string {
	if !s.closes {
		return "the store is no io.Closer"
	}
	return ""
}

// need is the condition that the store offers an ability.
func noAdvance(s *suite) string {
	if s.opts.Advance != nil {
		return "Options.Advance moves the store's clock, which time.Now does not show"
	}
	return ""
}

func need(name string) condition {
	return func(s *suite) string {
		if !s.offers(name) {
			return "the store does not offer " + name
		}
		return ""
	}
}
