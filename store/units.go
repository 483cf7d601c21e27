package store

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

var durationUnits = []unit{
	{"ns", 1},
	{"us", 1e3},
	{"µs", 1e3},
	{"ms", 1e6},
	{"s", 1e9},
	{"m", 60e9},
	{"h", 3600e9},
	{"d", 24 * 3600e9},
	{"w", 7 * 24 * 3600e9},
}

var sizeUnits = []unit{
	{"B", 1},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
}

// ParseDuration reads a length of time of at least 0: numbers with a unit each
// (ns, us, ms, s, m, h, d for 24 hours, w for 7 days), as in "90s", "1.5h" or
// "1d12h". A number without a unit is an error, but for 0.
func ParseDuration(text string) (time.Duration, error) {
	n, err := parseUnits(text, durationUnits, "s", "m")
	return time.Duration(n), err
}

// ParseSize reads a number of bytes: a number with the unit B, KB, MB, GB, TB
// (powers of 1000) or KiB, MiB, GiB, TiB (powers of 1024), as in "64MiB". A
// number without a unit is an error, but for 0.
func ParseSize(text string) (int64, error) {
	return parseUnits(text, sizeUnits, "B", "KiB")
}

type unit struct {
	name string
	size float64
}

// parseUnits adds up numbers with units. example1 and example2 are units for
// the hint that is given when there is none.
func parseUnits(text string, units []unit, example1, example2 string) (int64, error) {
	names := make([]string, len(units))
	for i, u := range units {
		names[i] = u.name
	}
	malformed := fmt.Errorf("%s is not a number with a unit (%s), such as 5%s", quoteKey(text), strings.Join(names, ", "), example2)
	if text == "0" {
		return 0, nil
	}
	if text == "" {
		return 0, malformed
	}
	if text[0] == '-' {
		return 0, fmt.Errorf("%s is negative", quoteKey(text))
	}
	var sum float64
	for rest := text; rest != ""; {
		digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789."))]
		rest = rest[len(digits):]
		number, err := strconv.ParseFloat(digits, 64)
		if err != nil {
			return 0, malformed
		}
		name := rest[:len(rest)-len(strings.TrimLeftFunc(rest, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }))]
		rest = rest[len(name):]
		i := slices.Index(names, name)
		switch {
		case name == "" && digits == text:
			return 0, fmt.Errorf("%s has no unit; write %s%s or %s%s", quoteKey(text), digits, example1, smaller(number, example2), example2)
		case i < 0:
			return 0, malformed
		}
		sum += number * units[i].size
	}
	if sum > 0 && sum < 1 {
		return 0, fmt.Errorf("%s is less than 1%s", quoteKey(text), names[0])
	}
	if sum >= math.MaxInt64 {
		return 0, fmt.Errorf("%s is too large", quoteKey(text))
	}
	return int64(sum), nil
}

// smaller gives the number of the larger unit that is about as much, for a
// hint: 300 without a unit may be 300s, which is 5m.
func smaller(number float64, u string) string {
	step := 60.0
	if u == "KiB" {
		step = 1024
	}
	if n := number / step; n >= 1 && n == math.Trunc(n) {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return strconv.FormatFloat(number, 'f', -1, 64)
}
