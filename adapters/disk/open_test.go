package disk

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cairncache/cairn/store"
)

func TestOpen(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Chdir(t.TempDir())
	absolute := newPath(t)
	for url, path := range map[string]string{
		"disk:./cache?max_bytes=1KiB&fsync=on&prefix=p:&ttl=1m":            "cache",
		"disk:sub/cache?max_bytes=1KiB&fsync=on&prefix=p:&ttl=1m":          "sub/cache",
		"disk://" + absolute + "?max_bytes=1KiB&fsync=on&prefix=p:&ttl=1m": absolute,
		"disk:" + absolute + "2?max_bytes=1KiB&fsync=on&prefix=p:&ttl=1m":  absolute + "2",
		"disk:?name=app&max_bytes=1KiB&fsync=on&prefix=p:&ttl=1m":          "",
	} {
		opened, err := store.Open(t.Context(), url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		s := opened.(*Store)
		if want := (Options{MaxBytes: 1024, Fsync: true, Prefix: "p:", TTL: time.Minute}); s.options != want {
			t.Errorf("%s: got %+v", url, s.options)
		}
		if path == "" && filepath.Base(s.folder.Name()) != "app" || path != "" && s.folder.Name() != path {
			t.Errorf("%s: opened %s", url, s.folder.Name())
		}
		wantErr(t, "Close", store.Close(s), nil)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	for url, text := range map[string]string{
		"disk:":                      "the folder is missing",
		"disk://./cache":             "write disk:./cache",
		"disk://cache/app":           "write disk:cache/app, or disk:///cache/app",
		"disk:~/cache":               "~ does not stand for your home",
		"disk:./cache?name=app":      "two places",
		"disk:?name=a/b":             "not one of a folder",
		"disk:?name=..":              "not one of a folder",
		"disk:./cache?max_bytes=0":   "0 would hold nothing",
		"disk:./cache?max_byte=1KiB": `did you mean "max_bytes"`,
		"disk:./cache?fsync=maybe":   "neither on nor off",
		"disk:./cache?prefix=" + strings.Repeat("p", store.MaxKeyLen): "Prefix leaves no room",
	} {
		s, err := store.Open(t.Context(), url)
		if err == nil {
			store.Close(s)
		}
		wantErr(t, url, err, store.ErrInvalid)
		if err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v does not say %q", url, err, text)
		}
	}
	if exists("cache") {
		t.Error("a bad URL has made a folder")
	}
	mustWrite(t, "file", "")
	_, err := store.Open(t.Context(), "disk:file/cache")
	wantErr(t, "disk:file/cache", err, store.ErrUnavailable)
}
