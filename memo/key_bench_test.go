package memo

import (
	"strconv"
	"testing"
	"time"
)

type keyOrder struct {
	Customer int64
	Currency string
	Paid     bool
	Since    time.Time
	Limit    int
}

func benchmarkKey[K any](b *testing.B, k K) {
	e, err := newKeyEncoder[K]("app", "user", "")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.key(k); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKey(b *testing.B) {
	prices := map[string]int{}
	for i := range 10 {
		prices["item-"+strconv.Itoa(i)] = i
	}
	b.Run("string", func(b *testing.B) { benchmarkKey(b, "alice@example.com") })
	b.Run("int64", func(b *testing.B) { benchmarkKey(b, int64(1234567)) })
	b.Run("named int", func(b *testing.B) { benchmarkKey(b, time.Duration(1234567)) })
	b.Run("two arguments", func(b *testing.B) { benchmarkKey(b, Args2[int64, string]{42, "EUR"}) })
	b.Run("two arguments by hand", func(b *testing.B) {
		id, currency := int64(42), "EUR"
		b.ReportAllocs()
		for b.Loop() {
			byHand = "app:user:" + strconv.FormatInt(id, 10) + "," + currency
		}
	})
	b.Run("struct of 5", func(b *testing.B) {
		benchmarkKey(b, keyOrder{42, "EUR", true, time.Unix(1767225600, 0), 100})
	})
	b.Run("map of 10", func(b *testing.B) { benchmarkKey(b, prices) })
	b.Run("any", func(b *testing.B) { benchmarkKey[any](b, "alice") })
	b.Run("long string", func(b *testing.B) { benchmarkKey(b, string(make([]byte, 1000))) })
}

var byHand string
