package layered_test

import (
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/testservers"
)

// owned starts two processes, of which the first takes seconds for a load, and
// returns when it has begun one.
func owned(t *testing.T, st *stress) (owner, other *child, db *goredis.Client) {
	t.Helper()
	server, database := testservers.StartRedis(t), testservers.StartRedis(t)
	db = goredis.NewClient(&goredis.Options{Addr: database.Addr})
	t.Cleanup(func() { db.Close() })
	st.config = config{Store: server.Addr, Database: database.Addr, Prefix: "o:", Delta: testDelta, Keys: 1, Readers: 1}
	other = startProcess(t, st.config)
	st.LoadTime = 3 * time.Second
	owner = startProcess(t, st.config)
	db.Set(t.Context(), st.name("version", 0), 1, 0)
	owner.send("read", 0)
	eventually(t, "a load", func() bool { return db.Exists(t.Context(), st.name("loading", 0)).Val() == 1 })
	return owner, other, db
}

// A process that dies while it loads keeps the others waiting until its lease
// ends, and no longer.
func TestOwnerIsKilled(t *testing.T) {
	t.Parallel()
	var st stress
	owner, other, db := owned(t, &st)
	owner.Signal(syscall.SIGKILL)
	start := time.Now()
	other.send("read", 0)
	if r := other.answer(); r.Versions[0] != 1 || r.ReadErrors > 0 {
		t.Errorf("got %+v", r)
	}
	t.Logf("answered after %v", time.Since(start))
	if n, _ := db.Get(t.Context(), st.name("loads", 0)).Int64(); n != 2 {
		t.Errorf("%d loads, want 2", n)
	}
}

// A process that is frozen while it loads, for longer than its lease, does not
// bring back what was written meanwhile.
func TestOwnerIsFrozen(t *testing.T) {
	t.Parallel()
	var st stress
	owner, other, db := owned(t, &st)
	owner.Signal(syscall.SIGSTOP)
	other.send("read", 0) // after the end of the lease
	if r := other.answer(); r.Versions[0] != 1 {
		t.Errorf("got %+v", r)
	}
	other.send("write", 0)
	other.answer()
	other.send("read", 0)
	if r := other.answer(); r.Versions[0] != 2 {
		t.Errorf("got %+v", r)
	}
	owner.Signal(syscall.SIGCONT)
	if r := owner.answer(); r.Versions[0] != 1 { // it has waited since then
		t.Errorf("the owner got %+v", r)
	}
	time.Sleep(testDelta)
	for name, c := range map[string]*child{"owner": owner, "other": other} {
		c.send("read", 0)
		if r := c.answer(); r.Versions[0] != 2 {
			t.Errorf("the %s got %+v", name, r)
		}
	}
	if n, _ := db.Get(t.Context(), st.name("loads", 0)).Int64(); n != 3 {
		t.Errorf("%d loads, want 3", n)
	}
}
