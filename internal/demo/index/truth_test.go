package index_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"testing"
)

type place struct {
	file string
	line int
}

// truth collects the identifiers of a tree in another way: from the parser's syntax trees.
func truth(t *testing.T, dir string) map[string][]place {
	t.Helper()
	found := make(map[string][]place)
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	slices.Sort(files)
	for _, file := range files {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		below, err := filepath.Rel(dir, file)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && id.Name != "." { // the name of a dot import
				found[id.Name] = append(found[id.Name], place{filepath.ToSlash(below), fset.PositionFor(id.Pos(), false).Line})
			}
			return true
		})
	}
	return found
}

// The index of this directory's siblings holds every identifier of them, at its places, and no other.
func TestIndexEqualsSyntaxTrees(t *testing.T) {
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	want := truth(t, dir)
	ix := openTree(t, dir)
	names, err := ix.Ranking()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	top, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	if len(top) == 0 && !slices.Equal(names, slices.Sorted(maps.Keys(want))) {
		t.Errorf("the index has %d identifiers, the syntax trees have %d", len(names), len(want))
	}
	for name, places := range want {
		o, err := ix.Lookup(name, 1<<20)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []place
		for _, h := range o.Hits {
			if filepath.Dir(h.File) != "." {
				got = append(got, place{h.File, h.Line})
			}
		}
		// The parser reports a declaration's parts in the order of its tree, not of the text.
		order := func(a, b place) int {
			if a.file != b.file {
				if a.file < b.file {
					return -1
				}
				return 1
			}
			return a.line - b.line
		}
		slices.SortFunc(places, order)
		if !slices.Equal(got, places) {
			t.Errorf("%s: got %v, want %v", name, got, places)
		}
	}
}
