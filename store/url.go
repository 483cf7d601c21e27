package store

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/cairncache/cairn/internal/suggest"
)

// URL is a parsed store URL. It differs from net/url in four ways: it holds
// several hosts (redis+cluster://h1:6379,h2:6379), it shows no secret in any
// text, its parameters are read by type, so that one which nobody has read is
// known to be a mistake, and it may stand for layers.
//
// Layers are URLs joined by |, nearest first, with spaces around it or none:
//
//	memory:?max_entries=10000 | redis://localhost:6379/0
//	layered:?watch=1s | memory: | redis://localhost:6379/0
//
// This is one URL with the scheme layered and the parameters, if any, that are
// stated before the first layer; see OpenLayers. A | that belongs to a name, a
// password or a parameter is written %7C.
type URL struct {
	Scheme   string // in lower case
	Username string
	Password string
	Hosts    []string // "host", "host:port" or "[v6]:port" each; empty in scheme:rest and scheme:///path
	Path     string   // what follows the hosts, or the scheme; unescaped

	redacted string
	layers   []*URL
	mux      *Mux // that opens the layers
	params   map[string]string
	known    []string
	errs     []error
}

// ParseURL parses a store URL. What is wrong with it is ErrInvalid. Spaces and
// line ends around it are no part of it.
func ParseURL(text string) (*URL, error) {
	text = strings.TrimSpace(text)
	bars := separators(text)
	if len(bars) == 0 {
		return parseOne(text)
	}
	u := &URL{Scheme: layered, redacted: RedactURL(text), params: make(map[string]string)}
	if strings.TrimSpace(text[:bars[0][0]]) == "" {
		return nil, u.Errorf("nothing stands before the first |")
	}
	from := 0
	for i, end := range append(bars, []int{len(text), len(text)}) {
		layer, err := parseOne(strings.TrimSpace(text[from:end[0]]))
		switch {
		case err != nil:
			return nil, err
		case layer.Scheme != layered:
			u.layers = append(u.layers, layer)
		case i == 0:
			layer.redacted = u.redacted
			u = layer
		default:
			return nil, u.Errorf("%s: stands behind a |; write it first, with the parameters for all layers", layered)
		}
		from = end[1]
	}
	return u, nil
}

// layered is the scheme of several URLs.
const layered = "layered"

// parseOne parses a URL without layers.
func parseOne(text string) (*URL, error) {
	u := &URL{redacted: RedactURL(text), params: make(map[string]string)}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return nil, u.Errorf("a line end, a tab or another control character stands in it; write it as %%0A, %%09 or the like if it belongs there")
	}
	if strings.Contains(text, "|") {
		return nil, u.Errorf("behind a | comes the URL of a layer; write %%7C for a | that belongs to a name, a password or a parameter, and %%40 for an @ there")
	}
	scheme, rest, ok := strings.Cut(text, ":")
	if !ok || !isScheme(scheme) {
		return nil, u.Errorf("it does not begin with a scheme and a colon, as memory: and redis://host:6379/0 do")
	}
	u.Scheme = strings.ToLower(scheme)
	if strings.Contains(rest, "#") {
		return nil, u.Errorf("a # has no meaning here; write %%23 if it belongs to a name or password")
	}
	rest, query, _ := strings.Cut(rest, "?")
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		authority, path, found := strings.Cut(after, "/")
		if found {
			path = "/" + path
		}
		if authority != "" && strings.Contains(path+query, "@") {
			return nil, u.Errorf("an @ stands after the host; write %%40 there, and %%2F %%3F %%23 for / ? # in a name or password")
		}
		if strings.Contains(authority, " ") {
			return nil, u.Errorf("a space stands in the host, or in the name or password before it; write %%20 if it belongs there")
		}
		if err := u.setAuthority(authority); err != nil {
			return nil, err
		}
		rest = path
	}
	if strings.Contains(query, "@") {
		return nil, u.Errorf("an @ stands in a parameter; write %%40 there")
	}
	path, err := url.PathUnescape(rest)
	if err != nil {
		return nil, u.Errorf("the path has a bad %%-escape; write %%25 for a %% that stands for itself")
	}
	u.Path = path
	return u, u.setParams(query)
}

func isScheme(s string) bool {
	for i, c := range []byte(strings.ToLower(s)) {
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", rune(c))) {
			return false
		}
	}
	return s != ""
}

func (u *URL) setAuthority(authority string) error {
	if authority == "" {
		return nil
	}
	hosts := authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		hosts = authority[i+1:]
		name, password, _ := strings.Cut(authority[:i], ":")
		var err1, err2 error
		u.Username, err1 = url.PathUnescape(name)
		u.Password, err2 = url.PathUnescape(password)
		if err1 != nil || err2 != nil {
			return u.Errorf("the name or password has a bad %%-escape; write %%25 for a %% that stands for itself")
		}
	}
	u.Hosts = strings.Split(hosts, ",")
	for _, host := range u.Hosts {
		if problem := hostProblem(host); problem != "" {
			return u.Errorf("%s", problem)
		}
	}
	return nil
}

// hostProblem says what is wrong with a host. It repeats nothing of it but a
// number, as what stands there may be a password whose @host is missing.
func hostProblem(host string) string {
	name, port := host, ""
	switch {
	case strings.HasPrefix(host, "["):
		end := strings.IndexByte(host, ']')
		if end < 0 || net.ParseIP(host[1:end]) == nil {
			return "an address in [ ] is not IPv6"
		}
		name = host[1:end]
		if host = host[end+1:]; host == "" {
			return ""
		}
		if host[0] != ':' {
			return "after an address in [ ] comes :port"
		}
		port = host[1:]
	case strings.Count(host, ":") > 1:
		return "a host has more than one colon; write an IPv6 address as [::1]:6379, and a password before the host as :password@host"
	case strings.Contains(host, ":"):
		name, port, _ = strings.Cut(host, ":")
	default:
		port = "1"
	}
	if name == "" {
		return "a host is empty; write localhost, for example"
	}
	n, err := strconv.ParseUint(port, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return "a port is not a number; write host:6379, and a password before the host as :password@host"
	case err != nil || n < 1 || n > 65535:
		return "port " + port + " is not between 1 and 65535"
	}
	return ""
}

func (u *URL) setParams(query string) error {
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		if strings.Contains(pair, ";") {
			return u.Errorf("a ; stands between parameters; write & there, and %%3B where it belongs to a value")
		}
		name, value, ok := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		switch {
		case err1 != nil || err2 != nil:
			return u.Errorf("a parameter has a bad %%-escape; write %%25 for a %% that stands for itself")
		case !ok || name == "" || strings.Contains(name, "@"):
			return u.Errorf("a parameter is not written name=value")
		}
		if err := u.Add(name, value); err != nil {
			return err
		}
	}
	return nil
}

// Add gives u a parameter, as if it stood in the text of the URL, but for String
// which does not show it. It is ErrInvalid if the parameter is given already.
func (u *URL) Add(name, value string) error {
	if _, ok := u.params[name]; ok {
		return u.Errorf("%s: given twice", name)
	}
	u.params[name] = value
	return nil
}

// String returns the URL as it was given, without secrets.
func (u *URL) String() string { return u.redacted }

// Errorf makes the error of an Opener that refuses the URL. It matches
// ErrInvalid and whatever the text wraps.
func (u *URL) Errorf(format string, args ...any) error {
	return Errorf(opOpen, u.redacted, ErrInvalid, format, args...)
}

// NoAddress says that the scheme has neither hosts nor a path, nor a user. Err
// then reports them if they are given.
func (u *URL) NoAddress() {
	if len(u.Hosts) > 0 || u.Path != "" || u.Username != "" || u.Password != "" {
		u.errs = append(u.errs, fmt.Errorf("%s has no host and no path; write %s: with parameters after a ?", u.Scheme, u.Scheme))
	}
}

// Has reports whether the parameter is given.
func (u *URL) Has(name string) bool {
	_, ok := u.lookup(name)
	return ok
}

// Text returns a parameter as it stands, or "". It may be secret, so that no
// error should show it.
func (u *URL) Text(name string) string {
	value, _ := u.lookup(name)
	return value
}

// Word returns a parameter that is no secret, and may be shown in errors, or "".
// One with an @ is a mistake, as it may be a URL with a password.
func (u *URL) Word(name string) string {
	value, _ := u.plain(name)
	return value
}

// Int returns a parameter that is a whole number of at least 0, or 0.
func (u *URL) Int(name string) int {
	value, ok := u.plain(name)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(value)
	switch {
	case errors.Is(err, strconv.ErrRange):
		u.bad(name, value, "is too large")
		return 0
	case err != nil || n < 0:
		u.bad(name, value, "is not a whole number of at least 0")
		return 0
	}
	return n
}

// Bool returns a parameter that is true, false, on, off, 1 or 0; or false.
func (u *URL) Bool(name string) bool {
	value, ok := u.plain(name)
	switch {
	case !ok || value == "false" || value == "off" || value == "0":
		return false
	case value == "true" || value == "on" || value == "1":
		return true
	}
	u.bad(name, value, "is neither on nor off")
	return false
}

// Duration returns a parameter that is a length of time, as ParseDuration
// reads it; or 0.
func (u *URL) Duration(name string) time.Duration {
	value, ok := u.plain(name)
	if !ok {
		return 0
	}
	d, err := ParseDuration(value)
	if err != nil {
		u.errs = append(u.errs, fmt.Errorf("%s: %w", name, err))
	}
	return d
}

// Size returns a parameter that is a number of bytes, as ParseSize reads it;
// or 0.
func (u *URL) Size(name string) int64 {
	value, ok := u.plain(name)
	if !ok {
		return 0
	}
	n, err := ParseSize(value)
	if err != nil {
		u.errs = append(u.errs, fmt.Errorf("%s: %w", name, err))
	}
	return n
}

// Err reports the first parameter with a bad value, or one that no method has
// asked for. An Opener calls it after it has read all that it knows.
func (u *URL) Err() error {
	if len(u.errs) > 0 {
		return u.Errorf("%w", u.errs[0])
	}
	var unknown []string
	for name := range u.params {
		if !slices.Contains(u.known, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	slices.Sort(u.known)
	return u.Errorf("unknown parameter %q (%s%s takes: %s)",
		unknown[0], suggest.DidYouMean(unknown[0], u.known), u.Scheme, strings.Join(u.known, ", "))
}

func (u *URL) lookup(name string) (string, bool) {
	if !slices.Contains(u.known, name) {
		u.known = append(u.known, name)
	}
	value, ok := u.params[name]
	return value, ok
}

// plain is lookup for values that errors show: one with an @ may be a URL with
// a password.
func (u *URL) plain(name string) (string, bool) {
	value, ok := u.lookup(name)
	if strings.Contains(value, "@") {
		u.errs = append(u.errs, fmt.Errorf("%s: an @ has no meaning in it", name))
		return "", false
	}
	return value, ok
}

func (u *URL) bad(name, value, problem string) {
	u.errs = append(u.errs, fmt.Errorf("%s: %s %s", name, quoteKey(value), problem))
}
