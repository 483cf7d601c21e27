package cache

import "strconv"

// A Cause is why a value has left a Cache.
type Cause int

const (
	Deleted  Cause = iota + 1 // because somebody wanted it to
	Expired                   // its deadline has passed
	Capacity                  // to hold a limit
	Replaced                  // by another value
	Cleared                   // together with all others
	Popped                    // by Pop
	causes
)

var causeNames = [causes]string{"", "Deleted", "Expired", "Capacity", "Replaced", "Cleared", "Popped"}

// String returns the name of the constant.
func (c Cause) String() string {
	if c <= 0 || c >= causes {
		return "Cause(" + strconv.Itoa(int(c)) + ")"
	}
	return causeNames[c]
}
