package index

import (
	"errors"
	"fmt"
	"os"

	bolt "go.etcd.io/bbolt"
)

// batchBytes is how much one transaction writes: enough to make its cost per byte small, little
// enough for its nodes to stay in memory. Nothing reads the file before finish, so that the many
// commits need no sync of their own.
const batchBytes = 16 << 20

// writer fills a new database in large transactions. It keeps the first error.
type writer struct {
	db      *bolt.DB
	tx      *bolt.Tx
	buckets map[string]*bolt.Bucket
	pending int
	err     error
}

func newWriter(path string) (*writer, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("building the index: %s exists: remove it or choose another path", path)
	}
	db, err := bolt.Open(path, 0o644, &bolt.Options{
		NoSync: true, NoGrowSync: true, NoFreelistSync: true, FreelistType: bolt.FreelistMapType,
		// One mapping for the whole build instead of one for each doubling.
		InitialMmapSize: 1 << 30,
	})
	if err != nil {
		return nil, fmt.Errorf("building the index: %w", err)
	}
	return &writer{db: db}, nil
}

// put must see the keys of each bucket in ascending order for the pages to come out full. The
// value belongs to the writer from then on.
func (w *writer) put(bucket, key, value []byte) error {
	if w.err != nil {
		return w.err
	}
	b, err := w.bucket(bucket)
	if err == nil {
		err = b.Put(key, value)
	}
	w.pending += len(key) + len(value)
	if err == nil && w.pending >= batchBytes {
		err = w.commit()
	}
	return w.fail(err)
}

func (w *writer) bucket(name []byte) (*bolt.Bucket, error) {
	if w.tx == nil {
		tx, err := w.db.Begin(true)
		if err != nil {
			return nil, err
		}
		w.tx, w.buckets = tx, make(map[string]*bolt.Bucket)
	}
	if b := w.buckets[string(name)]; b != nil {
		return b, nil
	}
	b, err := w.tx.CreateBucketIfNotExists(name)
	if err != nil {
		return nil, err
	}
	b.FillPercent = 1 // only ever appended to
	w.buckets[string(name)] = b
	return b, nil
}

func (w *writer) commit() error {
	if w.tx == nil {
		return nil
	}
	err := w.tx.Commit()
	w.tx, w.pending = nil, 0
	return err
}

// finish writes the mark of a complete index last, and waits for the disk.
func (w *writer) finish(m Meta) error {
	err := w.commit()
	if err == nil {
		// All else first: without it the mark could reach the disk before what it vouches for.
		err = w.db.Sync()
	}
	if err == nil {
		err = w.db.Update(func(tx *bolt.Tx) error { return putMeta(tx, m) })
	}
	if err == nil {
		err = w.db.Sync()
	}
	err = errors.Join(err, w.db.Close())
	w.db = nil
	return w.fail(err)
}

// abandon releases what finish did not.
func (w *writer) abandon() {
	if w.tx != nil {
		_ = w.tx.Rollback() // the file is given up in any case
	}
	if w.db != nil {
		_ = w.db.Close()
	}
}

func (w *writer) fail(err error) error {
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("building the index: %w", err)
	}
	return w.err
}
