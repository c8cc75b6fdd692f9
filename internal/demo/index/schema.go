package index

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// schemaVersion changes with everything that Build writes; an index of another version is built anew.
const schemaVersion = 1

var (
	bucketNames    = []byte("names")
	bucketPostings = []byte("postings")
	bucketFiles    = []byte("files")
	bucketSource   = []byte("source")
	bucketRanking  = []byte("ranking")
	bucketMeta     = []byte("meta")

	keyMeta = []byte("meta")
)

// ErrIncomplete says that a file is not an index that Build of this version finished.
var ErrIncomplete = errors.New("not a finished index")

// ErrNoName says that the tree has no such identifier.
var ErrNoName = errors.New("no such identifier")

// Meta says what an index holds.
type Meta struct {
	Version     int    `json:"version"`
	Source      string `json:"source"` // the tree that was read
	Files       int    `json:"files"`
	Names       int    `json:"names"`
	Occurrences int    `json:"occurrences"`
	SourceBytes int64  `json:"source_bytes"`
}

func putMeta(tx *bolt.Tx, m Meta) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	b, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	return b.Put(keyMeta, text)
}

func getMeta(tx *bolt.Tx) (m Meta, err error) {
	b := tx.Bucket(bucketMeta)
	if b == nil {
		return m, fmt.Errorf("%w: it has no %s bucket", ErrIncomplete, bucketMeta)
	}
	if err := json.Unmarshal(b.Get(keyMeta), &m); err != nil {
		return m, fmt.Errorf("%w: %w", ErrIncomplete, err)
	}
	if m.Version != schemaVersion {
		return m, fmt.Errorf("%w: version %d, not %d", ErrIncomplete, m.Version, schemaVersion)
	}
	return m, nil
}

func number(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// postingPrefix starts the postings of a name. No identifier contains a zero byte, so that no
// name's postings lie among those of another name that it is a prefix of.
func postingPrefix(name string) []byte {
	k := make([]byte, 0, len(name)+5)
	return append(append(k, name...), 0)
}

func postingKey(name string, file uint32) []byte {
	return binary.BigEndian.AppendUint32(postingPrefix(name), file)
}

// fileOf is the file number at the end of a posting's key.
func fileOf(key []byte) uint32 { return binary.BigEndian.Uint32(key[len(key)-4:]) }

const occurrenceSize = 8

func appendOccurrence(v []byte, line, start uint32) []byte {
	v = binary.LittleEndian.AppendUint32(v, line)
	return binary.LittleEndian.AppendUint32(v, start)
}

func occurrenceAt(v []byte, i int) (line, start uint32) {
	v = v[i*occurrenceSize:]
	return binary.LittleEndian.Uint32(v), binary.LittleEndian.Uint32(v[4:])
}

func counts(occurrences, files uint32) []byte {
	v := binary.LittleEndian.AppendUint32(nil, occurrences)
	return binary.LittleEndian.AppendUint32(v, files)
}

func readCounts(v []byte) (occurrences, files int) {
	return int(binary.LittleEndian.Uint32(v)), int(binary.LittleEndian.Uint32(v[4:]))
}
