package layered_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/testservers"
)

// stress is a run of a fleet against one Redis to which something happens.
type stress struct {
	config         // what all processes have in common
	Sentinel  bool // L2 is a master that can fail over
	Processes int
	Duration  time.Duration
	Every     time.Duration // between two disturbances
	Disturb   func(s *servers)
}

// result is what a stress has shown.
type result struct {
	report
	Wrong, Cold, Overlaps int64 // violations: the final state, and G6
}

// old is how often something older was answered than what is promised.
func (r *result) old() int64 { return r.Own + r.Stale + r.Back + r.Wrong }

func (r *result) violations() int64 { return r.old() + r.Overlaps + r.Cold }

func (r *result) String() string {
	return fmt.Sprintf("%d reads (%d failed), %d loads, %d deletes (%d failed), outdated for up to %v; violations: own writes %d, staleness %d, back in time %d, final state %d, cold loads %d, overlaps %d",
		r.Reads, r.ReadErrors, r.Loads, r.Deletes, r.Failed, r.Worst.Round(time.Millisecond), r.Own, r.Stale, r.Back, r.Wrong, r.Cold, r.Overlaps)
}

func (st stress) run(t *testing.T) *result {
	t.Helper()
	database := testservers.StartRedis(t)
	db := goredis.NewClient(&goredis.Options{Addr: database.Addr})
	defer db.Close()
	st.Database, st.Prefix = database.Addr, "s:"
	var s *servers
	if st.Sentinel {
		s = startSentinel(t)
		st.Sentinels, st.Master = s.group.Addrs, s.group.MasterName
	} else {
		s = startServers(t)
		st.Store = s.proxy.Addr
	}
	var f fleet
	for id := range st.Processes {
		st.ID = id
		f = append(f, startProcess(t, st.config))
	}
	s.fleet = f
	f.ask("start")
	for end := time.Now().Add(st.Duration); time.Now().Before(end); {
		time.Sleep(min(st.Every, time.Until(end)))
		st.Disturb(s)
	}
	r := new(result)
	for _, one := range f.ask("stop") {
		r.add(&one)
	}
	if s.proxy != nil {
		s.proxy.Pass()
	}
	time.Sleep(2 * st.Delta)
	r.settled(t, db, &st, f)
	r.coldKeys(t, db, &st, f)
	for _, note := range r.Notes {
		t.Log(note)
	}
	t.Log(r)
	return r
}

func (r *result) add(one *report) {
	r.Reads += one.Reads
	r.ReadErrors += one.ReadErrors
	r.Loads += one.Loads
	r.Deletes += one.Deletes
	r.Failed += one.Failed
	r.Own += one.Own
	r.Stale += one.Stale
	r.Back += one.Back
	r.Worst = max(r.Worst, one.Worst)
	r.Notes = append(r.Notes, one.Notes...)
}

// settled counts the keys that a process answers with anything else than what
// is in the database, after it was quiet.
func (r *result) settled(t *testing.T, db *goredis.Client, st *stress, f fleet) {
	t.Helper()
	keys := upTo(0, st.Keys)
	for id, one := range f.ask("read", keys...) {
		r.ReadErrors += one.ReadErrors
		for i, k := range keys {
			want, _ := db.Get(t.Context(), st.name("version", k)).Int64()
			if one.Versions[i] != want {
				r.Wrong++
				r.note("in the end process %d answers version %d of key %d, which is %d", id, one.Versions[i], k, want)
			}
		}
	}
}

// coldKeys has all processes ask for keys that nobody has. Each key is to be
// loaded once, if L2 answers: a machine with too much to do may keep it from that.
func (r *result) coldKeys(t *testing.T, db *goredis.Client, st *stress, f fleet) {
	t.Helper()
	keys := upTo(1000, 1000+st.Keys)
	for _, one := range f.ask("read", keys...) {
		if one.Failed > 0 {
			t.Log("the store has failed: the loads are not counted")
			return
		}
	}
	for _, k := range keys {
		overlaps, _ := db.Get(t.Context(), st.name("overlaps", k)).Int64()
		loads, _ := db.Get(t.Context(), st.name("loads", k)).Int64()
		r.Overlaps += overlaps
		r.Cold += max(loads-1, 1-loads)
	}
}

func upTo(from, to int) (keys []int) {
	for k := from; k < to; k++ {
		keys = append(keys, k)
	}
	return keys
}

// usual is a run that a naive store does not survive.
func usual(disturb func(*servers), every time.Duration) stress {
	return stress{
		config:    config{Delta: 500 * time.Millisecond, Window: 3 * time.Millisecond, Keys: 20, Readers: 12, Writers: 2},
		Processes: 3,
		Duration:  stressTime(),
		Every:     every,
		Disturb:   disturb,
	}
}

// stressTime is how long a run takes: CAIRN_STRESS=30s, or some seconds.
func stressTime() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("CAIRN_STRESS")); err == nil {
		return d
	}
	return 6 * time.Second
}

// variants are the runs of TestStress. The first few are part of every test
// run; all of them run where CAIRN_STRESS says for how long, such as 1m.
var variants = []struct {
	name  string
	long  bool
	setUp func() stress
}{
	{"watch cut", false, func() stress { return usual(cutWatch, 300*time.Millisecond) }},
	{"server killed", false, func() stress { return usual(killServer, 2*time.Second) }},
	{"server frozen", false, func() stress { return usual(freeze, 2*time.Second) }},
	{"process frozen", true, func() stress { return usual(freezeProcess, time.Second) }},
	{"process killed", true, func() stress {
		st := usual(killProcess, 4*time.Second)
		st.Update = true
		return st
	}},
	{"calm", true, func() stress { return usual(calm, time.Second) }},
	{"watch silent", true, func() stress { return usual(loseWatch, 700*time.Millisecond) }},
	{"watch late", true, func() stress { return usual(holdWatch, time.Second) }},
	{"network black", true, func() stress { return usual(loseAll, 2*time.Second) }},
	{"FLUSHALL", true, func() stress { return usual(flushAll, 300*time.Millisecond) }},
	{"all clients cut", true, func() stress { return usual(killClients, 300*time.Millisecond) }},
	{"entries evicted", true, func() stress { return usual(evict, 100*time.Millisecond) }},
	{"failover", true, func() stress {
		st := usual(failOver, 2*time.Second)
		st.Sentinel = true
		return st
	}},
	{"wide windows", true, func() stress {
		st := usual(cutWatch, 300*time.Millisecond)
		st.Processes, st.Window, st.Keys = 6, 20*time.Millisecond, 8
		return st
	}},
	{"many processes", true, func() stress {
		st := usual(cutWatch, 300*time.Millisecond)
		st.Processes, st.Keys = 6, 8
		return st
	}},
}

func TestStress(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			if v.long && os.Getenv("CAIRN_STRESS") == "" {
				t.Skip("set CAIRN_STRESS to how long each run shall take, such as 1m")
			}
			if r := v.setUp().run(t); r.violations() > 0 {
				t.Error("promises were broken: ", r)
			}
		})
	}
}

// Each of the mechanisms is needed: without it the stress test fails, and with
// all of them it does not.
func TestStressNeedsEach(t *testing.T) {
	silent := usual(loseWatch, 700*time.Millisecond)
	silent.WatchDelta = 10 * silent.Delta // nobody notices for long, which is all the same to the fence
	for mechanism, st := range map[string]stress{
		"epoch":  usual(calm, time.Second),
		"forget": usual(calm, time.Second),
		"lease":  usual(calm, time.Second),
		"flush":  usual(loseWatch, 700*time.Millisecond),
		"fence":  silent,
	} {
		t.Run(mechanism, func(t *testing.T) {
			st.Duration = 3 * time.Second
			if mechanism == "fence" {
				if r := st.run(t); r.violations() > 0 {
					t.Error("promises were broken with all mechanisms: ", r)
				}
			}
			st.Off = []string{mechanism}
			for range 5 {
				if r := st.run(t); r.old() > 0 {
					return
				}
			}
			t.Error("no violation without it")
		})
	}
}

// The stress test can fail.
func TestStressFindsNaiveStore(t *testing.T) {
	st := usual(cutWatch, 300*time.Millisecond)
	st.Naive = true
	for range 3 {
		if r := st.run(t); r.old() > 0 {
			return
		}
	}
	t.Error("no violation of a store that has no protection")
}
