package main

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cairncache/cairn/memo"
)

// An envelope is what an entry of a memoized function says beside its value.
type envelope struct {
	Version     int        `json:"version"`
	Kind        string     `json:"kind"`
	Codec       string     `json:"codec"`
	Compression string     `json:"compression,omitempty"`
	Created     time.Time  `json:"created"`
	FreshUntil  *time.Time `json:"fresh_until,omitempty"`
	StaleUntil  *time.Time `json:"stale_until,omitempty"`
	LoadTime    string     `json:"load_time"`
	ETag        *string    `json:"etag,omitempty"`
	Tags        []string   `json:"tags,omitempty"`
}

func describe(e *memo.Envelope) *envelope {
	d := &envelope{
		Version:     e.Version,
		Kind:        "value",
		Codec:       e.Codec,
		Compression: e.Compression,
		Created:     e.Meta.Created.UTC(),
		FreshUntil:  instant(e.Meta.FreshUntil),
		StaleUntil:  instant(e.Meta.StaleUntil),
		LoadTime:    e.Meta.LoadTime.String(),
		ETag:        e.Meta.ETag,
		Tags:        e.Meta.Tags,
	}
	switch {
	case e.Meta.Absent:
		d.Kind = "absent" // the payload is an error that says so
	case e.Meta.Failure:
		d.Kind = "failure"
	}
	return d
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// rows adds the envelope to a table, as it is at the time now.
func (d *envelope) rows(t table, now time.Time) {
	t.row("envelope", "of memo, version "+strconv.Itoa(d.Version))
	t.row("kind", map[string]string{
		"value":   "a value",
		"absent":  "an error: there is no such thing",
		"failure": "an error, remembered",
	}[d.Kind])
	t.row("created", moment(&d.Created, now, ""))
	t.row("fresh until", moment(d.FreshUntil, now, "the store drops it"))
	t.row("stale until", moment(d.StaleUntil, now, "as its reader's policy says"))
	t.row("load time", d.LoadTime)
	t.row("codec", d.Codec)
	if d.Compression == "" {
		t.row("compression", "none")
	} else {
		t.row("compression", d.Compression)
	}
	if d.ETag != nil {
		t.row("etag", printable(*d.ETag))
	}
	name := "tags"
	for _, tag := range d.Tags {
		t.row(name, printable(tag))
		name = "" // below each other, for narrow terminals
	}
}

// moment is a time and how far it is from now.
func moment(at *time.Time, now time.Time, none string) string {
	if at == nil {
		return none
	}
	text := at.Format(time.RFC3339)
	if d := now.Sub(*at); d >= 0 {
		return text + ", " + brief(d) + " ago"
	}
	return text + ", in " + brief(at.Sub(now))
}

func brief(d time.Duration) string {
	if d < time.Minute {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// printable is text that a terminal shows as it is; a program may have stored
// anything.
func printable(text string) string {
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}
