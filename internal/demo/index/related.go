package index

import (
	"bytes"
	"fmt"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// NameCount is how often an identifier occurs.
type NameCount struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
	Files int    `json:"files"`
}

// Prefix lists the first limit identifiers, in order, that start with prefix.
func (ix *Index) Prefix(prefix string, limit int) ([]NameCount, error) {
	names := []NameCount{}
	err := ix.db.View(func(tx *bolt.Tx) error {
		p := []byte(prefix)
		c := tx.Bucket(bucketNames).Cursor()
		for k, v := c.Seek(p); bytes.HasPrefix(k, p) && len(names) < limit; k, v = c.Next() {
			n, files := readCounts(v)
			names = append(names, NameCount{string(k), n, files})
		}
		return nil
	})
	return names, err
}

// Common is the answer of Together.
type Common struct {
	A     string   `json:"a"`
	B     string   `json:"b"`
	Count int      `json:"count"` // files that contain both
	Files []string `json:"files"` // the first ones
}

// Together finds the files that contain both identifiers, and names the first limit of them. The
// two lists are read by two goroutines. ErrNoName where one of them does not occur.
func (ix *Index) Together(a, b string, limit int) (Common, error) {
	found := Common{A: a, B: b, Files: []string{}}
	var lists [2][]uint32
	var errs [2]error
	var wg sync.WaitGroup
	for i, name := range []string{a, b} {
		wg.Go(func() { lists[i], errs[i] = ix.filesOf(name) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return found, err
		}
	}
	both := intersect(lists[0], lists[1])
	found.Count = len(both)
	err := ix.db.View(func(tx *bolt.Tx) error {
		for _, file := range both[:min(len(both), limit)] {
			found.Files = append(found.Files, string(tx.Bucket(bucketFiles).Get(number(file))))
		}
		return nil
	})
	return found, err
}

func (ix *Index) filesOf(name string) (files []uint32, err error) {
	err = ix.db.View(func(tx *bolt.Tx) error {
		eachPosting(tx, name, func(file uint32, _ []byte) { files = append(files, file) })
		if files == nil {
			return fmt.Errorf("%w: %q", ErrNoName, name)
		}
		return nil
	})
	return files, err
}

// intersect merges two ascending lists.
func intersect(a, b []uint32) (both []uint32) {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case a[0] > b[0]:
			b = b[1:]
		default:
			both = append(both, a[0])
			a, b = a[1:], b[1:]
		}
	}
	return both
}
