package index_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/firsttouch/firsttouch/internal/demo/index"
)

// writeTree makes a directory of files.
func writeTree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// openTree builds the index of a directory and opens it.
func openTree(t *testing.T, dir string) *index.Index {
	t.Helper()
	ix, _ := openTreeAt(t, dir)
	return ix
}

// openTreeAt is openTree, and where the index is.
func openTreeAt(t *testing.T, dir string) (ix *index.Index, path string) {
	t.Helper()
	tree, err := index.ListTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "index.db")
	if err := index.Build(context.Background(), tree, path, nil); err != nil {
		t.Fatal(err)
	}
	ix, err = index.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ix.Close() })
	return ix, path
}

var small = map[string]string{
	"a/a.go": "package a\n\n// total is in a comment\nvar total = sum(1) // and a string: \"total\"\n\tfunc sum(n int) int { return n + total + total }\n",
	"b/b.go": "package b\r\n\r\n//line other.go:99\r\nvar größe, total int\r\n",
	// Broken on purpose: the scanner goes on after it.
	"b/broken.go": "package b\n\nvar # = sum\nvar totals = total\n",
	"notes.txt":   "total total total",
	"c/empty.go":  "",
}

func TestLookup(t *testing.T) {
	ix := openTree(t, writeTree(t, small))
	tests := []struct {
		name  string
		limit int
		want  index.Occurrences
	}{
		{"total", 4, index.Occurrences{
			Name: "total", Count: 5, Files: 3,
			Directories: []index.DirectoryCount{{Directory: "a", Count: 3}, {Directory: "b", Count: 2}},
			Hits: []index.Hit{
				{File: "a/a.go", Line: 4, Text: `var total = sum(1) // and a string: "total"`},
				{File: "a/a.go", Line: 5, Text: "func sum(n int) int { return n + total + total }"},
				{File: "a/a.go", Line: 5, Text: "func sum(n int) int { return n + total + total }"},
				{File: "b/b.go", Line: 4, Text: "var größe, total int"},
			},
		}},
		{"größe", 10, index.Occurrences{
			Name: "größe", Count: 1, Files: 1,
			Directories: []index.DirectoryCount{{Directory: "b", Count: 1}},
			Hits:        []index.Hit{{File: "b/b.go", Line: 4, Text: "var größe, total int"}},
		}},
		{"totals", 0, index.Occurrences{
			Name: "totals", Count: 1, Files: 1,
			Directories: []index.DirectoryCount{{Directory: "b", Count: 1}},
			Hits:        []index.Hit{},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ix.Lookup(tt.name, tt.limit)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
	// A prefix of an identifier is not that identifier, and words of comments are none.
	for _, name := range []string{"tota", "comment", ""} {
		if _, err := ix.Lookup(name, 1); !errors.Is(err, index.ErrNoName) {
			t.Errorf("Lookup(%q): %v, want ErrNoName", name, err)
		}
	}
}

func TestPrefix(t *testing.T) {
	ix := openTree(t, writeTree(t, small))
	got, err := ix.Prefix("total", 10)
	want := []index.NameCount{{Name: "total", Count: 5, Files: 3}, {Name: "totals", Count: 1, Files: 1}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if got, err := ix.Prefix("total", 1); err != nil || len(got) != 1 {
		t.Errorf("limit 1: got %v, %v", got, err)
	}
	if got, err := ix.Prefix("zz", 10); err != nil || got == nil || len(got) != 0 {
		t.Errorf("no match: got %v, %v, want an empty list", got, err)
	}
}

func TestTogether(t *testing.T) {
	ix := openTree(t, writeTree(t, small))
	got, err := ix.Together("total", "sum", 1)
	want := index.Common{A: "total", B: "sum", Count: 2, Files: []string{"a/a.go"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if _, err := ix.Together("total", "absent", 1); !errors.Is(err, index.ErrNoName) {
		t.Errorf("absent name: %v, want ErrNoName", err)
	}
}

func TestRanking(t *testing.T) {
	ix := openTree(t, writeTree(t, small))
	got, err := ix.Ranking()
	if err != nil {
		t.Fatal(err)
	}
	// By count, then by name: total 5, int and sum 3, b and n 2, the rest 1.
	want := []string{"total", "int", "sum", "b", "n", "a", "größe", "totals"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
