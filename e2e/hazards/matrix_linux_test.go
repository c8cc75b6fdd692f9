//go:build linux && (amd64 || arm64)

package hazards

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

var (
	run    = flag.Bool("matrix", false, "run the hazard matrix")
	update = flag.Bool("update", false, "write docs/hazards.md, with what -matrix saw")
)

const root = "../.."

// budget bounds a hang. The row of all system calls is a test of more than thirty cases, one after the other.
const budget = 6 * time.Minute

// TestMatrix runs every hazard under every delivery and GOMAXPROCS, each in a process of its own.
func TestMatrix(t *testing.T) {
	pg := readPage(t)
	if *run {
		bin := build(t)
		for _, d := range deliveries {
			t.Run(d.name, func(t *testing.T) {
				for _, n := range processors {
					t.Run(fmt.Sprintf("GOMAXPROCS=%d", n), func(t *testing.T) {
						for _, h := range hazards {
							t.Run(h.name, func(t *testing.T) {
								began := time.Now()
								if h.threadOnly() != "" && d.name != "thread" {
									return
								}
								v := h.run(t, bin[h.pkg], append([]string{fmt.Sprintf("GOMAXPROCS=%d", n)}, d.env...))
								pg.set(d.name, h.name, n, v)
								if *update {
									pg.write(t) // a matrix that is stopped half way leaves what it saw
								}
								fmt.Printf("%s, %s, GOMAXPROCS=%d: %s (%.1f s)\n", h.name, d.name, n, v.result, time.Since(began).Seconds())
								if v.result == failed || v.result == hung {
									t.Errorf("%s:\n%s", v.result, v.out)
								}
							})
						}
					})
				}
			})
		}
	}
	text := pg.render()
	if *update {
		pg.write(t)
	} else if old, err := os.ReadFile(pagePath); err != nil || !*run && string(old) != text {
		t.Errorf("docs/hazards.md is not what the table of hazards makes of it (%v): see doc.go", err)
	}
	for _, bad := range []string{failed, hung} {
		if n := strings.Count(text, "| "+bad+" "); n > 0 {
			t.Logf("docs/hazards.md has %d cells %q", n, bad)
		}
	}
}

// What became of a cell.
const (
	expected = "as expected"
	skipped  = "not possible here"
	failed   = "FAILED"
	hung     = "HUNG"
	unseen   = "not run"
)

// verdict is a cell.
type verdict struct{ result, seen, out string }

var saw = regexp.MustCompile(`(?m)seen: (.*)$`)

// run runs the test of a hazard in a process of its own.
func (h hazard) run(t *testing.T, binary string, env []string) verdict {
	if h.kase != "" {
		env = append(env, "FIRSTTOUCH_TEST_CASE="+h.kase)
	}
	env = append(env, "GOGC=1")
	r := testproc.Do(t, h.test, env, budget, testproc.WithBinary(binary, filepath.Join(root, h.pkg)))
	v := verdict{out: r.Out}
	if m := saw.FindStringSubmatch(r.Out); m != nil {
		v.seen = strings.TrimSpace(m[1])
	}
	switch skips := r.Skips(); {
	case r.TimedOut:
		v.result = hung
	case r.Err != nil:
		v.result = failed
	case len(skips) > 0: // of a part too: what the cell says holds for all of it
		v.result, v.seen = skipped, strings.Join(slices.Compact(skips), "; ")
	case !strings.Contains(r.Out, "--- PASS: "+h.test+" "), h.kase != "" && !strings.Contains(r.Out, testproc.CaseMark(h.kase)+"\n"):
		v.result = failed // it did not run
	default:
		v.result = expected
	}
	return v
}

// build compiles the tests of the packages.
func build(t *testing.T) map[string]string {
	t.Helper()
	dir := testproc.PublicDir(t)
	bin := map[string]string{}
	for _, h := range hazards {
		if bin[h.pkg] != "" {
			continue
		}
		path := filepath.Join(dir, strings.ReplaceAll(h.pkg, "/", "-")+".test")
		if h.pkg == "e2e/hazards" {
			path = os.Args[0]
		} else if out, err := exec.Command("go", "test", "-c", "-o", path, filepath.Join(root, h.pkg)).CombinedOutput(); err != nil {
			t.Fatalf("compile the tests of %s: %v\n%s", h.pkg, err, out)
		}
		bin[h.pkg] = path
	}
	return bin
}

// TestHazardsNameTheirTests: each row has a test, with the case that it names.
func TestHazardsNameTheirTests(t *testing.T) {
	names := map[string]bool{}
	sources := map[string]string{}
	for _, h := range hazards {
		if names[h.name] || strings.Contains(h.name, "|") {
			t.Errorf("%q is there twice, or cannot stand in a table", h.name)
		}
		names[h.name] = true
		if sources[h.pkg] == "" {
			sources[h.pkg] = tests(t, h.pkg)
		}
		if !strings.Contains(sources[h.pkg], "func "+h.test+"\n") {
			t.Errorf("%s: no test %s in %s", h.name, h.test, h.pkg)
		}
		kase, _, _ := strings.Cut(h.kase, "/")
		if kase != "" && !strings.Contains(sources[h.pkg], `"`+kase) {
			t.Errorf("%s: no case %q in %s", h.name, h.kase, h.pkg)
		}
	}
}

// TestThreadOnlyNamesHazards: nothing is left out that there is not.
func TestThreadOnlyNamesHazards(t *testing.T) {
	for name := range threadOnly {
		if !slices.ContainsFunc(hazards, func(h hazard) bool { return h.name == name }) {
			t.Errorf("no hazard %q", name)
		}
	}
}

// tests lists the functions of a package's tests, and its string literals.
func tests(t *testing.T, pkg string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, path := range files {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				fmt.Fprintf(&b, "func %s\n", n.Name.Name)
			case *ast.BasicLit:
				fmt.Fprintln(&b, n.Value)
			}
			return true
		})
	}
	return b.String()
}
