package memo

import (
	"bytes"
	"context"
	"reflect"
)

// verify calls the function although there is a value, and reports if it
// returns another one. An error of the function is no difference.
func (f *Func[K, V]) verify(ctx context.Context, k K, e *entry[V]) {
	var value V
	err := f.memo.scope.Run(ctx, func(ctx context.Context) (err error) {
		value, _, err = f.call(ctx, new(loading), k)
		return err
	})
	if err != nil || f.equal(value, e.value) {
		return
	}
	f.counters.add(mismatches, 1)
	f.memo.log.mismatch(ctx, f.name)
	emit(ctx, f.memo, f.memo.trace.Mismatch, MismatchInfo{f.name})
}

// equal reports whether two values look alike when they have been stored. What
// the codec drops makes no difference.
func (f *Func[K, V]) equal(a, b V) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	bytesA, errA := appendValue(f.format.codec, nil, a)
	bytesB, errB := appendValue(f.format.codec, nil, b)
	if errA != nil || errB != nil {
		return errA != nil && errB != nil
	}
	if bytes.Equal(bytesA, bytesB) {
		return true
	}
	backA, errA := decodeValue(f.format.codec, bytesA) // maps may be encoded in any order
	backB, errB := decodeValue(f.format.codec, bytesB)
	return errA == nil && errB == nil && reflect.DeepEqual(backA, backB)
}
