package faultproxy_test

import (
	"bytes"
	"testing"

	"github.com/cairncache/cairn/internal/faultproxy"
)

func TestAlter(t *testing.T) {
	t.Parallel()
	p := faultproxy.New(t, startServer(t).addr)
	c := dial(t, p.Addr)
	c.wantsEcho("as it is")
	p.Alter(func(data []byte, toServer bool) []byte {
		if toServer {
			return bytes.ReplaceAll(data, []byte("question"), []byte("quest"))
		}
		return bytes.ReplaceAll(data, []byte("quest"), []byte("answer"))
	})
	c.send("a question")
	c.wants("a answer")
	c.wantsEcho("something else")
	p.Alter(nil)
	c.wantsEcho("a question")
}
