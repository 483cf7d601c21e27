package memo_test

import (
	"context"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"

	"github.com/cairncache/cairn/memo"
)

type Shape interface{ Area() int }

type Square struct{ Side int }

func (s Square) Area() int { return s.Side * s.Side }

// A value in an interface comes back from JSON without its type, and from gob
// as it was, if the type is registered.
func ExampleGob() {
	gob.Register(Square{})
	shapeOf := func(_ context.Context, side int) (Shape, error) { return Square{side}, nil }
	shapes := memo.Must(memo.Wrap(newExampleMemo(), "shape", shapeOf, &memo.FuncOptions[int, Shape]{
		Codec: memo.Gob[Shape](),
	}))
	for range 2 {
		s, err := shapes.Get(context.Background(), 3)
		fmt.Printf("%T of area %d, %v\n", s, s.Area(), err)
	}
	// Output:
	// memo_test.Square of area 9, <nil>
	// memo_test.Square of area 9, <nil>
}

type Point struct{ X, Y uint16 }

// pointCodec needs 4 bytes for a Point.
type pointCodec struct{}

func (pointCodec) Append(b []byte, p Point) ([]byte, error) {
	b = binary.BigEndian.AppendUint16(b, p.X)
	return binary.BigEndian.AppendUint16(b, p.Y), nil
}

func (pointCodec) Decode(b []byte) (Point, error) {
	if len(b) != 4 {
		return Point{}, errors.New("a point has 4 bytes")
	}
	return Point{binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])}, nil
}

// A codec of one's own is a type with two methods.
func ExampleCodec() {
	locate := func(_ context.Context, name string) (Point, error) {
		fmt.Println("locating", name)
		return Point{3, 4}, nil
	}
	points := memo.Must(memo.Wrap(newExampleMemo(), "point", locate, &memo.FuncOptions[string, Point]{
		Codec: pointCodec{},
	}))
	for range 2 {
		fmt.Println(points.Get(context.Background(), "home"))
	}
	// Output:
	// locating home
	// {3 4} <nil>
	// {3 4} <nil>
}
