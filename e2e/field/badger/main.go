//go:build field

// Command badger reads and compacts a database of Badger.
package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/firsttouch/firsttouch/e2e/field/service"
)

func main() { service.Main(service.Service{Prepare: prepare, Open: open}) }

const keys = 40000

type database struct{ *badger.DB }

func at(dir string) (*database, error) {
	o := badger.DefaultOptions(dir).WithLoggingLevel(badger.ERROR).WithNumCompactors(0).WithNumLevelZeroTables(100).WithNumLevelZeroTablesStall(200).WithBaseTableSize(1 << 20).
		WithMemTableSize(2 << 20).WithValueLogFileSize(4 << 20).WithCompactL0OnClose(false).WithValueThreshold(4096).WithBlockCacheSize(0).WithCompression(0)
	db, err := badger.Open(o)
	return &database{db}, err
}

func key(i int) []byte { return fmt.Appendf(nil, "key %06d", i) }

func (d *database) fill(prefix string, n int) error {
	b := d.NewWriteBatch()
	for i := range n {
		if err := b.Set(append([]byte(prefix), key(i)...), []byte(strings.Repeat(fmt.Sprint("value ", i, " "), 16))); err != nil {
			return err
		}
	}
	return b.Flush()
}

func prepare(dir string) error {
	d, err := at(dir)
	if err != nil {
		return err
	}
	if err := d.fill("", keys); err != nil {
		return err
	}
	if err := d.Flatten(1); err != nil {
		return err
	}
	return d.Close()
}

func open(dir string) (service.Instance, error) { return at(dir) }

func (d *database) Query(w io.Writer) error {
	r := rand.New(rand.NewPCG(9, 10))
	return d.View(func(t *badger.Txn) error {
		for range 300 {
			i, err := t.Get(key(r.IntN(keys)))
			if err != nil {
				return err
			}
			if err := i.Value(func(v []byte) error { _, err := fmt.Fprintf(w, "%s\n", v); return err }); err != nil {
				return err
			}
		}
		return nil
	})
}

// Change writes all keys again, and others, and compacts.
func (d *database) Change() error {
	if err := d.fill("", keys); err != nil {
		return err
	}
	return d.Flatten(1)
}
