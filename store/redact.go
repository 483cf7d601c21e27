package store

import (
	"regexp"
	"slices"
	"strings"
)

const hidden = "xxxxx"

var (
	bar    = regexp.MustCompile(`\s*\|\s*`)
	scheme = regexp.MustCompile(`(?i)^\s*[a-z][a-z0-9+.-]*:(?://)?`)

	// A parameter is secret by its name, or because it holds a URL with a user.
	secretName  = regexp.MustCompile(`(?i)([?&][^=&]*(?:user|pass|pa?s+w|pwd|secret|token|auth|credential|api_?key)[^=&]*=)[^&]*`)
	secretValue = regexp.MustCompile(`(?i)([?&][^=&]*=)[^&]*%(?:25)*40[^&]*`)

	// What follows the last colon of an authority is a port, or a password
	// whose @host is missing.
	digits = regexp.MustCompile(`^[0-9]*$`)
)

// separators returns where the bars of "a | b" stand, with the spaces around
// them. A | that is not followed by a URL, or by one whose @ has no // before
// it, may belong to a password, and is left where it is.
func separators(text string) (bars [][]int) {
	bars = bar.FindAllStringIndex(text, -1)
	end := len(text)
	for i := len(bars) - 1; i >= 0; i-- {
		layer := text[bars[i][1]:end]
		user, _, at := strings.Cut(layer, "@")
		if !scheme.MatchString(layer) || at && !strings.Contains(user, "//") {
			bars = slices.Delete(bars, i, i+1)
			continue
		}
		end = bars[i][0]
	}
	return bars
}

// RedactURL returns text, which should be a store URL or several of them
// joined by |, with what may be secret replaced by xxxxx: names and passwords,
// parameters that are called password or the like, and parameters that hold a
// URL. It does so for text that is no valid URL too, and hides too much rather
// than too little.
func RedactURL(text string) string {
	var b strings.Builder
	from := 0
	for _, sep := range separators(text) {
		b.WriteString(redactOne(text[from:sep[0]]))
		b.WriteString(text[sep[0]:sep[1]])
		from = sep[1]
	}
	b.WriteString(redactOne(text[from:]))
	return b.String()
}

// redactOne redacts a single URL.
func redactOne(text string) string {
	start := scheme.FindString(text)
	rest := text[len(start):]
	beforeQuery, query, _ := strings.Cut(rest, "?")
	switch {
	case strings.Contains(query, "@"):
		// A password with a ? in it, or a URL in a parameter: no telling which.
		return start + hidden
	case strings.Contains(beforeQuery, "@"):
		at := strings.LastIndexByte(beforeQuery, '@') + 1
		rest = hidden + "@" + redactHosts(rest[at:])
	case strings.HasSuffix(start, "//"):
		rest = redactHosts(rest)
	case start == "":
		rest = redactHosts(rest)
	case strings.Contains(beforeQuery, ":"):
		rest = hidden + rest[len(beforeQuery):] // user:password@host whose scheme is missing, and more
	}
	rest = secretName.ReplaceAllString(rest, "${1}"+hidden)
	return start + secretValue.ReplaceAllString(rest, "${1}"+hidden)
}

// redactHosts hides what stands in place of hosts and ports and is none: it may
// be a password whose @host is missing, and then so may what comes after it.
func redactHosts(rest string) string {
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority, after := rest[:end], rest[end:]
	hosts := strings.Split(authority, ",")
	for i, host := range hosts {
		hosts[i] = redactHost(host)
	}
	redacted := strings.Join(hosts, ",")
	path, _, _ := strings.Cut(after, "?")
	if redacted != authority && strings.Contains(path, ":") {
		after = "/" + hidden + after[len(path):]
	}
	return redacted + after
}

func redactHost(host string) string {
	name, port, found := strings.Cut(host, ":")
	if end := strings.IndexByte(host, ']') + 1; end > 0 && host[0] == '[' {
		name, found = host[:end], host[end:] != ""
		if port = strings.TrimPrefix(host[end:], ":"); port == host[end:] && found {
			port = "no port"
		}
	}
	switch {
	case strings.Contains(port, ":"):
		return hidden
	case found && !digits.MatchString(port):
		return name + ":" + hidden
	}
	return host
}
