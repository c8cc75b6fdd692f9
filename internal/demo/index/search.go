package index

import (
	"bytes"
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"
)

// Hit is one occurrence.
type Hit struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Text string `json:"text"` // of the line, without indentation, at most maxText bytes
}

// DirectoryCount is how often an identifier occurs in the files of a directory.
type DirectoryCount struct {
	Directory string `json:"directory"`
	Count     int    `json:"count"`
}

// Occurrences is the answer of Lookup.
type Occurrences struct {
	Name        string           `json:"name"`
	Count       int              `json:"count"`
	Files       int              `json:"files"`
	Directories []DirectoryCount `json:"directories"` // those with the most, at most maxDirectories
	Hits        []Hit            `json:"hits"`        // the first ones, by file and line
}

const (
	maxDirectories = 5   // how many directories an answer lists
	maxText        = 200 // generated files have lines of many thousand bytes
)

// Lookup finds an identifier: how often and where it occurs, and its first limit occurrences with
// their lines. It reads all of the identifier's postings. ErrNoName where it does not occur.
func (ix *Index) Lookup(name string, limit int) (Occurrences, error) {
	o := Occurrences{Name: name, Hits: []Hit{}}
	err := ix.db.View(func(tx *bolt.Tx) error {
		v := tx.Bucket(bucketNames).Get([]byte(name))
		if v == nil {
			return fmt.Errorf("%w: %q", ErrNoName, name)
		}
		o.Count, o.Files = readCounts(v)
		directories := make(map[string]int)
		eachPosting(tx, name, func(file uint32, occurrences []byte) {
			n := len(occurrences) / occurrenceSize
			p := string(tx.Bucket(bucketFiles).Get(number(file)))
			directories[path.Dir(p)] += n
			for i := 0; i < n && len(o.Hits) < limit; i++ {
				line, start := occurrenceAt(occurrences, i)
				o.Hits = append(o.Hits, Hit{File: p, Line: int(line), Text: lineAt(tx, file, start)})
			}
		})
		o.Directories = mostFrequent(directories)
		return nil
	})
	return o, err
}

// eachPosting walks the files in which a name occurs. What it hands on lives in the mapping.
func eachPosting(tx *bolt.Tx, name string, yield func(file uint32, occurrences []byte)) {
	prefix := postingPrefix(name)
	c := tx.Bucket(bucketPostings).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		yield(fileOf(k), v)
	}
}

// lineAt copies one line of a file: of a large text, only the pages that hold it are touched.
func lineAt(tx *bolt.Tx, file, start uint32) string {
	text := tx.Bucket(bucketSource).Get(number(file))[start:]
	text = text[:min(len(text), 2*maxText)]
	if end := bytes.IndexByte(text, '\n'); end >= 0 {
		text = text[:end]
	}
	text = bytes.TrimSpace(text)
	// Not in the middle of a character.
	return strings.ToValidUTF8(string(text[:min(len(text), maxText)]), "")
}

func mostFrequent(counts map[string]int) []DirectoryCount {
	list := make([]DirectoryCount, 0, len(counts))
	for d, n := range counts {
		list = append(list, DirectoryCount{d, n})
	}
	slices.SortFunc(list, func(a, b DirectoryCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Directory, b.Directory))
	})
	return list[:min(len(list), maxDirectories)]
}
