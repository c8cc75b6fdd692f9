package index_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/demo/index"
)

func listTree(t *testing.T, dir string) index.Tree {
	t.Helper()
	tree, err := index.ListTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestEnsureBuildsOnce(t *testing.T) {
	dir, cache := writeTree(t, small), filepath.Join(t.TempDir(), "new", "cache")
	ctx := context.Background()
	path, built, err := index.Ensure(ctx, listTree(t, dir), cache, nil)
	if err != nil || !built {
		t.Fatalf("first: built %v, %v", built, err)
	}
	again, built, err := index.Ensure(ctx, listTree(t, dir), cache, nil)
	if err != nil || built || again != path {
		t.Fatalf("second: %s built %v, %v, want %s not built", again, built, err, path)
	}
	if got := entries(t, cache); len(got) != 1 {
		t.Errorf("the cache holds %v, want the index alone", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "d.go"), []byte("package d"), 0o644); err != nil {
		t.Fatal(err)
	}
	changed, built, err := index.Ensure(ctx, listTree(t, dir), cache, nil)
	if err != nil || !built || changed == path {
		t.Errorf("after a change: %s built %v, %v, want another index", changed, built, err)
	}
}

func TestEnsureReplacesAHalfFile(t *testing.T) {
	tree, cache := listTree(t, writeTree(t, small)), t.TempDir()
	path, _, err := index.Ensure(context.Background(), tree, cache, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	if _, built, err := index.Ensure(context.Background(), tree, cache, nil); err != nil || !built {
		t.Errorf("built %v, %v, want it built again", built, err)
	}
}

func TestInterruptedBuildLeavesNothing(t *testing.T) {
	for _, stage := range []string{"reading", "writing"} {
		t.Run(stage, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			cache := t.TempDir()
			_, _, err := index.Ensure(ctx, listTree(t, writeTree(t, small)), cache, func(now string, _, _ int64) {
				if strings.HasPrefix(now, stage) {
					cancel()
				}
			})
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v, want context.Canceled", err)
			}
			if left := entries(t, cache); len(left) != 0 {
				t.Errorf("left %v", left)
			}
		})
	}
}

// A process that is killed in the middle leaves a directory: no index, and gone an hour later.
func TestEnsureSweepsKilledBuilds(t *testing.T) {
	cache := t.TempDir()
	for name, age := range map[string]time.Duration{"building-old": 2 * time.Hour, "building-now": 0, "other": 2 * time.Hour} {
		path := filepath.Join(cache, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-age)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := index.Ensure(context.Background(), listTree(t, writeTree(t, small)), cache, nil); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(entries(t, cache), " ")
	if strings.Contains(got, "building-old") || !strings.Contains(got, "building-now") || !strings.Contains(got, "other") {
		t.Errorf("left %s", got)
	}
}

func TestErrorsSayWhat(t *testing.T) {
	tree := listTree(t, writeTree(t, small))
	t.Run("cache is a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		_, _, err := index.Ensure(context.Background(), tree, file, nil)
		if err == nil || !strings.Contains(err.Error(), "-cache") {
			t.Errorf("got %v, want advice to use -cache", err)
		}
	})
	t.Run("no source", func(t *testing.T) {
		if _, err := index.ListTree(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want ErrNotExist", err)
		}
		if _, err := index.ListTree(t.TempDir()); err == nil || !strings.Contains(err.Error(), "no .go file") {
			t.Errorf("empty tree: %v", err)
		}
	})
	t.Run("file vanishes", func(t *testing.T) {
		dir := writeTree(t, small)
		gone := listTree(t, dir)
		if err := os.RemoveAll(filepath.Join(dir, "b")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := index.Ensure(context.Background(), gone, t.TempDir(), nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want ErrNotExist", err)
		}
	})
	t.Run("path is taken", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "there")
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := index.Build(context.Background(), tree, path, nil); err == nil || !strings.Contains(err.Error(), "exists") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("not an index", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "other.db")
		if err := os.WriteFile(path, make([]byte, 16384), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := index.Open(path); err == nil {
			t.Error("a file of zeros opened")
		}
	})
}
