package memcache

import (
	"hash/crc32"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

const (
	copies = 3

	// proofLife is how long a number that was read may be used before it is read
	// again. It is the same in all processes, as Clear waits for it to pass.
	proofLife = 500 * time.Millisecond

	// settling is how many readings are of one copy before all are compared.
	settling = 20
)

// A generation is the number that entries must carry to be live. The servers
// hold copies of it. Clear raises them all, then waits until no process uses a
// lower number any more; so it is enough to read one. Copies differ after a
// Clear that failed, when one of the servers was away: the highest counts,
// nobody lowers one, and whoever sees a difference raises the others. If all
// are lost, a number is made that no entry carries: what was cleared never
// comes back.
type generation struct {
	client *client
	keys   [copies]string
	proven atomic.Pointer[proof]

	mu       sync.Mutex // held while copies are read
	copy     int        // the one that is read next
	readings int
}

// A proof is what the copies showed when they were read.
type proof struct {
	number uint64
	err    error     // they could not be read; number is the last that was
	at     time.Time // before they were read, or after it if there is an error
	broken int64     // the client's broken connections before they were read
}

// init chooses keys for the copies that gomemcache puts on different servers,
// if there are two to ten: their checksums leave 0, 1 and 2 when divided by a
// multiple of all these numbers.
func (g *generation) init(c *client, prefix string) {
	const multiple = 2520
	g.client = c
	g.proven.Store(new(proof))
	stem := []byte(prefix + mark + "generation")
	for i, n := 0, int64(0); i < copies; n++ {
		if key := strconv.AppendInt(stem, n, 10); crc32.ChecksumIEEE(key)%multiple == uint32(i) {
			g.keys[i] = string(key)
			i++
		}
	}
}

// holds reports whether a proof is good enough for one who has seen an entry
// of the generation seen. A server that has closed a connection may have lost
// its copy, so that ends its life too.
func (g *generation) holds(p *proof, seen uint64) bool {
	return p.err == nil && p.number >= seen && time.Since(p.at) < proofLife && p.broken == g.client.broken.Load()
}

// current returns the highest number of at most proofLife ago, or of now if that
// is below one that was seen in an entry. Callers that wait for one reading
// share its outcome.
func (g *generation) current(seen uint64) (uint64, error) {
	if p := g.proven.Load(); g.holds(p, seen) {
		return p.number, nil
	}
	start := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	last := g.proven.Load()
	if g.holds(last, seen) || last.err != nil && last.at.After(start) {
		return last.number, last.err
	}
	p := &proof{at: time.Now(), broken: g.client.broken.Load()}
	if g.readings%settling > 0 && last.err == nil && last.broken == p.broken && last.number >= seen {
		item, _ := g.client.get(g.keys[g.copy])
		p.number = number(item)
	}
	g.readings++
	if p.number == 0 || p.number < last.number {
		if p.number, p.err = g.settle(last.number); p.err != nil {
			p.number, p.at = last.number, time.Now()
		}
	}
	g.proven.Store(p)
	return p.number, p.err
}

// settle reads all copies, raises those that are behind, and returns the
// highest. If none is left it makes a number above last; of several processes
// that do so at once, the first to write the first copy decides.
func (g *generation) settle(last uint64) (highest uint64, err error) {
	var (
		numbers [copies]uint64
		errs    [copies]error
		wg      sync.WaitGroup
	)
	for i, key := range g.keys {
		wg.Go(func() {
			item, err := g.client.get(key)
			numbers[i], errs[i] = number(item), err
		})
	}
	wg.Wait()
	for _, n := range numbers {
		highest = max(highest, n)
	}
	for i, key := range g.keys {
		if errs[i] != nil {
			err = errs[i]
			continue
		}
		to := highest
		if to == 0 {
			to = max(last+1, uint64(time.Now().UnixNano()))
		}
		n, failed := g.raise(key, max(1, highest), to)
		if failed != nil {
			err = failed
			continue
		}
		highest, g.copy = n, i
	}
	if highest > 0 {
		err = nil // one copy is enough
	}
	return highest, err
}

// clear makes all entries old, and returns when every process has noticed.
func (g *generation) clear() error {
	highest, err := g.current(math.MaxUint64)
	if err != nil {
		return err
	}
	to := max(highest+1, uint64(time.Now().UnixNano()))
	err = g.raiseAll(to)
	if _, failed := g.current(math.MaxUint64); err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	time.Sleep(proofLife)
	return g.raiseAll(to) // as one may have been lost and brought back as it was before
}

func (g *generation) raiseAll(to uint64) (err error) {
	for _, key := range g.keys {
		if _, failed := g.raise(key, to, to); failed != nil {
			err = failed
		}
	}
	return err
}

// raise writes a number to a copy that is below a limit, and returns what the
// copy then shows. It may be repeated, so it gets past broken connections.
func (g *generation) raise(key string, below, to uint64) (uint64, error) {
	for range maxConflicts {
		item, err := g.client.get(key)
		if err != nil {
			return 0, err
		}
		if n := number(item); n >= below {
			return n, nil
		}
		raised := &memcache.Item{Key: key, Value: strconv.AppendUint(nil, to, 10)}
		if item == nil {
			err = g.client.Add(raised)
		} else {
			err = g.client.swap(item, raised)
		}
		if !isConflict(err) && !g.client.isBroken(err) {
			return to, err
		}
	}
	return 0, errContended
}

// number is what a copy shows; 0 if it is lost or nonsense.
func number(item *memcache.Item) uint64 {
	if item == nil {
		return 0
	}
	n, err := strconv.ParseUint(string(item.Value), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
