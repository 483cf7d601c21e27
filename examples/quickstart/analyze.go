package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Package says which files to analyze, and in which state they are: an edit
// changes the digest and so the key under which the result is remembered.
type Package struct {
	Dir    string
	Digest string
}

// Report is what the analysis finds in one package.
type Report struct {
	Files     int
	Lines     int
	Functions int
	Longest   Function
}

// Function is a function and its length in lines.
type Function struct {
	Name  string
	Lines int
}

// analyze parses the files of a package. It is the work that is remembered.
func analyze(_ context.Context, p Package) (Report, error) {
	names, err := goFiles(p.Dir)
	if err != nil {
		return Report{}, err
	}
	var r Report
	files := token.NewFileSet()
	for _, name := range names {
		f, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return Report{}, err
		}
		r.Files++
		r.Lines += files.File(f.FileStart).LineCount()
		for _, d := range f.Decls {
			d, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			r.Functions++
			lines := files.Position(d.End()).Line - files.Position(d.Pos()).Line + 1
			if lines > r.Longest.Lines {
				r.Longest = Function{d.Name.Name, lines}
			}
		}
	}
	return r, nil
}

// findPackages walks the tree below root.
func findPackages(root string) ([]Package, error) {
	var packages []Package
	err := filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		name := d.Name()
		if dir != root && (name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
			return filepath.SkipDir
		}
		p, err := newPackage(dir)
		if p.Digest != "" {
			packages = append(packages, p)
		}
		return err
	})
	return packages, err
}

// newPackage makes the digest of a directory from the names, sizes and times
// of its files; it is empty where there are no Go files.
func newPackage(dir string) (Package, error) {
	names, err := goFiles(dir)
	if err != nil || len(names) == 0 {
		return Package{}, err
	}
	hash := sha256.New()
	for _, name := range names {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return Package{}, err
		}
		fmt.Fprintf(hash, "%q %d %d\n", name, info.Size(), info.ModTime().UnixNano())
	}
	return Package{dir, hex.EncodeToString(hash.Sum(nil)[:16])}, nil
}

func goFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasSuffix(e.Name(), ".go") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
