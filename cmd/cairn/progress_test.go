package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestNoProgressWithoutTerminal(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, p := range []*progress{newProgress(&b), newProgress(file), newProgress(null)} {
		if p.terminal != nil {
			t.Errorf("%v counts as a terminal", p.terminal.Name())
		}
		p.show("1 of 2")
		p.clear()
	}
	if info, err := file.Stat(); b.Len() > 0 || err != nil || info.Size() > 0 {
		t.Errorf("%q was shown, and %d bytes in the file (%v)", &b, info.Size(), err)
	}
}

func TestWidth(t *testing.T) {
	for columns, want := range map[string]int{"": 80, "x": 80, "-1": 80, "20": 40, "132": 132} {
		t.Setenv("COLUMNS", columns)
		if got := widthOf(nil); got != want {
			t.Errorf("with COLUMNS=%s the width is %d, want %d", columns, got, want)
		}
	}
	if got := clip("größer", 5); got != "größ…" {
		t.Errorf("it is cut to %q", got)
	}
}
