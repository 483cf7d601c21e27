package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/cairncache/cairn/store"
)

// jsonFlag is defined by every command that reads.
func jsonFlag(flags *flag.FlagSet) *bool {
	return flags.Bool("json", false, "print JSON; text that is not UTF-8 is {\"base64\": …} in it")
}

// printJSON prints v on a few lines.
func printJSON(w io.Writer, v any) error {
	e := newEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printAbsent prints that there is no such key.
func printAbsent(w io.Writer, key string) error {
	return printJSON(w, struct {
		Key   any  `json:"key"`
		Found bool `json:"found"`
	}{text(key), false})
}

// newEncoder prints values on a line each.
func newEncoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}

// text is what JSON has of any bytes: a string if it can be one.
func text(b string) any {
	if utf8.ValidString(b) {
		return b
	}
	return map[string][]byte{"base64": []byte(b)}
}

// A ttl is what TTL answers, printed so that -ttl of the command set takes it.
type ttl time.Duration

func (t ttl) String() string {
	d := time.Duration(t)
	switch {
	case d == store.Forever:
		return "forever"
	case d == store.UnknownTTL:
		return "unknown"
	case d >= time.Second: // rounded down, as it is never more than the truth
		d = d.Truncate(time.Millisecond)
	}
	return d.String()
}

func (t ttl) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// A table has columns as wide as they need to be.
type table struct{ *tabwriter.Writer }

func newTable(w io.Writer) table { return table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

func (t table) row(cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")) }
