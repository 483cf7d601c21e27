package store

import (
	"context"
	"time"
)

// Item is one entry of a SetMany.
type Item struct {
	Key   string
	Value []byte
	TTL   time.Duration // as in Set
}

// SetManyStore is a Store that writes many entries at once.
type SetManyStore interface {
	Store

	// SetMany stores the items, each as Set would. It is not atomic: others
	// may see some of the items before the rest, and if it fails some may have
	// been stored. All keys and ttls are checked before anything is sent. Of
	// two items with one key the later wins.
	SetMany(ctx context.Context, items []Item) error
}

// SetMany stores many entries, as SetManyStore promises. If s implements
// SetManyStore, it calls s.SetMany. Otherwise it calls s.Set for each item, a
// bounded number of them at a time.
func SetMany(ctx context.Context, s Store, items []Item) error {
	const op = "setmany"
	if err := checkStore(op, s); err != nil {
		return err
	}
	if s, ok := s.(SetManyStore); ok {
		if err := s.SetMany(ctx, items); !declined(err) {
			return err
		}
	}
	if err := CheckItems(ctx, op, items); err != nil {
		return err
	}
	last := make(map[string]int, len(items))
	for i, item := range items {
		last[item.Key] = i
	}
	distinct := make([]Item, 0, len(last))
	for i, item := range items {
		if last[item.Key] == i {
			distinct = append(distinct, item)
		}
	}
	return forEach(ctx, distinct, func(item Item) (func(), error) {
		return nil, s.Set(ctx, item.Key, item.Value, item.TTL)
	})
}

// CheckItems is Check and CheckTTL for every item of a batch.
func CheckItems(ctx context.Context, op string, items []Item) error {
	if err := Check(ctx, op); err != nil {
		return err
	}
	for _, item := range items {
		if len(item.Key) == 0 || len(item.Key) > MaxKeyLen {
			return badKey(op, item.Key)
		}
		if err := CheckTTL(op, item.Key, item.TTL); err != nil {
			return err
		}
	}
	return nil
}
