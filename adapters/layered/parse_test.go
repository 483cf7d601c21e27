package layered

import (
	"testing"
	"time"
)

func TestParseCoherence(t *testing.T) {
	for text, want := range map[string]Coherence{
		"watch":         Watch(time.Second),
		"watch:2s":      Watch(2 * time.Second),
		"watch:1m500ms": Watch(time.Minute + 500*time.Millisecond),
		"bounded:5s":    Bounded(5 * time.Second),
	} {
		if got, err := ParseCoherence(text); got != want || err != nil {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
	const form = " is no coherence; write watch, watch:2s or bounded:5s"
	for text, want := range map[string]string{
		"":           `""` + form,
		"Watch":      `"Watch"` + form,
		"bounded":    `"bounded"` + form,
		"5s":         `"5s"` + form,
		"wathc:1s":   `"wathc:1s"` + form,
		"watch:5":    `"5" has no unit; write 5s or 5m`,
		"watch:-1s":  `"-1s" is negative`,
		"bounded:0":  "0 is no length of time here; write 1s, for example",
		"bounded:0s": "0 is no length of time here; write 1s, for example",
	} {
		if got, err := ParseCoherence(text); got != (Coherence{}) || err == nil || err.Error() != want {
			t.Errorf("%q:\ngot  %v, %v\nwant %s", text, got, err, want)
		}
	}
}

func TestParseDegraded(t *testing.T) {
	for _, want := range []Degraded{{}, AnswerMiss(), ServeStale(10 * time.Second), ServeStale(90 * time.Minute)} {
		if got, err := ParseDegraded(want.String()); got != want || err != nil {
			t.Errorf("%q: %+v, %v; want %+v", want, got, err, want)
		}
	}
	const form = "it is fail, miss, or serve: and a length of time, as in serve:10s"
	for text, want := range map[string]string{
		"":          form,
		"Miss":      form,
		"serve":     form,
		"serve:-1s": `"-1s" is negative`,
		"serves:1s": form,
		"serve:10":  `"10" has no unit; write 10s or 10m`,
		"serve:0":   "0 is no length of time here; write 1s, for example",
	} {
		if got, err := ParseDegraded(text); got != (Degraded{}) || err == nil || err.Error() != want {
			t.Errorf("%q:\ngot  %v, %v\nwant %s", text, got, err, want)
		}
	}
}
