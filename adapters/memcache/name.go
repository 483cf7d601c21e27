package memcache

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

const (
	maxNative = 250 // the longest key that Memcached takes
	maxPrefix = 100
	maxHead   = 64

	// mark begins, after the prefix, the native keys that are no key itself:
	// hashed ones and those of the generation, which are shorter than these.
	mark = "~"
)

// A name is a key and where its entry is stored. No two keys have the same
// native key: plain ones do not begin with the mark, hashed ones do.
type name struct {
	key    string
	native string
	hashed bool
}

func (s *Store) name(key string) name {
	if len(s.prefix)+len(key) <= maxNative && isPlain(key) && !strings.HasPrefix(key, mark) {
		return name{key, s.prefix + key, false}
	}
	head := []byte(key[:min(len(key), maxHead)])
	for i, c := range head {
		if !isPlainByte(c) {
			head[i] = '_'
		}
	}
	sum := sha256.Sum256([]byte(key))
	return name{key, s.prefix + mark + string(head) + mark + base64.RawURLEncoding.EncodeToString(sum[:]), true}
}

// inHeader is the key as the header has it: in whole if it is hashed.
func (n name) inHeader() string {
	if n.hashed {
		return n.key
	}
	return ""
}

// item returns an item with a copy of value. Its header lacks the generation
// and the deadline, which are known when it is sent.
func (n name) item(value []byte) *memcache.Item {
	return &memcache.Item{Key: n.native, Flags: headerFlags, Value: header{key: n.inHeader()}.encode(value)}
}

// itemOf returns an item with what was found in another one: the entry, the
// lease, or both.
func (n name) itemOf(e entry, now time.Time) *memcache.Item {
	h := header{generation: e.generation, deadline: e.deadline, key: n.inHeader(), lease: e.lease}
	ttl := e.ttl
	if !e.live {
		h.deadline, ttl = longAgo, 0
	}
	if e.lease.kind != noLease {
		ttl = max(ttl, left(now, e.lease.deadline))
	}
	return &memcache.Item{Key: n.native, Flags: headerFlags, Value: h.encode(e.value), Expiration: expiration(now, ttl)}
}

func isPlain(s string) bool {
	for i := range len(s) {
		if !isPlainByte(s[i]) {
			return false
		}
	}
	return true
}

func isPlainByte(c byte) bool { return c > ' ' && c != 0x7f }
