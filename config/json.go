package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// maxDepth is how deep JSON may be nested. What a Config takes is far less.
const maxDepth = 100

// A jsonReader makes of JSON the nodes that YAML would give. YAML cannot read
// all JSON: it refuses tabs.
type jsonReader struct {
	lineCounter
	d *json.Decoder
}

func readJSON(data []byte) (*yaml.Node, *syntaxError) {
	r := &jsonReader{lineCounter{data: data}, json.NewDecoder(bytes.NewReader(data))}
	r.d.UseNumber()
	root, err := r.value(0)
	if err != nil {
		return nil, err
	}
	end := r.next()
	if _, more := r.d.Token(); more != io.EOF {
		return nil, r.errorAt(end, errors.New("something follows the }"))
	}
	return root, nil
}

// next returns where the next token begins.
func (r *jsonReader) next() int {
	at := int(r.d.InputOffset())
	return at + len(r.data[at:]) - len(bytes.TrimLeft(r.data[at:], " \t\r\n,:"))
}

func (r *jsonReader) errorAt(offset int, err error) *syntaxError {
	return &syntaxError{r.position(offset), err}
}

// value reads the next value with all that is in it.
func (r *jsonReader) value(depth int) (*yaml.Node, *syntaxError) {
	start := r.next()
	at := r.position(start)
	token, err := r.d.Token()
	if err != nil {
		return nil, r.syntax(start, err)
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: at.line, Column: at.column}
	switch token := token.(type) {
	case string:
		n.Tag, n.Value = "!!str", token
	case json.Number:
		n.Tag, n.Value = "!!float", token.String()
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(token)
	case nil:
		n.Tag = "!!null"
	case json.Delim:
		if depth == maxDepth {
			return nil, r.errorAt(start, errors.New("it is nested too deeply"))
		}
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		if token == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		return n, r.content(n, depth)
	}
	return n, nil
}

// content reads what is in an array, or the keys and values of an object.
func (r *jsonReader) content(n *yaml.Node, depth int) *syntaxError {
	for r.d.More() {
		part, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.Content = append(n.Content, part)
	}
	start := r.next()
	if _, err := r.d.Token(); err != nil {
		return r.syntax(start, err)
	}
	return nil
}

func (r *jsonReader) syntax(start int, err error) *syntaxError {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return r.errorAt(max(start, len(r.data)), errors.New("it ends too early: a } or ] or a quote is missing"))
	}
	if wrong := (*json.SyntaxError)(nil); errors.As(err, &wrong) {
		// The offset is behind the character, and that of a token at least.
		return r.errorAt(max(start, min(int(wrong.Offset)-1, len(r.data))), fmt.Errorf("it is no JSON: %w", err))
	}
	return r.errorAt(start, fmt.Errorf("it is no JSON: %w", err))
}
