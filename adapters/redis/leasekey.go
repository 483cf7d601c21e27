package redis

import (
	"strconv"
	"strings"
	"sync"
)

// leaseMark begins the keys of leases. They do not begin with a store's prefix,
// so that what tracks or lists its entries does not meet them. To a store
// whose prefix is empty, or the beginning of the mark, keys with it are not
// entries.
const leaseMark = "cairn:lease:"

// leaseKey returns the key of the lease of a full key. On a cluster both are in
// one slot, which is that of the hash tag: what is between the first brace and
// the next closing one, if that is not empty. No two keys have the same one:
//
//	a{b}c    cairn:lease::a{b}c       the key has a tag
//	abc      cairn:lease:{abc}        it becomes the tag
//	a}bc     cairn:lease:{t}:a}bc     a tag of the same slot is made up
func leaseKey(full string) string { return markedKey(leaseMark, full) }

// markedKey is leaseKey with another mark.
func markedKey(mark, full string) string {
	switch tag, braces := hashTag(full); {
	case tag != "":
		return mark + ":" + full
	case !braces:
		return mark + "{" + full + "}"
	}
	return mark + "{" + slotTags()[slot(full)] + "}:" + full
}

// leased returns the full key whose lease key it is given.
func leased(key string) (full string, ok bool) {
	rest, ok := strings.CutPrefix(key, leaseMark)
	if !ok {
		return "", false
	}
	if full, ok := strings.CutPrefix(rest, ":"); ok {
		return full, true
	}
	tag, full, ok := strings.Cut(strings.TrimPrefix(rest, "{"), "}")
	if full == "" {
		return tag, ok
	}
	return strings.TrimPrefix(full, ":"), ok
}

// hashTag returns the hash tag of a key, or none, and whether there are braces
// in it that could spoil another one.
func hashTag(key string) (tag string, braces bool) {
	if !strings.ContainsAny(key, "{}") {
		return "", false
	}
	if _, after, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(after, "}"); ok {
			return tag, true
		}
	}
	return "", true
}

const slots = 1 << 14

// slot is the slot of a cluster that the text hashes to as a whole.
func slot(text string) int {
	var crc uint16
	for i := range len(text) {
		crc ^= uint16(text[i]) << 8
		for range 8 {
			carry := crc >> 15
			crc = crc<<1 ^ carry*0x1021
		}
	}
	return int(crc % slots)
}

// slotTags returns a short tag for each slot. Few keys need one, and finding
// them takes some milliseconds.
var slotTags = sync.OnceValue(func() *[slots]string {
	var tags [slots]string
	for i, missing := int64(0), slots; missing > 0; i++ {
		tag := strconv.FormatInt(i, 36)
		if t := &tags[slot(tag)]; *t == "" {
			*t = tag
			missing--
		}
	}
	return &tags
})
