package disk_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"net/url"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	_ "modernc.org/sqlite"

	"github.com/cairncache/cairn/adapters/disk"
	"github.com/cairncache/cairn/store"
)

// A cache is what a library keeps in a folder. Its methods may be called
// concurrently.
type cache interface {
	Get(key string) ([]byte, error)
	Set(key string, value []byte) error
	Close() error
}

// ttl is that of each entry. All libraries store when it ends, and look at that
// when they read, as a cache has to.
const ttl = time.Hour

// settings are what a library is opened with.
type settings struct {
	// fsync is whether a write waits for the disk. With it, what was written
	// survives a crash of the system. Without it, it survives one of the process;
	// after one of the system cairn misses what is damaged, and the others may
	// have lost their whole file.
	fsync bool

	goroutines int // that call it
}

// A library is what is compared, with the settings that its documentation
// advises for many small transactions.
type library struct {
	name string
	open func(folder string, s settings) (cache, error)

	shares bool // one transaction among goroutines that write
	alone  bool // with its file: no other process may open it
}

var libraries = []library{
	{name: "cairn", open: openCairn},
	{name: "bbolt", open: openBolt, alone: true},
	{name: "bbolt-batch", open: openBoltBatch, alone: true, shares: true},
	{name: "sqlite", open: openSQLite},
}

type cairn struct{ *disk.Store }

// openCairn opens one without a bound, as the others have none.
func openCairn(folder string, s settings) (cache, error) {
	c, err := disk.New(filepath.Join(folder, "cache"), &disk.Options{Fsync: s.fsync})
	if err != nil {
		return nil, err
	}
	return cairn{c}, nil
}

func (c cairn) Get(key string) ([]byte, error) { return c.Store.Get(context.Background(), key) }

func (c cairn) Set(key string, value []byte) error {
	return c.Store.Set(context.Background(), key, value, ttl)
}

// bbolt has a transaction for each Set.
type bbolt struct {
	*bolt.DB
	update func(func(*bolt.Tx) error) error
}

var bucket = []byte("entries")

// openBolt keeps the list of free pages in a map and out of the file, which the
// documentation says is faster. The rest are the defaults. NoSync leaves one
// fsync, of a file that grows.
func openBolt(folder string, s settings) (cache, error) {
	db, err := bolt.Open(filepath.Join(folder, "bolt"), 0o600, &bolt.Options{
		NoSync:         !s.fsync,
		NoFreelistSync: true,
		FreelistType:   bolt.FreelistMapType,
	})
	if err != nil {
		return nil, err
	}
	create := func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	}
	return bbolt{db, db.Update}, db.Update(create)
}

// openBoltBatch lets goroutines share a transaction. One begins when all of them
// write, or 1 ms after the first did. The defaults are 1000, which 8 never are,
// and 10 ms.
func openBoltBatch(folder string, s settings) (cache, error) {
	c, err := openBolt(folder, s)
	if err != nil {
		return nil, err
	}
	db := c.(bbolt).DB
	db.MaxBatchSize, db.MaxBatchDelay = s.goroutines, time.Millisecond
	return bbolt{db, db.Batch}, nil
}

const deadlineSize = 8

func (c bbolt) Get(key string) (value []byte, err error) {
	err = c.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucket).Get([]byte(key))
		if len(b) < deadlineSize || int64(binary.LittleEndian.Uint64(b)) <= time.Now().UnixNano() {
			return store.ErrNotFound
		}
		value = append([]byte(nil), b[deadlineSize:]...) // b is valid in here only
		return nil
	})
	return value, err
}

func (c bbolt) Set(key string, value []byte) error {
	b := make([]byte, deadlineSize, deadlineSize+len(value))
	binary.LittleEndian.PutUint64(b, uint64(time.Now().Add(ttl).UnixNano()))
	b = append(b, value...)
	return c.update(func(tx *bolt.Tx) error { return tx.Bucket(bucket).Put([]byte(key), b) })
}

// sqlite has a transaction for each Set. It has one connection that writes, as
// more of them would poll for their turn, and one for each goroutine that reads.
type sqlite struct {
	writer, reader *sql.DB
	get, set       *sql.Stmt
}

// openSQLite has a log in which readers and a writer do not wait for each other
// (WAL), with an fsync of it for each transaction (FULL) or none at all (OFF). What
// is between them (NORMAL) the others do not have. Its own memory has room for all
// that is read; the others have that of the system.
func openSQLite(folder string, s settings) (cache, error) {
	synchronous := "OFF"
	if s.fsync {
		synchronous = "FULL"
	}
	name := "file:" + filepath.Join(folder, "sqlite") + "?" + url.Values{"_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(" + synchronous + ")", "cache_size(-65536)",
	}}.Encode()
	c := sqlite{}
	var err error
	open := func(connections int) *sql.DB {
		db, e := sql.Open("sqlite", name)
		if e != nil {
			err = errors.Join(err, e)
			return nil
		}
		db.SetMaxOpenConns(connections)
		db.SetMaxIdleConns(connections)
		return db
	}
	if c.writer, c.reader = open(1), open(s.goroutines); err != nil {
		return nil, err
	}
	// With a rowid, as rows may be longer than a page.
	if _, err := c.writer.Exec(`CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, deadline INTEGER NOT NULL, value BLOB NOT NULL)`); err != nil {
		return nil, err
	}
	if c.set, err = c.writer.Prepare(`INSERT INTO entries VALUES (?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET deadline = excluded.deadline, value = excluded.value`); err != nil {
		return nil, err
	}
	if c.get, err = c.reader.Prepare(`SELECT value FROM entries WHERE key = ? AND deadline > ?`); err != nil {
		return nil, err
	}
	return c, nil
}

func (c sqlite) Get(key string) (value []byte, err error) {
	err = c.get.QueryRow(key, time.Now().UnixNano()).Scan(&value)
	return value, err
}

func (c sqlite) Set(key string, value []byte) error {
	_, err := c.set.Exec(key, time.Now().Add(ttl).UnixNano(), value)
	return err
}

func (c sqlite) Close() error { return errors.Join(c.reader.Close(), c.writer.Close()) }
