package archtest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// sources calls f for every Go file of the module, not those of nested modules, by its path.
func sources(t *testing.T, f func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || nested(path)) {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(path, ".go") {
			f(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// nested reports whether a directory is a module of its own.
func nested(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// risky are the names that a file with unsafe may have: the reader of a listing sees where the
// type system does not help.
var risky = regexp.MustCompile(`(_unsafe|_linux|_linux_amd64|_linux_arm64|_amd64|_arm64|_test)\.go$`)

func TestUnsafeIsInTheFileName(t *testing.T) {
	files := 0
	sources(t, func(path string) {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range file.Imports {
			if imp.Path.Value == `"unsafe"` {
				files++
				if !risky.MatchString(path) {
					t.Errorf("%s imports unsafe: end its name in _unsafe.go, _linux.go or an architecture", path)
				}
			}
		}
	})
	if files == 0 {
		t.Error("no file with unsafe was found, so nothing was tested")
	}
}

// vague are package names that say nothing of what is inside.
var vague = map[string]bool{"util": true, "utils": true, "common": true, "manager": true, "helper": true, "helpers": true, "misc": true}

// TestPackageNames also wants a comment on what each package is.
func TestPackageNames(t *testing.T) {
	documented := make(map[string]bool)
	sources(t, func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if vague[file.Name.Name] {
			t.Errorf("%s: package %s: name it for what it does", path, file.Name.Name)
		}
		dir := filepath.Dir(path)
		documented[dir] = documented[dir] || file.Doc != nil
	})
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}
