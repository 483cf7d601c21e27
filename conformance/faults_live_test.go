package conformance

import (
	"context"
	"time"

	"github.com/cairncache/cairn/store"
)

var liveFaults = []fault{
	{what: "Get sees no live values", caught: "Live/BytesOfValue", plant: func(f *faulty) {
		live := make(map[string]*store.Live)
		f.setLive = func(ctx context.Context, key string, l *store.Live, ttl time.Duration) error {
			live[key] = l
			return f.ref.SetLive(ctx, key, l, ttl)
		}
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			if l, err := f.ref.GetLive(ctx, key); err == nil && live[key] == l {
				return nil, store.ErrNotFound
			}
			return f.ref.Get(ctx, key)
		}
	}},
	{what: "GetLive sees live values alone", caught: "Live/ValueOfBytes", plant: func(f *faulty) {
		f.getLive = func(ctx context.Context, key string) (*store.Live, error) {
			l, err := f.ref.GetLive(ctx, key)
			if err == nil {
				if b, _ := l.Bytes(); string(b) == "text" {
					return nil, store.ErrNotFound
				}
			}
			return l, err
		}
	}},
	{what: "the value goes through its bytes", caught: "Live/SameValue", plant: throughBytes},
	{what: "the value is encoded at once", caught: "Live/NeverEncodes", plant: func(f *faulty) {
		f.setLive = func(ctx context.Context, key string, l *store.Live, ttl time.Duration) error {
			if l != nil {
				_, _ = l.Bytes()
			}
			return f.ref.SetLive(ctx, key, l, ttl)
		}
	}, opts: func(o *Options) { o.MaxValue = 0 }},
	{what: "each reader decodes", caught: "Live/DecodedOnce", plant: func(f *faulty) {
		f.getLive = func(ctx context.Context, key string) (*store.Live, error) {
			b, err := f.ref.Get(ctx, key)
			if err != nil {
				return nil, err
			}
			return store.LiveBytes(b), nil
		}
	}},
	{what: "decoded values are kept by key", caught: "Live/NewBytesNewValue", plant: func(f *faulty) {
		seen := make(map[string]*store.Live)
		f.getLive = func(ctx context.Context, key string) (*store.Live, error) {
			l, err := f.ref.GetLive(ctx, key)
			if err != nil {
				return nil, err
			}
			if seen[key] == nil {
				seen[key] = l
			}
			return seen[key], nil
		}
	}},
	{what: "Get returns the live entry's bytes", caught: "Live/GetIsTheCallers", plant: lendSlice},
	{what: "Set makes a live entry of the caller's slice", caught: "Live/SetKeepsNoSlice", plant: keepSlice},
	{what: "a miss is a nil Live", caught: "Live/Miss", plant: func(f *faulty) {
		f.getLive = func(ctx context.Context, key string) (*store.Live, error) {
			l, err := f.ref.GetLive(ctx, key)
			if err == store.ErrNotFound {
				err = nil
			}
			return l, err
		}
	}},
	{what: "SetLive loses the ttl", caught: "Live/TTL", plant: func(f *faulty) {
		f.setLive = func(ctx context.Context, key string, l *store.Live, ttl time.Duration) error {
			return f.ref.SetLive(ctx, key, l, finite(func(time.Duration) time.Duration { return store.Forever })(ttl))
		}
	}},
	{what: "a nil Live deletes", caught: "Live/Nil", plant: func(f *faulty) {
		f.setLive = func(ctx context.Context, key string, l *store.Live, ttl time.Duration) error {
			if l == nil {
				return f.ref.Delete(ctx, key)
			}
			return f.ref.SetLive(ctx, key, l, ttl)
		}
	}},
	{what: "a nil Live panics", caught: "Live/Nil", plant: func(f *faulty) {
		f.setLive = func(ctx context.Context, key string, l *store.Live, ttl time.Duration) error {
			if _, err := l.Bytes(); err != nil {
				return err
			}
			return f.ref.SetLive(ctx, key, l, ttl)
		}
	}},
	{what: "a value that cannot be encoded is a miss", caught: "Live/CannotEncode", plant: func(f *faulty) {
		f.get = func(ctx context.Context, key string) ([]byte, error) {
			l, err := f.ref.GetLive(ctx, key)
			if err == nil {
				if _, err := l.Bytes(); err != nil {
					return nil, store.ErrNotFound
				}
			}
			return f.ref.Get(ctx, key)
		}
	}},
	{what: "GetLiveAt does not see what Set has replaced", caught: "LiveAt/SameAsGetLive", plant: func(f *faulty) {
		seen := make(map[string]*store.Live)
		f.getLiveAt = func(ctx context.Context, key string, now time.Time) (*store.Live, error) {
			l, err := f.ref.GetLiveAt(ctx, key, now)
			if before := seen[key]; before != nil && err == nil {
				return before, nil
			}
			seen[key] = l
			return l, err
		}
	}},
	{what: "GetLiveAt decodes for itself", caught: "LiveAt/DecodedOnce", plant: func(f *faulty) {
		f.getLiveAt = func(ctx context.Context, key string, _ time.Time) (*store.Live, error) {
			b, err := f.ref.Get(ctx, key)
			if err != nil {
				return nil, err
			}
			return store.LiveBytes(b), nil
		}
	}},
	{what: "GetLiveAt reads the clock", caught: "LiveAt/ByThatTime", plant: func(f *faulty) {
		f.getLiveAt = func(ctx context.Context, key string, _ time.Time) (*store.Live, error) {
			return f.ref.GetLive(ctx, key)
		}
	}},
	{what: "GetLiveAt removes what its time finds expired", caught: "LiveAt/ByThatTime", plant: func(f *faulty) {
		f.getLiveAt = func(ctx context.Context, key string, now time.Time) (*store.Live, error) {
			l, err := f.ref.GetLiveAt(ctx, key, now)
			if err == store.ErrNotFound {
				_ = f.ref.Delete(ctx, key)
			}
			return l, err
		}
	}},
	{what: "Ping writes an entry", caught: "Ping/Answers", plant: func(f *faulty) {
		f.ping = func(ctx context.Context) error { return f.ref.Set(ctx, "ping", nil, store.Forever) }
	}},
	{what: "Ping reads a key that is not there", caught: "Ping/Answers", plant: func(f *faulty) {
		f.ping = func(ctx context.Context) error {
			_, err := f.ref.Get(ctx, "ping")
			return err
		}
	}},
}

// throughBytes makes SetLive store bytes.
func throughBytes(f *faulty) {
	f.setLive = func(ctx context.Context, key string, l *store.Live, ttl time.Duration) error {
		if l == nil {
			return f.ref.SetLive(ctx, key, l, ttl)
		}
		b, err := l.Bytes()
		if err != nil {
			return store.Errorf("setlive", key, store.ErrInvalid, "encode: %w", err)
		}
		return f.ref.Set(ctx, key, b, ttl)
	}
}
