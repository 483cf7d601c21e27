package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Load reads a Config from a file, in YAML, or in JSON if its name ends in
// .json. It is Parse; a file that cannot be read gives the error of os.Open.
//
// The file schema.json of this package describes both to editors. A file of JSON
// names it in a field $schema, and one of YAML in its first line:
//
//	# yaml-language-server: $schema=https://raw.githubusercontent.com/cairncache/cairn/main/config/schema.json
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer f.Close()
	return Parse(f, path)
}

// Parse reads a Config in YAML, or in JSON if the name ends in .json. The name
// is that of the source, for errors, and may be empty.
//
// In a value, ${NAME} stands for an environment variable, which has to be set,
// ${NAME:-default} for one that may be unset or empty, and $${ for ${ itself.
// They are replaced in the values that were read, so that nothing in a variable
// can make a second value of one. No other variable is read. In a URL they are
// parts of it, so a password has to be in %-escapes, as it is there always.
//
// What is wrong is ErrInvalid of package store, all of it at once, each with
// its line and column and with what may have been meant: fields that do not
// exist or come twice, values of a wrong kind, names of no store or region,
// layers or parents that go in a circle, URLs that are none. What only an
// adapter can know, Open reports. No error shows a password, nor anything that
// a ${NAME} stands for.
func Parse(r io.Reader, name string) (*Config, error) {
	c := &Config{source: source{name: name}}
	data, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if err := c.finish(c.read(data, os.LookupEnv)); err != nil {
		return nil, err
	}
	return c, nil
}

// maxSize is that of a file which is no configuration.
const maxSize = 1 << 20

const empty = `it is empty; the least that it can be is

	stores:
	  main: { url: "memory:" }`

// read fills c with what data says.
func (c *Config) read(data []byte, lookup func(string) (string, bool)) []error {
	c.source.at = map[string]position{"": {line: 1, column: 1}}
	c.source.hidden = make(map[string]hidden)
	if len(data) > maxSize {
		return []error{c.errorf("", "it is larger than 1 MiB; is it a configuration?")}
	}
	root, wrong := c.parse(data)
	switch {
	case wrong != nil:
		return []error{&problem{file: c.source.name, position: wrong.position, err: wrong.err}}
	case root == nil || root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null":
		return []error{c.errorf("", empty)}
	}
	return decode(c, root, lookup)
}

// A syntaxError is in what is neither YAML nor JSON.
type syntaxError struct {
	position
	err error
}

// parse returns the only document, or nil if there is none.
func (c *Config) parse(data []byte) (*yaml.Node, *syntaxError) {
	text := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	if len(text) == 0 {
		return nil, nil
	}
	if bad := invalid(data); bad >= 0 {
		l := lineCounter{data: data}
		return nil, &syntaxError{l.position(bad), errors.New("a character that is not UTF-8; save the file as UTF-8")}
	}
	if strings.HasSuffix(strings.ToLower(c.source.name), ".json") || text[0] == '{' && json.Valid(text) {
		return readJSON(bytes.TrimPrefix(data, []byte("\ufeff")))
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	switch err := d.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, yamlError(data, err)
	}
	switch err := d.Decode(&second); {
	case errors.Is(err, io.EOF):
		return first.Content[0], nil
	case err != nil:
		return nil, yamlError(data, err)
	}
	return nil, &syntaxError{place(&second), errors.New("a second document begins behind ---; write one")}
}

// invalid returns where the first byte is that is not UTF-8, or -1.
func invalid(data []byte) int {
	for at := 0; at < len(data); {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return -1
}

var (
	yamlText = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)
	anchor   = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
	tab      = regexp.MustCompile(`^ *\t\s*[^\s#]`)

	endOfFlow = regexp.MustCompile(`(?m)^\s*\}`)

	// unquoted matches a field in { } up to what ends its value, or breaks it.
	unquoted = regexp.MustCompile(`[\s{,][a-z_]+:[ \t]+(?:\$\{|[^"'\s{}\[\],][^"'\n,{}]*?(?::\?|\{|:[ \t]+[,}\]]))`)
)

// yamlError finds the place that the library does not tell, and a word for
// those mistakes that are made often.
func yamlError(data []byte, err error) *syntaxError {
	parts := yamlText.FindStringSubmatch(err.Error())
	if parts == nil {
		return &syntaxError{position{line: 1, column: 1}, errors.New("it is no YAML")}
	}
	told, _ := strconv.Atoi(parts[1])
	told = max(1, told)
	if name := anchor.FindStringSubmatch(parts[2]); name != nil {
		return anchorError(data, told, name[1])
	}
	for line := told; line <= told+1; line++ { // it is one of them
		if strings.Contains(parts[2], "cannot start any token") && tab.Match(lineOf(data, line)) {
			return &syntaxError{position{line: line, column: 1}, errors.New("the line begins with a tab; YAML takes spaces alone, and JSON both")}
		}
	}
	text := "it is no YAML: " + parts[2]
	for _, m := range mistakes {
		if strings.Contains(parts[2], m.says) {
			text = m.means
		}
	}
	line := max(told, readableLines(data)+1)
	if strings.Contains(parts[2], "did not find expected ','") && unquoted.Match(flow(data, line)) {
		text = `write quotes around the value behind the name and colon, as in { url: "memory:?max_entries=1000" }`
	}
	return &syntaxError{position{line: line, column: indentation(lineOf(data, line)) + 1}, errors.New(text)}
}

// anchorError finds the *name that the library tells no line of, or an earlier
// one.
func anchorError(data []byte, line int, name string) *syntaxError {
	from := len(data) - len(linesFrom(data, line))
	l := lineCounter{data: data}
	use := regexp.MustCompile(`(?m)\*` + regexp.QuoteMeta(name) + `(?:[\s,\]}]|$)`)
	if at := use.FindIndex(data[from:]); at != nil {
		from += at[0]
	}
	return &syntaxError{l.position(from), errors.New("a * without a & of the same name before it; write quotes around a value that begins with *")}
}

// mistakes are what the library says of those that are made often.
var mistakes = []struct{ says, means string }{
	{"mapping values are not allowed", `two colons in a line, or none in the one before; a value that ends in a colon needs quotes, as in url: "memory:"`},
	{"did not find expected ','", "of what begins here, a } or ] at the end is missing, or a , between two parts"},
	{"did not find expected key", "the line is not indented as those before it, or no name with a colon"},
	{"could not find expected ':'", "a name without a colon behind it, or a quote that is not closed"},
	{"found unexpected end of stream", "a quote is not closed"},
	{"cannot start any token", "a value that begins with @, % or ` needs quotes"},
}

// linesFrom returns data from a line on, which is counted from 1.
func linesFrom(data []byte, line int) []byte {
	for ; line > 1; line-- {
		_, data, _ = bytes.Cut(data, []byte("\n"))
	}
	return data
}

func lineOf(data []byte, line int) []byte {
	first, _, _ := bytes.Cut(linesFrom(data, line), []byte("\n"))
	return first
}

// flow returns a line, and if it ends in a { also those up to the } by itself.
func flow(data []byte, line int) []byte {
	first := lineOf(data, line)
	if !bytes.HasSuffix(bytes.TrimSpace(first), []byte("{")) {
		return first
	}
	data = linesFrom(data, line)
	if end := endOfFlow.FindIndex(data); end != nil {
		return data[:end[0]]
	}
	return data
}

// indentation returns how many spaces a line begins with.
func indentation(line []byte) int { return len(line) - len(bytes.TrimLeft(line, " ")) }

// readableLines returns how many lines can be read by themselves. What follows
// them is wrong, or has no end. The library may tell an earlier line, where
// something began that was right until then.
func readableLines(data []byte) int {
	left := 1 << 20 // bytes to read: each line costs all before it
	upTo := func(end int) []byte { return data[:bytes.LastIndexByte(data[:end], '\n')+1] }
	for data = upTo(len(data)); len(data) > 0 && left > 0; data = upTo(len(data) - 1) {
		var document yaml.Node
		if left -= len(data); yaml.Unmarshal(data, &document) == nil {
			return bytes.Count(data, []byte("\n"))
		}
	}
	return 0
}
