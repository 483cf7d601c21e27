package conformance

import (
	"context"
	"runtime"
)

// yielding is a context that lets other goroutines run whenever it is asked
// whether it has ended, which a store does at the beginning of each method. A
// call in memory is over before another goroutine has begun; so a store that
// makes one step of its public methods (a Get, then a Set) would look atomic.
type yielding struct{ context.Context }

func (y yielding) Err() error {
	runtime.Gosched()
	return y.Context.Err()
}
