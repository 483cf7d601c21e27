package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cairncache/cairn/memo"
	"github.com/cairncache/cairn/memo/compress"
)

var decodeCommand = command{
	name:      "decode",
	args:      "[FILE]",
	summary:   "take apart an entry of a memoized function",
	storeless: true,
	details: `
The entry is the raw value, from a file or from stdin:
cairn get KEY | cairn decode
Its header is printed as a table, and then the payload, decompressed; JSON is
indented, unless that makes more than -max of it, and all else is as it is, text
of gob too.`,
	define: func(flags *flag.FlagSet) func(context.Context, *call) error {
		most := sizeValue(64 << 20)
		flags.Var(&most, "max", "refuse what is more than this `SIZE` when decompressed")
		asJSON := jsonFlag(flags)
		return func(ctx context.Context, c *call) error { return decode(ctx, c, int(most), *asJSON) }
	},
}

func decode(ctx context.Context, c *call, most int, asJSON bool) error {
	if most <= 0 {
		return usagef("-max must be above 0")
	}
	raw, err := c.file(ctx)
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		return errors.New("there is nothing to decode; give a FILE, or pipe the output of cairn get into it")
	}
	e, err := memo.ParseEnvelope(raw)
	if err != nil {
		return err
	}
	payload, decompressErr := e.Decompress(most, compress.Zstd(), compress.S2())
	if decompressErr != nil {
		decompressErr = fmt.Errorf("%w; -max is %s here", decompressErr, bytesOf(most))
	}
	isJSON := e.Codec == "json" && !e.Meta.Absent && !e.Meta.Failure && json.Valid(payload)
	if asJSON {
		if decompressErr != nil {
			return decompressErr
		}
		out := struct {
			*envelope
			Payload any `json:"payload"`
		}{describe(&e), text(string(payload))}
		if isJSON {
			out.Payload = json.RawMessage(payload)
		}
		if isJSON && !indentable(payload, most) {
			return newEncoder(c.stdout).Encode(out)
		}
		return printJSON(c.stdout, out)
	}
	t := newTable(c.stdout)
	describe(&e).rows(t, time.Now())
	t.row("entry", bytesOf(len(raw)))
	if decompressErr != nil {
		return errors.Join(t.Flush(), decompressErr)
	}
	t.row("payload", bytesOf(len(payload)))
	return errors.Join(t.Flush(), printPayload(c.stdout, payload, isJSON && indentable(payload, most)))
}

// indentable reports whether JSON has at most that many bytes when indented.
// What is nested deeply has thousands of times its own size then.
func indentable(payload []byte, most int) bool {
	size, depth, quoted := len(payload), 0, false
	for i := 0; i < len(payload) && size <= most; i++ {
		switch b := payload[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{' || b == '[':
			depth++
			size += 1 + 2*depth
		case b == '}' || b == ']':
			depth--
			size += 1 + 2*depth
		case b == ',':
			size += 1 + 2*depth
		}
	}
	return size <= most
}

func printPayload(w io.Writer, payload []byte, indent bool) error {
	b := bytes.NewBufferString("\n")
	if indent {
		if err := json.Indent(b, payload, "", "  "); err != nil {
			return err
		}
		b.WriteByte('\n')
	} else {
		b.Write(payload)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func bytesOf(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprint(n, " bytes")
}

// file reads the file that is the only argument, or stdin without one.
func (c *call) file(ctx context.Context) ([]byte, error) {
	if len(c.args) == 0 {
		return readAll(ctx, c.stdin)
	}
	name, err := c.one("FILE")
	if err != nil {
		return nil, err
	}
	return os.ReadFile(name)
}
