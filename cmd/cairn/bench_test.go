package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/testservers"
	"github.com/cairncache/cairn/store"
)

func eventually(t *testing.T, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}

// untilMeasured waits until the benchmark reads from a server of Redis, which
// is once it knows that its keys are stored.
func untilMeasured(t *testing.T, server *testservers.Process) {
	t.Helper()
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer client.Close()
	eventually(t, func() bool {
		return strings.Contains(client.Info(t.Context(), "commandstats").Val(), "cmdstat_get:")
	})
}

// listed are the keys in the store of a URL; none if it cannot list them.
func listed(t *testing.T, url string) (keys []string) {
	t.Helper()
	s, err := store.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(s)
	if !store.Supports[store.KeysStore](s) {
		return nil
	}
	for key, err := range store.Keys(t.Context(), s, "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	return keys
}

func benchJSON(t *testing.T, r result) (b benchResult) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.stdout), &b); err != nil {
		t.Fatalf("%v\n%s%s", err, r.stdout, r.stderr)
	}
	return b
}

func TestBench(t *testing.T) {
	onBackends(t, func(t *testing.T, _ backend, url string) {
		// One call of ten writes: where few fit in, as on a busy machine, none may.
		var r result
		var b benchResult
		var s storeResult
		duration := 150 * time.Millisecond
		for s.Set.Calls == 0 && duration < patience {
			duration *= 2
			r = cairn(t, url, "", "bench", "-duration", duration.String(), "-keys", "50", "-concurrency=4", "-json")
			if r.code != exitOK {
				t.Fatal(r.stderr)
			}
			b = benchJSON(t, r)
			s = b.Stores[0]
		}
		switch {
		case len(b.Stores) != 1 || len(b.Ratios) > 0 || b.Interrupted:
			t.Errorf("the result is of another kind: %s", r.stdout)
		case b.Load != load{duration, 4, 100, 50, 10 * time.Minute, 0.9, 1.1}:
			t.Errorf("the load is %+v", b.Load)
		case s.Get.Calls == 0 || s.Set.Calls == 0 || s.Calls != s.Get.Calls+s.Set.Calls || s.Errors > 0 || s.PerSecond <= 0:
			t.Errorf("the calls are %+v", s)
		case s.Hits != s.Get.Calls || s.Misses > 0 || s.HitRatio != 1:
			t.Errorf("%d of %d reads hit, and %d missed", s.Hits, s.Get.Calls, s.Misses)
		case s.Get.P50 <= 0 || s.Get.P50 > s.Get.P90 || s.Get.P90 > s.Get.P99 || s.Get.P99 > s.Get.P999 || s.Get.P999 > s.Get.Max:
			t.Errorf("the latencies are %+v", s.Get)
		case s.Elapsed < b.Load.Duration || len(s.Throughput) == 0:
			t.Errorf("it took %v, with %d parts", s.Elapsed, len(s.Throughput))
		}
		if keys := listed(t, url); len(keys) > 0 {
			t.Errorf("left: %q", keys)
		}
	})
}

// A store with room for a few keys forgets the others.
func TestBenchHitRatio(t *testing.T) {
	t.Parallel()
	r := cairn(t, "memory:?max_entries=100", "", "bench", "-duration=200ms", "-keys=1000", "-zipf=0", "-read=1", "-json")
	s := benchJSON(t, r).Stores[0]
	if s.HitRatio < 0.05 || s.HitRatio > 0.2 || s.Set.Calls != s.Misses || s.Hits+s.Misses != s.Get.Calls {
		t.Errorf("a tenth of the keys has room: %+v", s)
	}
	r = cairn(t, "null:", "", "bench", "-duration=50ms", "-keys=10", "-json")
	if s := benchJSON(t, r).Stores[0]; s.HitRatio != 0 || s.Misses == 0 {
		t.Errorf("nothing is kept: %+v", s)
	}
}

func TestBenchVersus(t *testing.T) {
	t.Parallel()
	r := cairn(t, "memory:", "", "bench", "-vs", "redis://"+testservers.Redis(t).Addr, "-duration=1s", "-keys=10", "-json")
	b := benchJSON(t, r)
	if len(b.Stores) != 2 || b.Stores[0].Store != "memory:" || !strings.HasPrefix(b.Stores[1].Store, "redis://127.0.0.1:") {
		t.Fatalf("the stores are not both there: %s", r.stdout)
	}
	if len(b.Ratios) != len(ratioNames) || b.Ratios[0].Of != "calls/s" || b.Ratios[0].Rounds != 4 {
		t.Fatalf("the ratios are %+v", b.Ratios)
	}
	for _, of := range b.Ratios {
		if of.Min > of.Median || of.Median > of.Max || of.Min <= 0 {
			t.Errorf("the ratios are %+v", of)
		}
	}
	if b.Ratios[0].Median < 1 || b.Ratios[1].Median > 1 {
		t.Errorf("memory is slower than Redis: %+v", b.Ratios)
	}
}

func TestBenchUsage(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]struct {
		code   int
		stderr string
	}{
		"-duration 0s":                        {exitUsage, "-duration must be"},
		"-duration 5":                         {exitUsage, "no unit"},
		"-ttl 0s":                             {exitUsage, "-ttl must be"},
		"-concurrency 0":                      {exitUsage, "-concurrency 0 is not"},
		"-size 1GiB":                          {exitUsage, "-size is more"},
		"-size big":                           {exitUsage, "big"},
		"-keys 1000000 -size 2KiB":            {exitUsage, "more than 1GiB together"},
		"-keys 0":                             {exitUsage, "-keys 0 is not"},
		"-read 1.1":                           {exitUsage, "-read 1.1 is not"},
		"-read NaN":                           {exitUsage, "-read NaN is not"},
		"-zipf 0.5":                           {exitUsage, "-zipf 0.5 is neither"},
		"-zipf NaN":                           {exitUsage, "-zipf NaN is neither"},
		"k":                                   {exitUsage, "takes no arguments"},
		"-vs memry:":                          {exitUsage, `did you mean "memory"`},
		"-vs redis://user:secret@localhost:1": {exitError, "refused"},
		"-vs redis://user:secret@localhost:1?a=1":  {exitUsage, `unknown parameter "a"`},
		"-store redis://user:secret@localhost:1/0": {exitError, "refused"},
	} {
		r := cairn(t, "memory:", "", append([]string{"bench", "-duration=50ms", "-keys=10"}, strings.Fields(args)...)...)
		if r.code != want.code || !strings.Contains(r.stderr, want.stderr) || strings.Contains(r.stdout+r.stderr, "secret") || strings.Contains(r.stderr, "are left") {
			t.Errorf("bench %s: exit code %d, want %d\n%s%s, want %s", args, r.code, want.code, r.stdout, r.stderr, want.stderr)
		}
	}
}

// The server dies while it is measured: what was measured is printed, with one
// error for all calls that have failed.
func TestBenchServerDies(t *testing.T) {
	t.Parallel()
	server := testservers.StartRedis(t)
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		untilMeasured(t, server)
		server.Kill()
	}()
	r := cairn(t, "redis://"+server.Addr, "", "bench", "-duration=2s", "-keys=10", "-concurrency=2")
	<-killed
	if r.code != exitError || !strings.Contains(r.stdout, "\nerrors ") || !strings.Contains(r.stderr, " calls of redis://") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// Ctrl-C ends it with what was measured, which is no failure, and deletes the
// keys.
func TestBenchInterrupt(t *testing.T) {
	t.Parallel()
	server := testservers.StartRedis(t)
	url := "redis://" + server.Addr + "?timeout=1m"
	p := start(t, "bench", "-store", url, "-duration=1h", "-keys=100")
	untilMeasured(t, server)
	p.interrupt(t)
	out, err := io.ReadAll(p.out)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil || p.stderr.Len() > 0 {
		t.Errorf("%v: %s", err, &p.stderr)
	}
	if text := string(out); !strings.Contains(text, "\nerrors ") || !strings.HasSuffix(text, "\nInterrupted: that is what was measured\n") {
		t.Errorf("the output is\n%s", out)
	}
	if keys := listed(t, url); len(keys) > 0 {
		t.Errorf("left: %q", keys)
	}
}

// Before all keys are stored there is nothing to report.
func TestBenchInterruptWhileStoring(t *testing.T) {
	t.Parallel()
	server := testservers.StartRedis(t)
	url := "redis://" + server.Addr + "?timeout=1m"
	p := start(t, "bench", "-store", url, "-keys=10000000", "-size=1B")
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer client.Close()
	eventually(t, func() bool { return client.DBSize(t.Context()).Val() > 0 })
	p.interrupt(t)
	out, err := io.ReadAll(p.out)
	p.Wait()
	if want := "cairn bench: interrupted while storing the keys\n"; err != nil || len(out) > 0 || p.ProcessState.ExitCode() != exitError || p.stderr.String() != want {
		t.Errorf("%v, %v: %s%s", err, p.ProcessState, out, &p.stderr)
	}
	if n := client.DBSize(t.Context()).Val(); n > 0 {
		t.Errorf("%d keys are left", n)
	}
}

// Nobody reads the report: the keys are deleted all the same.
func TestBenchUnread(t *testing.T) {
	t.Parallel()
	server := testservers.StartRedis(t)
	url := "redis://" + server.Addr + "?timeout=1m"
	p := start(t, "bench", "-store", url, "-duration=100ms", "-keys=100")
	p.out.Close()
	p.Wait()
	if p.ProcessState.ExitCode() != exitError || p.stderr.Len() > 0 {
		t.Errorf("%v: %s", p.ProcessState, &p.stderr)
	}
	if keys := listed(t, url); len(keys) > 0 {
		t.Errorf("left: %q", keys)
	}
}

func example() *benchResult {
	var times histogram
	for i := range 10_000 {
		times.add(time.Duration(100+i*i/400) * time.Microsecond)
	}
	var samples []sample
	for i := range 300 {
		samples = append(samples, sample{20 * time.Millisecond, uint64(500 + i*(300-i)/10)})
	}
	l := &load{Duration: 6 * time.Second, Concurrency: 16, Size: 100, Keys: 10_000, TTL: time.Minute, Read: 0.9, Zipf: 1.1}
	a := &target{load: l, name: "redis://xxxxx@cache.internal.example.com:6379/0?prefix=app:", measured: measured{
		get: times, hits: 9_900, misses: 100, failed: 3, first: io.EOF, elapsed: 6 * time.Second, samples: samples,
	}}
	b := &target{load: l, name: "memory:", measured: measured{elapsed: 6 * time.Second}}
	for i := range 1000 {
		b.get.add(time.Duration(100 + i))
		b.set.add(time.Duration(300 + i))
	}
	b.hits = 1000
	b.samples = samples[:30]
	return newBenchResult(l, []*target{a, b}, [][]float64{{0.1, 0.12, 0.09}, {1234, 1500, 1100}, {1, 1, 1}, nil, nil}, true)
}

func TestBenchText(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]page{
		"bench40": {40, false}, "bench80": {80, false}, "bench200": {200, false}, "benchplain": {80, true},
	} {
		file := filepath.Join("testdata", name+".txt")
		got := example().text(p)
		if os.Getenv("CAIRN_UPDATE") != "" {
			if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || got != string(want) {
			t.Errorf("%s (%v) is not what comes out now; set CAIRN_UPDATE=1 to write it:\n%s", file, err, got)
		}
		for line := range strings.Lines(got) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > p.width {
				t.Errorf("%s: wider than %d: %q", file, p.width, line)
			}
			if p.plain && strings.ContainsFunc(line, func(r rune) bool { return r > 127 }) {
				t.Errorf("%s: not plain: %q", file, line)
			}
		}
	}
}
