package memo

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"encoding/hex"
	"hash/crc32"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

type figure interface{ Area() int }

type tile struct{ Side int }

func (s tile) Area() int { return s.Side * s.Side }

func init() { gob.Register(tile{}) }

func TestGobRoundTrip(t *testing.T) {
	sees(t, Gob[person](), newPerson(), newPerson())
	sees(t, Gob[*person](), new(newPerson()), new(newPerson()))
	sees(t, Gob[int](), 0, 0)
	sees(t, Gob[string](), "a\xff", "a\xff")
	sees(t, Gob[time.Time](), time.Time{}, time.Time{})
	sees(t, Gob[any](), 7, 7)
	sees[figure](t, Gob[figure](), tile{3}, tile{3})
	sees(t, Gob[map[tile]string](), map[tile]string{{1}: "a"}, map[tile]string{{1}: "a"})
	sees(t, Gob[struct{ When *time.Time }](), struct{ When *time.Time }{new(time.Time{})}, struct{ When *time.Time }{new(time.Time{})})
	sees(t, Gob[struct{ P *tile }](), struct{ P *tile }{new(tile{})}, struct{ P *tile }{new(tile{})})
	sees(t, Gob[struct{ N *big.Int }](), struct{ N *big.Int }{new(big.Int)}, struct{ N *big.Int }{new(big.Int)})
	sees(t, Gob[[]*int](), []*int{new(0)}, []*int{new(0)})
}

// gob by itself panics on a nil, or makes nothing of it.
func TestGobKeepsNilAndEmptyApart(t *testing.T) {
	sees(t, Gob[*person](), nil, nil)
	sees(t, Gob[*person](), new(person{}), new(person{}))
	sees(t, Gob[*int](), nil, nil)
	sees(t, Gob[*int](), new(0), new(0))
	sees(t, Gob[**int](), nil, nil)
	sees(t, Gob[**int](), new((*int)(nil)), new((*int)(nil)))
	sees(t, Gob[**int](), new(new(5)), new(new(5)))
	sees(t, Gob[[]int](), nil, nil)
	sees(t, Gob[[]int](), []int{}, []int{})
	sees(t, Gob[[]byte](), nil, nil)
	sees(t, Gob[[]byte](), []byte{}, []byte{})
	sees(t, Gob[*[]int](), nil, nil)
	sees(t, Gob[*[]int](), new([]int(nil)), new([]int(nil)))
	sees(t, Gob[*[]int](), new([]int{}), new([]int{}))
	sees(t, Gob[map[string]int](), nil, nil)
	sees(t, Gob[map[string]int](), map[string]int{}, map[string]int{})
	sees(t, Gob[any](), nil, nil)
	sees(t, Gob[figure](), nil, nil)
	sees(t, Gob[*time.Time](), nil, nil)
	sees(t, Gob[*time.Time](), new(time.Time{}), new(time.Time{}))
}

// What the documentation says that is changed.
func TestGobChanges(t *testing.T) {
	type inner struct{ X int }
	type all struct {
		S        []int
		M        map[string]int
		F        float64
		unseen   int
		inner    // not exported by name
		Nested   [][]int
		Maps     []map[string]int
		Callback func()
	}
	sees(t, Gob[all](),
		all{S: []int{}, M: map[string]int{}, F: math.Copysign(0, -1), unseen: 1, inner: inner{2}, Nested: [][]int{{}, nil, {1}}, Maps: []map[string]int{nil}},
		all{M: map[string]int{}, Nested: [][]int{nil, nil, {1}}, Maps: []map[string]int{{}}})
	sees[any](t, Gob[any](), []string{}, []string(nil))
	if got := roundTrip(t, Gob[all](), all{F: math.Copysign(0, -1)}); math.Signbit(got.F) {
		t.Error("-0.0 is kept")
	}
}

// What would be lost is refused. Without the check gob makes nil of each
// pointer, and drops the func, without a word.
func TestGobRefuses(t *testing.T) {
	type node struct {
		Next *node
		Any  any
	}
	cycle := new(node)
	cycle.Next = &node{Next: cycle}
	type list []list
	endless := list{nil}
	endless[0] = endless
	var self any
	self = &self
	type ring map[int]ring
	around := ring{}
	around[1] = around
	type loop *loop
	var turn loop
	turn = &turn
	deep := new(node)
	for range maxGobDepth + 1 {
		deep = &node{Next: deep}
	}
	for name, err := range map[string]error{
		"a pointer to zero":            gobRefusal(t, struct{ P *int }{new(0)}),
		"a pointer to false":           gobRefusal(t, struct{ P *bool }{new(false)}),
		"a pointer to an empty string": gobRefusal(t, struct{ P *string }{new("")}),
		"a pointer to an empty slice":  gobRefusal(t, struct{ P *[]int }{new([]int{})}),
		"a pointer to a nil map":       gobRefusal(t, struct{ P *map[int]int }{new(map[int]int(nil))}),
		"a pointer to a nil pointer":   gobRefusal(t, struct{ P **int }{new((*int)(nil))}),
		"a pointer to a nil interface": gobRefusal(t, struct{ P *any }{new(any(nil))}),
		"one in a slice in a map":      gobRefusal(t, map[string][]struct{ P *int }{"a": {{new(1)}, {new(0)}}}),
		"one in an interface":          gobRefusal(t, struct{ A any }{struct{ P *int }{new(0)}}),
		"one behind a pointer":         gobRefusal(t, struct{ Q *struct{ P *int } }{&struct{ P *int }{new(0)}}),
		"one in a key":                 gobRefusal(t, map[struct{ P *int }]bool{{new(0)}: true}),
		"a func": gobRefusal(t, struct {
			A int
			F func()
		}{1, func() {}}),
		"a channel": gobRefusal(t, struct {
			A int
			C chan int
		}{1, make(chan int)}),
		"a func alone":                  gobRefusal(t, func() {}),
		"a nil in a slice":              gobRefusal(t, []*int{nil}),
		"a nil in a map":                gobRefusal(t, map[string]*int{"a": nil}),
		"a nil in an interface":         gobRefusal[any](t, (*int)(nil)),
		"a nil time in a slice":         gobRefusal(t, []*time.Time{nil}),
		"a type that is not registered": gobRefusal[any](t, node{}),
		"no exported field":             gobRefusal(t, struct{ a int }{1}),
		"a cycle of pointers":           gobRefusal(t, cycle),
		"a cycle of slices":             gobRefusal(t, endless),
		"a cycle of interfaces":         gobRefusal(t, self),
		"a cycle of maps":               gobRefusal(t, around),
		"a pointer to itself":           gobRefusal(t, turn),
		"a cycle in an interface":       gobRefusal[any](t, cycle),
		"too deep":                      gobRefusal(t, deep),
	} {
		if err == nil {
			t.Errorf("%s is encoded", name)
		} else if strings.Contains(name, "cycle") && !strings.Contains(err.Error(), "itself") {
			t.Errorf("%s: %v", name, err)
		}
	}
	almost := deep.Next.Next
	if got := roundTrip(t, Gob[*node](), almost); !reflect.DeepEqual(got, almost) {
		t.Error("a deep value came back as another")
	}
}

func gobRefusal[V any](t *testing.T, v V) error {
	t.Helper()
	b, err := appendValue(Gob[V](), []byte("head"), v)
	if err == nil {
		got, decodeErr := decodeValue(Gob[V](), b[len("head"):])
		t.Logf("%T came back as %+v, %v", v, got, decodeErr)
	}
	return err
}

// The message of each value is complete by itself, in any order.
func TestGobMessagesAreSelfContained(t *testing.T) {
	c := Gob[person]()
	var all [][]byte
	for i := range 3 {
		b, err := c.Append(nil, person{ID: int64(i)})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	for _, i := range []int{2, 0, 1, 1} {
		if v, err := c.Decode(all[i]); err != nil || v.ID != int64(i) {
			t.Errorf("got %+v, %v, want ID %d", v, err, i)
		}
	}
}

func TestGobFindsDamage(t *testing.T) {
	for _, v := range []*person{nil, {}, new(newPerson())} {
		b, err := Gob[*person]().Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		for n := range b {
			if got, err := Gob[*person]().Decode(b[:n]); err == nil {
				t.Errorf("%d of %d bytes are %+v", n, len(b), got)
			}
			b[n] ^= 0x10
			if got, err := Gob[*person]().Decode(b); err == nil {
				t.Errorf("with byte %d changed it is %+v", n, got)
			}
			b[n] ^= 0x10
		}
		if got, err := Gob[*person]().Decode(append(b, 0)); err == nil {
			t.Errorf("with a byte more it is %+v", got)
		}
	}
}

// withSum is a payload whose checksum is right.
func withSum(rest string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, crc32.Checksum([]byte(rest), castagnoli)), rest...)
}

func TestGobDecodeRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":              withSum(""),
		"no stream":            withSum("\x00"),
		"a stream after a nil": withSum("\x01\x03\x04\x00\x02"),
		"a nil too deep":       withSum("\x03"),
		"a nil far too deep":   withSum("\xff"),
		"a value and more":     withSum("\x00\x03\x04\x00\x02\x03\x04\x00\x02"),
		"a string":             withSum("\x00\x04\x0c\x00\x01a"),
	} {
		if v, err := Gob[*int]().Decode(b); err == nil {
			t.Errorf("%s is %v", name, v)
		}
	}
	if v, err := Gob[[]int]().Decode(withSum("\x02")); err == nil {
		t.Errorf("a nil behind a slice is %v", v)
	}
	if v, err := Gob[int]().Decode(withSum("\x01")); err == nil {
		t.Errorf("a nil int is %v", v)
	}
	if v, err := Gob[*int]().Decode(withSum("\x00\x03\x04\x00\x02")); err != nil || *v != 1 {
		t.Errorf("got %v, %v", v, err)
	}
}

// Entries outlive deployments: what was once written stays readable. The bytes
// that are written now may be others, as gob numbers types in the order in
// which a program meets them.
func TestFrozenGob(t *testing.T) {
	for name, want := range map[string]*person{"gob": new(newPerson()), "gob-nil": nil} {
		path := filepath.Join("testdata", "codec", name+".hex")
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) && *writeSamples {
			b, _ := Gob[*person]().Append(nil, want)
			text = []byte(hex.EncodeToString(b) + "\n")
			err = os.WriteFile(path, text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Gob[*person]().Decode(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is now read as %+v, %v", name, got, err)
		}
	}
}

// Whatever bytes there are in a store, decoding them is an error, or a value
// that can be encoded.
func FuzzGobDecode(f *testing.F) {
	for _, v := range []*person{nil, {}, new(newPerson())} {
		b, err := Gob[*person]().Append(nil, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
		f.Add(bytes.Repeat(b, 2))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := Gob[*person]().Decode(b); err == nil {
			roundTrip(t, Gob[*person](), v)
		}
	})
}
