package memo

import (
	"encoding/json"
	"math/big"
	"reflect"
	"testing"
	"time"
)

type (
	shapeA   struct{ Name, Mail string }
	renamed  struct{ Name, Mail string }
	list     struct{ Next *list }
	tree     struct{ Next *tree }
	pair     struct{ A, B *leaf }
	leaf     struct{ N int }
	self     struct{ N int }
	pointer  struct{ N int }
	hidden   struct{ N, n int }
	embedded struct{ leaf }
)

func (self) MarshalJSON() ([]byte, error)     { return nil, nil }
func (*pointer) MarshalText() ([]byte, error) { return nil, nil }

func shape[T any]() uint32 { return shapeOf(reflect.TypeFor[T](), codecJSON, "") }

func TestSameShape(t *testing.T) {
	for name, same := range map[string]bool{
		"type renamed":     shape[shapeA]() == shape[renamed](),
		"recursive":        shape[list]() == shape[tree](),
		"other order":      shape[struct{ Mail, Name string }]() == shape[shapeA](),
		"unexported field": hidden{}.n == 0 && shape[hidden]() == shape[leaf](),
		"named kind":       shape[time.Duration]() == shape[int64](),
		"other tags": shape[struct {
			N int `yaml:"n"`
		}]() == shape[leaf](),
	} {
		if !same {
			t.Errorf("%s: the shapes differ", name)
		}
	}
}

func TestOtherShape(t *testing.T) {
	shapes := map[uint32]string{}
	for name, s := range map[string]uint32{
		"struct":        shape[shapeA](),
		"field renamed": shape[struct{ Name, Email string }](),
		"field added":   shape[struct{ Name, Mail, Phone string }](),
		"field removed": shape[struct{ Name string }](),
		"tag": shape[struct {
			Name string `json:"n"`
			Mail string
		}](),
		"field type":    shape[struct{ Name, Mail []byte }](),
		"pointer":       shape[*shapeA](),
		"slice":         shape[[]shapeA](),
		"array":         shape[[2]shapeA](),
		"longer array":  shape[[3]shapeA](),
		"map":           shape[map[string]shapeA](),
		"int map":       shape[map[int]shapeA](),
		"int":           shape[int](),
		"string":        shape[string](),
		"bytes":         shape[[]byte](),
		"any":           shape[any](),
		"empty":         shape[struct{}](),
		"leaf":          shape[leaf](),
		"own JSON":      shape[self](),
		"own text":      shape[pointer](),
		"pair":          shape[pair](),
		"embedded":      shape[embedded](),
		"list":          shape[list](),
		"time":          shape[time.Time](),
		"big.Int":       shape[big.Int](),
		"raw":           shape[json.RawMessage](),
		"embedded time": shape[struct{ time.Time }](),
		"embedded raw":  shape[struct{ json.RawMessage }](),
	} {
		if other, ok := shapes[s]; ok {
			t.Errorf("%s and %s have the same shape", name, other)
		}
		shapes[s] = name
	}
}
