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

	"go.yaml.in/yaml/v3"
)

// Load reads a Config from a file, in YAML, or in JSON if its name ends in
// .json. It is Parse; a file that cannot be read gives the error of os.Open.
//
// The file schema.json of this package describes both to editors. A YAML file
// names it in its first line, # yaml-language-server: $schema=…/schema.json, and
// one of JSON in a field $schema.
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

var (
	yamlText = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)
	anchor   = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
	tabs     = regexp.MustCompile(`(?m)^ *\t\s*\S`)
)

// yamlError finds the place that the library does not tell, and a word for
// those mistakes that are made often.
func yamlError(data []byte, err error) *syntaxError {
	at := func(offset int) position {
		l := lineCounter{data: data}
		return l.position(offset)
	}
	if tab := tabs.FindIndex(data); tab != nil {
		return &syntaxError{at(tab[0]), errors.New("the line begins with a tab; YAML takes spaces alone, and JSON both")}
	}
	parts := yamlText.FindStringSubmatch(err.Error())
	if parts == nil {
		return &syntaxError{position{line: 1, column: 1}, errors.New("it is no YAML")}
	}
	if name := anchor.FindStringSubmatch(parts[2]); name != nil {
		return &syntaxError{at(max(0, bytes.Index(data, []byte("*"+name[1])))), errors.New("a * without a & of the same name before it; write quotes around a value that begins with *")}
	}
	line, _ := strconv.Atoi(parts[1])
	text := "it is no YAML: " + parts[2]
	for _, m := range mistakes {
		if strings.Contains(parts[2], m.says) {
			text = m.means
		}
	}
	line = max(1, line, readableLines(data)+1)
	return &syntaxError{position{line: line, column: indentation(data, line) + 1}, errors.New(text)}
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

// indentation returns how many spaces a line begins with.
func indentation(data []byte, line int) int {
	for text := range bytes.Lines(data) {
		if line--; line == 0 {
			return len(text) - len(bytes.TrimLeft(text, " "))
		}
	}
	return 0
}

// readableLines returns how many lines can be read by themselves. What follows
// them is wrong, or has no end. The library may tell an earlier line, where
// something began that was right until then.
func readableLines(data []byte) int {
	const small = 16 << 10 // each line costs the time to read all before it
	lines := bytes.SplitAfter(data, []byte("\n"))
	for n := len(lines) - 1; n > 0 && len(data) <= small; n-- {
		var document yaml.Node
		if yaml.Unmarshal(bytes.Join(lines[:n], nil), &document) == nil {
			return n
		}
	}
	return 0
}
