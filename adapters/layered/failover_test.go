package layered_test

import (
	"os"
	"testing"
)

// Without the fence a failover breaks G2 or G3, and with it it does not: a
// watch that stays with the old master hears nothing of what the new one does.
// This one is more patient than that of TestFailover, which gives the old
// master up before there is a new one.
func TestFailoverNeedsFence(t *testing.T) {
	if os.Getenv("CAIRN_STRESS") == "" {
		t.Skip("set CAIRN_STRESS to any length of time, such as 1m")
	}
	run := func(off ...string) *report {
		s := startSentinel(t)
		tr := new(trial)
		for range 2 {
			client := newFailoverClient(s.group.Addrs, s.group.MasterName)
			tr.nodes = append(tr.nodes, newNode(t, client, "p:", nodeOptions{watch: 10 * testDelta, off: off}))
		}
		return tr.run(func() { failOver(s) })
	}
	checkAll(t, run())
	for range 5 {
		seen := run("fence")
		t.Logf("without: %d reads, %d writes, outdated for up to %v", seen.Reads, seen.Deletes, seen.Worst)
		if seen.Stale+seen.Back > 0 {
			return
		}
	}
	t.Error("no violation without it")
}
