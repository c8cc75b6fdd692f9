package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// assumptions is docs/go-runtime.md.
const assumptions = root + "/docs/go-runtime.md"

var (
	inFile     = regexp.MustCompile("`([A-Za-z_0-9]+)` (?:and `([A-Za-z_0-9]+)` )?in `([A-Za-z_0-9/]+\\.go)`")
	goFile     = regexp.MustCompile("`([A-Za-z_0-9/]+\\.go)`")
	ofCase     = regexp.MustCompile(`case "([^"]+)"`)
	quotedText = regexp.MustCompile(`"([^"]+)"`)
)

// TestAssumptionsAreHeld: each assumption on the Go runtime names what checks it, what the user is told, and the test that
// simulates a failure; and all of these exist.
func TestAssumptionsAreHeld(t *testing.T) {
	text, err := os.ReadFile(assumptions)
	if err != nil {
		t.Fatal(err)
	}
	product := productText(t)
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(line, "|\n "), " | ")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| assumption") {
			continue
		}
		rows++
		if len(cells) != 4 {
			t.Errorf("%d cells, want 4: %s", len(cells), line)
			continue
		}
		checks, lost, tests := cells[1], cells[2], cells[3]
		if inFile.FindString(checks) == "" && !strings.HasPrefix(checks, "nothing: ") && !strings.HasPrefix(checks, "the linker ") {
			t.Errorf("what checks it? %s", cells[0])
		}
		for _, m := range quotedText.FindAllStringSubmatch(lost, -1) {
			if !strings.Contains(product, m[1]) {
				t.Errorf("no source prints %q, which a user is said to get: %s", m[1], cells[0])
			}
		}
		named := inFile.FindAllStringSubmatch(tests, -1)
		if len(named) == 0 {
			t.Errorf("which test simulates it? %s", cells[0])
		}
		for _, m := range named {
			if !strings.HasPrefix(m[1], "Test") || !strings.HasSuffix(m[3], "_test.go") {
				t.Errorf("%s in %s is no test: %s", m[1], m[3], cells[0])
			}
		}
		for _, m := range ofCase.FindAllStringSubmatch(tests, -1) {
			if source, err := os.ReadFile(filepath.Join(root, named[0][3])); err == nil && !bytes.Contains(source, []byte(`"`+m[1]+`"`)) {
				t.Errorf("%s has no case %q: %s", named[0][3], m[1], cells[0])
			}
		}
	}
	if rows < 15 {
		t.Errorf("only %d assumptions were found", rows)
	}
	for _, m := range inFile.FindAllStringSubmatch(string(text), -1) {
		have := functionsOf(t, m[3])
		for _, name := range m[1:3] {
			if name != "" && !have[name] {
				t.Errorf("there is no function %s in %s", name, m[3])
			}
		}
	}
	for _, m := range goFile.FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
			t.Error(err)
		}
	}
}

// functionsOf lists the functions and methods of a file.
func functionsOf(t *testing.T, path string) map[string]bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return nil
	}
	have := make(map[string]bool)
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			have[f.Name.Name] = true
		}
	}
	return have
}

// productText is the source of all that is no test.
func productText(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	sources(t, func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	})
	return all.String()
}

// theirs is how assembly names a symbol of another package, "runtime·x" or "internal∕cpu·x", and what a directive pulls.
var theirs = regexp.MustCompile(`[A-Za-z0-9_∕./]+·[A-Za-z0-9_]+|(?m)^//go:linkname .*`)

// offered are those that the runtime's source keeps for others, "do not remove or change the type signature"
// (go.dev/issue/67401).
var offered = map[string]bool{
	"//go:linkname Monotonic runtime.nanotime":          true,
	"//go:linkname overrideWrite runtime.overrideWrite": true,
}

// TestAssemblyNamesNothingOfTheRuntime: since Go 1.27 the linker refuses nearly all of its symbols, and later perhaps the rest.
func TestAssemblyNamesNothingOfTheRuntime(t *testing.T) {
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".s" && filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Ext(path) == ".s" {
			files++
		}
		for _, m := range theirs.FindAllString(string(source), -1) {
			if offered[m] {
				continue
			}
			t.Errorf("%s: %s: find it in the function table, by package internal/pclntab", path, m)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 6 {
		t.Errorf("only %d files of assembly were found", files)
	}
}

var (
	goLine    = regexp.MustCompile(`(?m)^go (1\.[0-9]+)\.`)
	goTested  = regexp.MustCompile(`(?m)^GO_SUPPORTED=\(go(1\.[0-9]+)\.[0-9]+ go(1\.[0-9]+)\.[0-9]+\)$`)
	goInWords = regexp.MustCompile(`Go (1\.[0-9]+) and (?:Go )?(1\.[0-9]+)`)
)

// TestSupportedReleases: .ci/run tests the two releases of Go that README and docs/go-runtime.md name, and go.mod has the
// older one.
func TestSupportedReleases(t *testing.T) {
	found := func(pattern *regexp.Regexp, path string) []string {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		m := pattern.FindStringSubmatch(string(text))
		if m == nil {
			t.Fatalf("%s does not name the releases of Go", path)
		}
		return m[1:]
	}
	tested := found(goTested, ".ci/versions")
	if older := found(goLine, "go.mod"); older[0] != tested[0] {
		t.Errorf("go.mod has Go %s, and %s is the older one that is tested", older[0], tested[0])
	}
	for _, path := range []string{"README.md", "docs/go-runtime.md"} {
		if named := found(goInWords, path); !slices.Equal(named, tested) {
			t.Errorf("%s names Go %v, and %v are tested", path, named, tested)
		}
	}
}
