// Package lock_test compares package lock with other libraries, in one run over
// one redis-server that it starts.
package lock_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/cairncache/cairn/internal/testprocess"
	"github.com/cairncache/cairn/internal/testservers"
)

var (
	rounds = flag.Int("rounds", 5, "how often each library has its turn; the table has the medians")
	length = flag.Duration("length", 3*time.Second, "of each contended run")
)

// Benchmark lets the libraries take turns, so that all of them have the same share
// of what else the machine does.
func Benchmark(b *testing.B) {
	server := testservers.StartRedis(b)
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer client.Close()
	for _, test := range []struct {
		name string
		run  func(*testing.B, *goredis.Client, library)
	}{
		{"uncontended", uncontended},
		{"1x16", func(b *testing.B, c *goredis.Client, l library) { contended(b, c, l, 1) }},
		{"4x16", func(b *testing.B, c *goredis.Client, l library) { contended(b, c, l, 4) }},
	} {
		for round := range *rounds {
			for _, l := range libraries {
				b.Run(fmt.Sprintf("%s/round=%d/by=%s", test.name, round, l.name), func(b *testing.B) {
					report = func(value float64, unit string) {
						b.ReportMetric(value, unit)
						record(test.name, l.name, unit, value)
					}
					test.run(b, client, l)
				})
			}
		}
	}
}

// report is b.ReportMetric, and for the table.
var report func(value float64, unit string)

func uncontended(b *testing.B, client *goredis.Client, l library) {
	take, end, err := l.open(client.Options().Addr)
	if err != nil {
		b.Fatal(err)
	}
	defer end()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var unlocks []func() error
	lockAll := func(prefix string) {
		for i := range 100 {
			unlock, err := take(ctx, fmt.Sprint(prefix, i))
			if err != nil {
				b.Fatal(err)
			}
			unlocks = append(unlocks, unlock)
		}
	}
	unlockAll := func() {
		for _, unlock := range unlocks {
			if err := unlock(); err != nil {
				b.Fatal(err)
			}
		}
		unlocks = nil
	}
	lockAll("warm") // the scripts are there
	unlockAll()
	before := sent(b, client, l)
	lockAll("name")
	locked := sent(b, client, l)
	unlockAll()
	unlocked := sent(b, client, l)

	var start, stop runtime.MemStats
	runtime.ReadMemStats(&start)
	busy, own := used(b, client), ownTime(b)
	for b.Loop() {
		unlock, err := take(ctx, "name")
		if err != nil {
			b.Fatal(err)
		}
		if err := unlock(); err != nil {
			b.Fatal(err)
		}
	}
	runtime.ReadMemStats(&stop)
	serverTime := (used(b, client) - busy) * 1e6 / float64(b.N)
	clientTime := (ownTime(b) - own) * 1e6 / float64(b.N)
	report(float64(b.Elapsed())/float64(b.N), "ns/op")
	report(float64(stop.Mallocs-start.Mallocs)/float64(b.N), "allocs/op")
	report((locked-before)/100, "commands/lock")
	report((unlocked-locked)/100, "commands/unlock")
	report(serverTime, "server-µs/op")
	report(clientTime, "client-µs/op")
}

func contended(b *testing.B, client *goredis.Client, l library, processes int) {
	j := job{
		Library: l.name, Addr: client.Options().Addr, Name: "name",
		Section: filepath.Join(b.TempDir(), "section"), Goroutines: connections, Time: *length,
	}
	s, err := openSection(j.Section)
	if err != nil {
		b.Fatal(err)
	}
	s.Last = -1
	for b.Loop() { // once, as it takes longer than go test wants a benchmark to
		var workers []*testprocess.Process
		for range processes {
			workers = append(workers, testprocess.Start(b, j))
			j.First += j.Goroutines
		}
		before, busy := sent(b, client, l), used(b, client)
		for _, w := range workers {
			w.Send("start")
		}
		var counts, byProcess []int
		stuck := 0
		for _, w := range workers {
			r := resultOf(b, w)
			counts = append(counts, r.Counts...)
			byProcess = append(byProcess, sum(r.Counts))
			stuck += r.Stuck
		}
		entered := sum(counts)
		if uint64(entered) != s.Entered {
			b.Errorf("%s: %d were in the section, and it counted %d: some were in it at once", l.name, entered, s.Entered)
		}
		report(float64(s.Handovers)/length.Seconds(), "handovers/s")
		report((sent(b, client, l)-before)/float64(entered), "commands/lock")
		report(share(counts), "share")
		report(share(byProcess), "process-share")
		report(float64(entered)/length.Seconds(), "locks/s")
		report(float64(stuck), "stuck")
		report((used(b, client)-busy)*1e6/float64(entered), "server-µs/lock")
	}
	b.ReportMetric(0, "ns/op")
}

// share is the largest count, relative to a fair one.
func share(counts []int) float64 {
	return float64(slices.Max(counts)*len(counts)) / float64(sum(counts))
}

func sum(counts []int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// sent is how many commands for locks the server has got.
func sent(b *testing.B, client *goredis.Client, l library) (n float64) {
	for _, name := range l.sends {
		n += info(b, client, "commandstats", `cmdstat_`+name+`:calls=(\d+)`)
	}
	return n
}

// used is the processor time that the server has used, in seconds.
func used(b *testing.B, client *goredis.Client) float64 {
	return info(b, client, "cpu", `used_cpu_sys:([\d.]+)`) + info(b, client, "cpu", `used_cpu_user:([\d.]+)`)
}

// ownTime is the processor time that this process has used, in seconds.
func ownTime(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

func info(b *testing.B, client *goredis.Client, part, pattern string) float64 {
	b.Helper()
	text, err := client.Info(b.Context(), part).Result()
	if err != nil {
		b.Fatal(err)
	}
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// A cell of the table has what the rounds have given.
type cell struct{ test, unit, library string }

var (
	table = make(map[cell][]float64)
	rows  []cell // in order, without library
)

func record(test, library, unit string, value float64) {
	if row := (cell{test, unit, ""}); !slices.Contains(rows, row) {
		rows = append(rows, row)
	}
	c := cell{test, unit, library}
	table[c] = append(table[c], value)
}

// printTable prints the median of each cell.
func printTable() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer w.Flush()
	fmt.Fprint(w, "\nmedians\t\t")
	for _, l := range libraries {
		fmt.Fprint(w, l.name, "\t")
	}
	fmt.Fprintln(w)
	for _, row := range rows {
		fmt.Fprint(w, row.test, "\t", row.unit, "\t")
		for _, l := range libraries {
			row.library = l.name
			fmt.Fprintf(w, "%.4g\t", median(table[row]))
		}
		fmt.Fprintln(w)
	}
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.SortFunc(values, cmp.Compare)
	return values[len(values)/2]
}
