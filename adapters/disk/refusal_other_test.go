//go:build !linux

package disk

import "errors"

func dropPrivileges() error { return errors.ErrUnsupported }
