package bbolttest

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

var bucket = []byte("values")

// database is a bbolt database whose values follow from their keys.
type database struct {
	*bolt.DB
	path string
	keys atomic.Int64 // committed: 0 to keys-1

	stop  atomic.Bool
	work  sync.WaitGroup
	reads atomic.Int64
}

// openDatabase makes a database with the smallest possible mapping.
func openDatabase(t *testing.T, keys int) *database {
	t.Helper()
	d := openAt(t, filepath.Join(t.TempDir(), "bolt.db"))
	d.put(t, keys)
	return d
}

func openAt(t *testing.T, path string) *database {
	t.Helper()
	d := &database{path: path}
	var err error
	d.DB, err = bolt.Open(d.path, 0o600, &bolt.Options{NoSync: true, NoGrowSync: true, InitialMmapSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.halt()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func key(i int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)) }

func value(i int64) []byte {
	b := make([]byte, 200+i*7919%400)
	for j := range b {
		b[j] = byte(i>>(j%3*8)) + byte(j)
	}
	return b
}

// put commits more keys.
func (d *database) put(t *testing.T, keys int) {
	t.Helper()
	first := d.keys.Load()
	err := d.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucket)
		if err != nil {
			return err
		}
		for i := first; i < first+int64(keys); i++ {
			if err := b.Put(key(i), value(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	d.keys.Store(first + int64(keys))
}

// readers reads random keys on so many goroutines, and forces collections, until halt.
func (d *database) readers(t *testing.T, n int) {
	for i := range n {
		d.work.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			// The pause lets the writer have its turn where there is one CPU for all.
			for ; !d.stop.Load() && d.readSome(t, rnd); time.Sleep(100 * time.Microsecond) {
			}
		})
	}
	d.work.Go(func() {
		for ; !d.stop.Load(); time.Sleep(time.Millisecond) {
			runtime.GC()
		}
	})
}

func (d *database) readSome(t *testing.T, rnd *rand.Rand) (ok bool) {
	ok = true
	err := d.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucket)
		for range 10 {
			i := rnd.Int64N(d.keys.Load())
			// Committed after this transaction began: not there yet.
			if v := b.Get(key(i)); v != nil && !bytes.Equal(v, value(i)) {
				t.Errorf("key %d has a wrong value of %d bytes", i, len(v))
				ok = false
			} else if v != nil {
				d.reads.Add(1)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return ok && err == nil
}

func (d *database) halt() {
	d.stop.Store(true)
	d.work.Wait()
}

// verify reads all of the database and has bbolt check its structure.
func (d *database) verify(t *testing.T, when string) {
	t.Helper()
	err := d.View(func(tx *bolt.Tx) error {
		n := int64(0)
		err := tx.Bucket(bucket).ForEach(func(k, v []byte) error {
			if !bytes.Equal(k, key(n)) || !bytes.Equal(v, value(n)) {
				t.Errorf("%s: key %d is not what was written", when, n)
			}
			n++
			return nil
		})
		if n != d.keys.Load() {
			t.Errorf("%s: %d keys, want %d", when, n, d.keys.Load())
		}
		for err := range tx.Check() {
			t.Errorf("%s: consistency check: %v", when, err)
		}
		return err
	})
	if err != nil {
		t.Errorf("%s: %v", when, err)
	}
}

// guard is what profiler.WithGuard asks of an owner: within a read transaction bbolt neither moves
// nor ends its mapping.
func (d *database) guard(critical func()) error {
	return d.View(func(*bolt.Tx) error { critical(); return nil })
}

// extent returns where the database is mapped, and how much of it is in use. The writer calls it.
func (d *database) extent(t *testing.T) (lo, size uintptr) {
	t.Helper()
	err := d.View(func(tx *bolt.Tx) error { size = uintptr(tx.Size()); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return d.Info().Data, size
}
