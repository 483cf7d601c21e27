package memo_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/cairncache/cairn/memo"
)

// download asks for a document with the etag that it had when it was last
// loaded, so that the server need not send again what has not changed.
func download(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	if _, meta, ok := memo.Previous[string](ctx); ok && meta.ETag != nil {
		req.Header.Set("If-None-Match", *meta.ETag)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	if resp.StatusCode == http.StatusNotModified {
		return "", memo.ErrNotModified
	}
	memo.SetETag(ctx, resp.Header.Get("ETag"))
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// A document of another server is asked for again once a minute, and sent again
// only if it has changed. Stale keeps it for that beyond its minute.
func ExamplePrevious() {
	ctx := context.Background()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"2024-05"`)
		http.ServeContent(w, r, "news.txt", time.Time{}, strings.NewReader("Tea is cheaper."))
	}))
	defer server.Close()
	documents := memo.Must(memo.Wrap(newExampleMemo(), "document", download, &memo.FuncOptions[string, string]{
		Policy: memo.Policy{TTL: time.Minute, Stale: time.Hour, SoftTimeout: memo.Off},
	}))
	for range 2 {
		fmt.Println(documents.Get(ctx, server.URL))
		documents.Expire(ctx, server.URL) // as if a minute had passed
	}
	// Output:
	// 200 OK
	// Tea is cheaper. <nil>
	// 304 Not Modified
	// Tea is cheaper. <nil>
}
