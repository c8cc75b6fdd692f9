package main

import (
	"fmt"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

var bucket = []byte("example")

// keys are as many as fill some megabytes.
const keys = 20_000

// openDatabase opens the database, and fills one that is new.
func openDatabase(path string) (*bbolt.DB, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucket) != nil {
			return nil
		}
		b, err := tx.CreateBucket(bucket)
		if err != nil {
			return err
		}
		for i := range keys {
			key := fmt.Sprintf("key-%06d", i)
			if err := b.Put([]byte(key), []byte(strings.Repeat(key+" ", 20))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("fill %s: %w", path, err)
	}
	return db, nil
}
