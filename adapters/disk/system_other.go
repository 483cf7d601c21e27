//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package disk

import (
	"errors"
	"io/fs"
	"os"
)

// supported is false where a file cannot be locked for other processes, or
// owners cannot be told apart. New refuses there, so nothing below is called.
const supported = false

const noWait = 0

func isOwn(fs.FileInfo) bool { return false }

func isRemoved(fs.FileInfo) bool { return false }

func tryFlock(*os.File) (bool, error) { return false, errors.ErrUnsupported }

func unflock(*os.File) error { return errors.ErrUnsupported }
