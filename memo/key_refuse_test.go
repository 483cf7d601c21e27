package memo

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/cairncache/cairn/store"
)

type (
	keyFilter  struct{ Match func(string) bool }
	keySearch  struct{ Filter keyFilter }
	keyGuarded struct{ Mu sync.Mutex }
	keyRequest struct {
		context.Context
		ID int
	}
	keyAmbiguous struct {
		keyed
		Text string
	}
	keyNode struct {
		Next  *keyNode
		Child map[string][]any
	}
	keyTwins struct{ Left, Right *keyTwins }
)

func wrapKey[K any]() error {
	_, err := newKeyEncoder[K]("app", "user", "")
	return err
}

func TestKeyRefusedAtWrap(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{
			wrapKey[keySearch](),
			`memo: wrap "user": argument type memo.keySearch: field Filter.Match: a func cannot be part of a key; set KeyFunc or leave the field out`,
		},
		{
			wrapKey[func()](),
			`memo: wrap "user": argument type func(): a func cannot be part of a key; set KeyFunc`,
		},
		{
			wrapKey[map[string][]chan int](),
			`memo: wrap "user": argument type map[string][]chan int: at [value][i]: a chan cannot be part of a key; set KeyFunc`,
		},
		{
			wrapKey[map[[1]*keyFilter]int](),
			`memo: wrap "user": argument type map[[1]*memo.keyFilter]int: at [key][i].Match: a func cannot be part of a key; set KeyFunc or leave the field out`,
		},
		{
			wrapKey[*unsafe.Pointer](),
			`memo: wrap "user": argument type *unsafe.Pointer: an unsafe.Pointer cannot be part of a key; set KeyFunc`,
		},
		{
			wrapKey[struct{ fd uintptr }](),
			`memo: wrap "user": argument type struct { fd uintptr }: field fd: a uintptr, which may be an address, cannot be part of a key; set KeyFunc or leave the field out`,
		},
		{
			wrapKey[Args2[int64, *keySearch]](),
			`memo: wrap "user": argument 2 of type *memo.keySearch: field Filter.Match: a func cannot be part of a key; set KeyFunc or leave the field out`,
		},
		{
			wrapKey[Args3[context.Context, int, int]](),
			`memo: wrap "user": argument 1 of type context.Context: a context.Context, which the function gets beside its arguments, cannot be part of a key; set KeyFunc`,
		},
		{
			wrapKey[keyRequest](),
			`memo: wrap "user": argument type memo.keyRequest: field Context: a context.Context, which the function gets beside its arguments, cannot be part of a key; set KeyFunc or leave the field out`,
		},
		{
			wrapKey[*keyGuarded](),
			`memo: wrap "user": argument type *memo.keyGuarded: field Mu: sync.Mutex, which is state and no value, cannot be part of a key; set KeyFunc or leave the field out`,
		},
		{
			wrapKey[[]atomic.Int64](),
			`memo: wrap "user": argument type []atomic.Int64: at [i]: atomic.Int64, which is state and no value, cannot be part of a key; set KeyFunc`,
		},
		{
			wrapKey[reflect.Value](),
			`memo: wrap "user": argument type reflect.Value: reflect.Value, which is state and no value, cannot be part of a key; set KeyFunc`,
		},
		{
			wrapKey[reflect.Type](),
			`memo: wrap "user": argument type reflect.Type: reflect.Type, which is state and no value, cannot be part of a key; set KeyFunc`,
		},
		{
			wrapKey[*time.Location](),
			`memo: wrap "user": argument type *time.Location: time.Location, which is state and no value, cannot be part of a key; set KeyFunc`,
		},
		{
			wrapKey[keyAmbiguous](),
			`memo: wrap "user": argument type memo.keyAmbiguous: CacheKey may be that of the embedded memo.keyed, which leaves out the other fields; give the embedded field a name, or set KeyFunc`,
		},
		{
			wrapKey[keyList[keyList[io.Writer]]](), // an interface can be encoded for all that is known
			``,
		},
		{
			func() error { _, err := newKeySpace(strings.Repeat(" ", 400), "user", ""); return err }(),
			`memo: wrap "user": namespace, name and version make 1206 bytes of each key, more than 1024; shorten them`,
		},
	} {
		checkRefusal(t, c.err, c.want)
	}
}

func checkRefusal(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		if want != "" {
			t.Errorf("no error, want %s", want)
		}
		return
	}
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	var refused *KeyError
	if !errors.As(err, &refused) || !errors.Is(err, store.ErrInvalid) || refused.Func != "user" {
		t.Errorf("%#v is no KeyError of the function that is store.ErrInvalid", err)
	}
}

// failedKey is the error that k has where K is encoded.
func failedKey[K any](t *testing.T, k K) error {
	e, err := newKeyEncoder[K]("app", "user", "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := e.key(k)
	if err == nil {
		return nil
	}
	if key != "" {
		t.Errorf("error %v with the key %q", err, key)
	}
	if again, err := e.key(*new(K)); err != nil || again == "" {
		t.Errorf("after a refusal the zero value has key %q and error %v", again, err)
	}
	return err
}

func TestKeyRefusedAtCall(t *testing.T) {
	nan := math.NaN()
	loop := &keyNode{}
	loop.Next = &keyNode{Next: loop}
	sliceLoop := make([]any, 2)
	sliceLoop[1] = sliceLoop
	mapLoop := map[string]any{}
	mapLoop["self"] = []any{mapLoop}
	childLoop := &keyNode{Child: map[string][]any{}}
	childLoop.Child["secret"] = []any{7, childLoop}
	var selfLoop any
	selfLoop = &selfLoop

	for _, c := range []struct {
		err  error
		want string
	}{
		{
			failedKey(t, nan),
			`memo: key of "user": argument type float64: NaN, which does not equal itself, cannot be part of a key; set KeyFunc`,
		},
		{
			failedKey(t, Args2[string, float32]{"secret", float32(nan)}),
			`memo: key of "user": argument 2 of type float32: NaN, which does not equal itself, cannot be part of a key; set KeyFunc`,
		},
		{
			failedKey(t, Args3[int, complex128, []int]{1, complex(0, nan), nil}),
			`memo: key of "user": argument 2 of type complex128: NaN, which does not equal itself, cannot be part of a key; set KeyFunc`,
		},
		{
			failedKey(t, []map[string]struct{ P float64 }{nil, {"secret": {nan}}}),
			`memo: key of "user": argument type []map[string]struct { P float64 }: at [1][value].P: NaN, which does not equal itself, cannot be part of a key; set KeyFunc`,
		},
		{
			failedKey(t, map[float64]int{nan: 1}),
			`memo: key of "user": argument type map[float64]int: at [key]: NaN, which does not equal itself, cannot be part of a key; set KeyFunc`,
		},
		{
			failedKey[any](t, strings.ToUpper),
			`memo: key of "user": argument type interface {}: at (func(string) string): a func cannot be part of a key; set KeyFunc`,
		},
		{
			failedKey(t, struct{ Filter any }{keyFilter{}}),
			`memo: key of "user": argument type struct { Filter interface {} }: field Filter.(memo.keyFilter).Match: a func cannot be part of a key; set KeyFunc or leave the field out`,
		},
		{
			failedKey[any](t, t.Context()),
			`memo: key of "user": argument type interface {}: at (*context.cancelCtx): a context.Context, which the function gets beside its arguments, cannot be part of a key; set KeyFunc`,
		},
		{
			failedKey[io.ReadCloser](t, http.NoBody),
			``,
		},
		{
			failedKey(t, loop),
			`memo: key of "user": argument type *memo.keyNode: field Next.Next: a value that contains itself cannot be part of a key; set KeyFunc`,
		},
		{
			failedKey(t, childLoop),
			`memo: key of "user": argument type *memo.keyNode: field Child[value][1].(*memo.keyNode): a value that contains itself cannot be part of a key; set KeyFunc`,
		},
		{
			failedKey(t, sliceLoop),
			`memo: key of "user": argument type []interface {}: at [1].([]interface {}): a value that contains itself cannot be part of a key; set KeyFunc`,
		},
		{
			failedKey(t, mapLoop),
			`memo: key of "user": argument type map[string]interface {}: at [value].([]interface {})[0].(map[string]interface {}): a value that contains itself cannot be part of a key; set KeyFunc`,
		},
		{
			failedKey(t, selfLoop),
			`memo: key of "user": argument type interface {}: at (*interface {}).(*interface {}): a value that contains itself cannot be part of a key; set KeyFunc`,
		},
		{
			failedKey(t, longList(maxKeyDepth+1)),
			`memo: key of "user": argument type *memo.keyList[int]: field Tail.Tail.Tail.Tail.Tail.Tail.Tail.Tail.Tail.Tail….Tail: values nested more than 1000 levels deep cannot be part of a key; set KeyFunc`,
		},
		{
			failedKey(t, longList(maxKeyDepth)),
			``,
		},
		{
			failedKey(t, make([]struct{}, math.MaxInt)),
			`memo: key of "user": argument type []struct {}: at [5592402]: a value that takes more than 16 MiB to write cannot be part of a key; set KeyFunc`,
		},
	} {
		checkRefusal(t, c.err, c.want)
	}
	if err := failedKey(t, manyTwins(100)); err == nil || !strings.Contains(err.Error(), "more than 16 MiB") {
		t.Errorf("pointers shared a hundred times: %v", err)
	}
}

func longList(n int) (list *keyList[int]) {
	for range n {
		list = &keyList[int]{Tail: list}
	}
	return list
}

// manyTwins is small, but takes 2^n to write.
func manyTwins(n int) (twins *keyTwins) {
	for range n {
		twins = &keyTwins{twins, twins}
	}
	return twins
}

func TestKeyErrorFields(t *testing.T) {
	var refused *KeyError
	if !errors.As(failedKey(t, Args2[int, any]{1, []float64{math.NaN()}}), &refused) ||
		refused.Arg != 2 || refused.Type != "interface {}" || refused.Field != "([]float64)[0]" {
		t.Errorf("%#v", refused)
	}
}

// Two types that have the same full name cannot be told apart by their keys.
func TestKeyTypesOfOneName(t *testing.T) {
	first := func() any { type twin struct{ A int }; return twin{} }()
	second := func() any { type twin struct{ A int }; return twin{} }()
	if err := failedKey(t, first); err != nil {
		t.Fatal(err)
	}
	checkRefusal(t, failedKey(t, second), `memo: key of "user": argument type interface {}: at (memo.twin): another type is named github.com/cairncache/cairn/memo.twin too, so that their keys would be the same; declare types that go into interfaces outside functions, or set KeyFunc`)
}
