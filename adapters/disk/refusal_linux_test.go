package disk

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"unsafe"

	"github.com/cairncache/cairn/store"
)

// dropPrivileges takes from the goroutine, until it ends, what root may do that
// others may not. Its thread ends with it.
func dropPrivileges() error {
	runtime.LockOSThread()
	header := struct {
		version uint32
		pid     int32
	}{version: 0x20080522}
	var none [2]struct{ effective, permitted, inheritable uint32 }
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none)), 0); errno != 0 {
		return errno
	}
	return nil
}

const mountVar = "CAIRN_DISK_MOUNT"

// The test runs in a process with a name space of its own, in which it may
// mount a small file system, whoever the user is.
func TestFileSystemRefuses(t *testing.T) {
	if path := os.Getenv(mountVar); path != "" {
		testFileSystemRefuses(t, path)
		return
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^TestFileSystemRefuses$", "-test.v")
	cmd.Env = append(os.Environ(), mountVar+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
		t.Skip("the system gives no name space: ", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func testFileSystemRefuses(t *testing.T, mount string) {
	if err := syscall.Mount("none", mount, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip(err)
	}
	path, ctx := filepath.Join(mount, "cache"), context.Background()
	s := newStore(t, path, nil)
	value := string(make([]byte, 50_000))
	written := 0
	for ; written < 100; written++ {
		if err := s.Set(ctx, strconv.Itoa(written), []byte(value), 0); err != nil {
			wantErr(t, "Set on a full disk", err, store.ErrUnavailable)
			wantErr(t, "Set on a full disk", err, syscall.ENOSPC)
			break
		}
	}
	if written == 0 || written == 100 {
		t.Fatalf("%d values were written", written)
	}
	refused := func(what string, cause error) {
		t.Helper()
		wantErr(t, "Set on "+what, s.Set(ctx, "0", []byte(value), 0), cause)
		wantErr(t, "Touch on "+what, s.Touch(ctx, "0", 0), cause)
		_, err := s.Add(ctx, "new", []byte(value), 0)
		wantErr(t, "Add on "+what, err, cause)
		for i := range written {
			wantValue(t, s, strconv.Itoa(i), value)
		}
		wantMiss(t, s, "new")
		if _, temporary := filesIn(t, path); temporary > 0 {
			t.Errorf("%s: %d temporary files are left", what, temporary)
		}
		if got := s.Stats().Bytes; got != sizeOf(t, path) {
			t.Errorf("%s: the files have %d bytes, and Stats says %d", what, sizeOf(t, path), got)
		}
	}
	refused("a full disk", syscall.ENOSPC)
	wantErr(t, "Delete on a full disk", s.Delete(ctx, strconv.Itoa(written-1)), nil)
	wantErr(t, "Set on a disk with room", s.Set(ctx, strconv.Itoa(written-1), []byte(value), 0), nil)

	// Files that are open for writing would keep a mount from being read-only.
	wantErr(t, "Close", s.Close(), nil)
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("none", mount, "", syscall.MS_REMOUNT|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(syscall.MS_RDONLY)
	_, err := New(path, nil)
	wantErr(t, "New in a read-only folder", err, store.ErrUnavailable)
	wantErr(t, "New in a read-only folder", err, syscall.EROFS)
	_, err = New(filepath.Join(mount, "other"), nil)
	wantErr(t, "New below a read-only folder", err, store.ErrUnavailable)
	remount(0)
	s = newStore(t, path, nil)
	for i := range written {
		wantValue(t, s, strconv.Itoa(i), value)
	}
}
