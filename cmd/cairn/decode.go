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
indented, and all else is as it is, text of gob too.`,
	define: func(flags *flag.FlagSet) func(context.Context, *call) error {
		asJSON := jsonFlag(flags)
		return func(ctx context.Context, c *call) error { return decode(ctx, c, *asJSON) }
	},
}

// maxDecoded bounds what an entry may say that it has when decompressed.
const maxDecoded = 1 << 30

func decode(ctx context.Context, c *call, asJSON bool) error {
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
	payload, decompressErr := e.Decompress(maxDecoded, compress.Zstd(), compress.S2())
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
		return printJSON(c.stdout, out)
	}
	t := newTable(c.stdout)
	describe(&e).rows(t, time.Now())
	t.row("entry", bytesOf(len(raw)))
	if decompressErr != nil {
		return errors.Join(t.Flush(), decompressErr)
	}
	t.row("payload", bytesOf(len(payload)))
	return errors.Join(t.Flush(), printPayload(c.stdout, payload, isJSON))
}

func printPayload(w io.Writer, payload []byte, isJSON bool) error {
	b := bytes.NewBufferString("\n")
	if isJSON {
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
