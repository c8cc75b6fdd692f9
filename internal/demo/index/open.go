package index

import (
	"bytes"
	"fmt"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"
)

// openTimeout bounds the wait for a process that has the file open for writing.
const openTimeout = time.Second

// Index answers searches. It is safe for concurrent use.
type Index struct {
	db   *bolt.DB
	meta Meta
}

// Open opens the index at path for reading; its file is memory-mapped by bbolt until Close. The
// error matches fs.ErrNotExist where there is none, and ErrIncomplete where it is not an index.
func Open(path string) (*Index, error) {
	db, err := bolt.Open(path, 0o644, &bolt.Options{ReadOnly: true, Timeout: openTimeout})
	if err != nil {
		return nil, fmt.Errorf("opening the index: %w", err)
	}
	ix := &Index{db: db}
	err = db.View(func(tx *bolt.Tx) error {
		// Reading beyond the end of a mapped file kills the process.
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("%w: %d bytes long, and %d are used", ErrIncomplete, info.Size(), tx.Size())
		}
		ix.meta, err = getMeta(tx)
		return err
	})
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("opening the index %s: %w", path, err)
	}
	return ix, nil
}

// Close unmaps the file.
func (ix *Index) Close() error { return ix.db.Close() }

// Meta says what the index holds.
func (ix *Index) Meta() Meta { return ix.meta }

// Hold runs f while the database can neither move nor end its mapping: what profiler.WithGuard
// wants of an owner.
func (ix *Index) Hold(f func()) error {
	return ix.db.View(func(*bolt.Tx) error { f(); return nil })
}

// Ranking returns every identifier, the most frequent first.
func (ix *Index) Ranking() ([]string, error) {
	names := make([]string, 0, ix.meta.Names)
	err := ix.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketRanking).ForEach(func(_, block []byte) error {
			for line := range bytes.Lines(block) {
				names = append(names, string(bytes.TrimSuffix(line, []byte("\n"))))
			}
			return nil
		})
	})
	return names, err
}
