package memo

import (
	"math"
	"time"

	"github.com/cairncache/cairn/store"
)

// Policy says how long values are kept. A field that is zero is inherited: a
// function's from its Memo, and a Memo's from the store. A field that is Off
// says that there shall be none, whatever would be inherited.
type Policy struct {
	// TTL is how long a value is answered, counted from the end of the load
	// that brought it, however long that took. Zero everywhere is what the
	// store was configured with; Off is no limit, as store.Forever.
	TTL time.Duration
}

// Off in a field of a Policy says that there shall be none, other than zero,
// which inherits.
const Off = math.MinInt64

func (p Policy) check() error {
	if p.TTL < 0 && p.TTL != Off {
		return invalid("Policy.TTL: " + p.TTL.String() + " is negative; leave it zero to inherit, or write memo.Off for no limit")
	}
	return nil
}

// inherit fills the fields of p that are zero.
func (p Policy) inherit(parent Policy) Policy {
	if p.TTL == 0 {
		p.TTL = parent.TTL
	}
	return p
}

// storeTTL is the ttl of an entry as a Store takes it.
func (p Policy) storeTTL() time.Duration {
	if p.TTL == Off {
		return store.Forever
	}
	return p.TTL
}
