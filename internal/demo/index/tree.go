package index

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Tree is a list of the Go files of a directory, in lexical order.
type Tree struct {
	Root  string // absolute, without symbolic links
	Files []File
	Bytes int64 // size of all files

	fingerprint string
}

// File is a Go file of a tree.
type File struct {
	Path string // below Root, with slashes
	Size int64  // bytes
}

// ListTree finds the Go files below dir. It reads none of them.
func ListTree(dir string) (Tree, error) {
	root, err := filepath.Abs(dir)
	if err == nil {
		// Distributions make GOROOT/src a symbolic link, which a walk would not enter.
		root, err = filepath.EvalSymlinks(root)
	}
	if err != nil {
		return Tree{}, fmt.Errorf("source tree: %w", err)
	}
	t := Tree{Root: root}
	sum := fnv.New64a()
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.Type().IsRegular() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f := File{Path: filepath.ToSlash(below), Size: info.Size()}
		t.Files = append(t.Files, f)
		t.Bytes += f.Size
		fmt.Fprintln(sum, f.Path, f.Size, info.ModTime().UnixNano())
		return nil
	})
	if err != nil {
		return Tree{}, fmt.Errorf("source tree: %w", err)
	}
	if len(t.Files) == 0 {
		return Tree{}, fmt.Errorf("source tree: no .go file below %s: name a directory with Go source", root)
	}
	t.fingerprint = hex.EncodeToString(sum.Sum(nil))
	return t, nil
}

// Key names the tree and its state: the Go version where the tree has one, and a fingerprint of
// names, sizes and modification times. An index of it never has to be checked against the files.
func (t Tree) Key() string {
	version := "tree"
	// A Go distribution has the file VERSION next to src; its first line is the version.
	if text, err := os.ReadFile(filepath.Join(filepath.Dir(t.Root), "VERSION")); err == nil {
		first, _, _ := strings.Cut(string(text), "\n")
		if v := strings.Fields(first); len(v) > 0 && strings.HasPrefix(v[0], "go") {
			version = strings.Map(safe, v[0])
		}
	}
	return version + "-" + t.fingerprint
}

// safe keeps what may stand in a file name everywhere.
func safe(r rune) rune {
	if r == '.' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return r
	}
	return '_'
}
