package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"

	"github.com/cairncache/cairn/store"
)

const temporarySuffix = ".tmp"

func isTemporary(name string) bool { return strings.HasSuffix(name, temporarySuffix) }

// temporary writes content to a new file beside path, and returns its name.
// noWait spares four system calls by which package os would find out that
// nobody waits for a file.
func (f *folder) temporary(path string, content []byte, sync bool) (name string, err error) {
	name = path + "." + strconv.Itoa(os.Getpid()) + "." + strconv.FormatUint(rand.Uint64(), 36) + temporarySuffix
	file, err := f.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|noWait, fileMode)
	if err != nil {
		return "", err
	}
	_, err = file.Write(content)
	if err == nil && sync {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		f.Remove(name)
		return "", err
	}
	return name, nil
}

// temporaryAt is temporary for a place, whose shard it makes if need be.
func (f *folder) temporaryAt(p place, content []byte, sync bool) (name string, err error) {
	if err := f.checkShard(p); err != nil {
		return "", err
	}
	name, err = f.temporary(p.path(), content, sync)
	if !errors.Is(err, fs.ErrNotExist) {
		return name, f.explainIn(p.folder(), err)
	}
	if err := f.makeFolder(p.folder()); err != nil {
		return "", f.orRemoved(err)
	}
	if sync {
		if err := f.sync("."); err != nil {
			return "", err
		}
	}
	return f.temporary(p.path(), content, sync)
}

// rename gives a temporary file its name, or removes it.
func (f *folder) rename(name, path string) error {
	err := f.Rename(name, path)
	if err != nil {
		f.Remove(name)
	}
	return err
}

// sync waits until the names in a folder are on the disk.
func (f *folder) sync(name string) error {
	file, err := f.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// openShared opens a file that processes share, and makes it if need be. It
// follows no link, also not to another file in the folder: what is written here
// would destroy an entry there.
func (f *folder) openShared(path string) (*os.File, error) {
	file, err := f.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|noWait, fileMode)
	if err == nil {
		return file, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return nil, f.explain(path, err)
	}
	seen, err := f.Lstat(path)
	if err == nil {
		err = ownFile(path, seen)
	}
	if err != nil {
		return nil, err
	}
	if file, err = f.OpenFile(path, os.O_RDWR|noWait, 0); err != nil {
		return nil, f.explain(path, err)
	}
	info, err := file.Stat()
	if err == nil && !os.SameFile(info, seen) {
		err = fmt.Errorf("%w: %s was replaced meanwhile", errForeign, path)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// size is that of the file of a place, 0 if there is none.
func (f *folder) size(p place) (int64, error) {
	if err := f.checkShard(p); err != nil {
		return 0, err
	}
	info, err := f.Lstat(p.path())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err == nil {
		err = ownFile(p.path(), info)
	}
	if err != nil {
		return 0, f.explainIn(p.folder(), err)
	}
	return info.Size(), nil
}

// open opens a file for reading. One that is not there is fs.ErrNotExist. A link
// to a file elsewhere in the folder is followed, as to see it would cost each
// read a system call; the key in the header tells what is another entry's.
func (f *folder) open(path string) (*os.File, fs.FileInfo, error) {
	file, err := f.OpenFile(path, os.O_RDONLY|noWait, 0)
	if err != nil {
		return nil, nil, f.explain(path, err)
	}
	info, err := file.Stat()
	if err == nil {
		err = ownFile(path, info)
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// explain says of an error whether something foreign at path, or in place of
// its folder, is the cause.
func (f *folder) explain(path string, err error) error {
	if folder, _, ok := strings.Cut(path, "/"); ok {
		err = f.explainIn(folder, err)
	}
	return f.foreign(path, ownFile, err)
}

// explainIn is explain for a folder alone.
func (f *folder) explainIn(path string, err error) error { return f.foreign(path, ownFolder, err) }

func (f *folder) foreign(path string, own func(string, fs.FileInfo) error, err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, errForeign) {
		return err
	}
	if info, e := f.Lstat(path); e == nil {
		err = errors.Join(own(path, info), err)
	}
	return err
}

// firstRead is how much of a file is read first: the header for sure, and most
// files whole.
const firstRead = headerSize + store.MaxKeyLen

// read reads the entry at path, if it is that of key.
func (f *folder) read(path, key string) (*entry, error) {
	file, info, err := f.open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := readUpTo(file, info.Size(), firstRead)
	if err != nil {
		return nil, err
	}
	if info.Size() > firstRead {
		// No more memory than a header says that is in order.
		if h, err := decodeHeader(b); err != nil || h.size() != info.Size() {
			return nil, errDamaged
		}
		whole := make([]byte, info.Size())
		if _, err := io.ReadFull(file, whole[copy(whole, b):]); err != nil {
			return nil, ifDamaged(err)
		}
		b = whole
	}
	h, value, err := decode(b)
	if err != nil || h.key != key {
		return nil, errDamaged
	}
	return &entry{*h, value, info.ModTime()}, nil
}

// readHeader reads the header of the file at path.
func (f *folder) readHeader(path string) (*header, fs.FileInfo, error) {
	file, info, err := f.open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	b, err := readUpTo(file, info.Size(), firstRead)
	if err != nil {
		return nil, info, err
	}
	h, err := decodeHeader(b)
	if err == nil && h.size() != info.Size() {
		err = errDamaged
	}
	return h, info, err
}

func readUpTo(file *os.File, size, most int64) ([]byte, error) {
	b := make([]byte, min(size, most))
	if _, err := io.ReadFull(file, b); err != nil {
		return nil, ifDamaged(err)
	}
	return b, nil
}

// ifDamaged is errDamaged for a file that ends too early.
func ifDamaged(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errDamaged
	}
	return err
}
