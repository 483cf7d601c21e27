module github.com/cairncache/cairn

go 1.26.0
