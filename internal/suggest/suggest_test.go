package suggest

import "testing"

func TestNearest(t *testing.T) {
	words := []string{"url", "ttl", "max_ttl", "layers", "prefix", "coherence", "tags"}
	for word, want := range map[string]string{
		"ttl":       "ttl",
		"tll":       "ttl", // another letter
		"tt":        "ttl", // one is missing
		"ttll":      "ttl", // one too many
		"maxttl":    "max_ttl",
		"MAX_TTL":   "max_ttl",
		"wacth":     "",
		"layesr":    "layers", // exchanged
		"layer":     "layers",
		"coherance": "coherence",
		"cohaeranc": "", // three
		"tgs":       "tags",
		"t":         "", // everything is near
		"":          "",
		"colour":    "",
		"ul":        "url",
		"läyers":    "layers",
	} {
		if got := Nearest(word, words); got != want {
			t.Errorf("Nearest(%q) is %q, not %q", word, got, want)
		}
	}
	if got := Nearest("cat", []string{"hat", "bat", "rat"}); got != "bat" {
		t.Errorf("of several as near it is %q, not the first of the alphabet", got)
	}
	if got := Nearest("x", nil); got != "" {
		t.Errorf("of no words it is %q", got)
	}
}

func TestDidYouMean(t *testing.T) {
	words := []string{"redis", "rediss", "memory"}
	for word, want := range map[string]string{"redsi": `did you mean "redis"? `, "mongo": ""} {
		if got := DidYouMean(word, words); got != want {
			t.Errorf("DidYouMean(%q) is %q, not %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "abc", 0},
		{"abc", "acb", 1},
		{"abcd", "badc", 2},
		{"ca", "abc", 3}, // a pair that was exchanged is not taken apart again
		{"kitten", "sitting", 3},
	} {
		if got, back := distance(test.a, test.b), distance(test.b, test.a); got != test.want || back != test.want {
			t.Errorf("distance(%q, %q) is %d, and %d back, not %d", test.a, test.b, got, back, test.want)
		}
	}
}
