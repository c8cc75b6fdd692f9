package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/firsttouch/firsttouch"

// pkg is what go list says of a package.
type pkg struct {
	ImportPath   string
	Standard     bool
	Module       *struct{ Path string }
	Imports      []string
	TestImports  []string
	XTestImports []string
	CgoFiles     []string
}

// platforms are those whose imports are checked: the one with an engine, and one without.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"}

// list runs go list for a platform.
func list(t *testing.T, platform string, args ...string) (pkgs []pkg) {
	t.Helper()
	goos, goarch, _ := strings.Cut(platform, "/")
	c := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,Module,Imports,TestImports,XTestImports,CgoFiles"}, args...)...)
	c.Env = append(c.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, &stderr)
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// layer is the place of one of our packages in the order of imports, lowest first:
// uffd, profiler, exporter, agent, cmd. Internal packages, -1, are held by what they may import.
func layer(path string) int {
	dir, _, _ := strings.Cut(strings.TrimPrefix(path, module+"/"), "/")
	return slices.Index([]string{"uffd", "profiler", "exporter", "agent", "cmd"}, dir)
}

// TestImportsPointOneWay: a package imports packages of lower layers and of its own only, through
// the internal packages too.
func TestImportsPointOneWay(t *testing.T) {
	for _, platform := range platforms {
		seen := make([]bool, 5)
		ours := make(map[string]pkg)
		for _, p := range list(t, platform, module+"/...") {
			ours[p.ImportPath] = p
		}
		for path := range ours {
			from := layer(path)
			if from < 0 {
				continue
			}
			seen[from] = true
			for _, dep := range reach(ours, path) {
				if layer(dep) > from {
					t.Errorf("%s: %s imports %s, a layer above it", platform, path, dep)
				}
			}
		}
		if slices.Contains(seen, false) {
			t.Errorf("%s: a layer has no package: %v", platform, seen)
		}
	}
}

// reach lists our packages that one of ours imports, directly or not.
func reach(ours map[string]pkg, from string) (found []string) {
	todo := []string{from}
	for len(todo) > 0 {
		p := ours[todo[0]]
		todo = todo[1:]
		for _, dep := range p.Imports {
			if _, own := ours[dep]; own && !slices.Contains(found, dep) {
				found, todo = append(found, dep), append(todo, dep)
			}
		}
	}
	return found
}

// TestNobodyUsesCgo: a service that links us stays a static binary.
func TestNobodyUsesCgo(t *testing.T) {
	for _, p := range list(t, "linux/amd64", module+"/...") {
		if len(p.CgoFiles) > 0 || slices.Contains(p.Imports, "C") {
			t.Errorf("%s uses cgo: %v", p.ImportPath, p.CgoFiles)
		}
	}
}

// linked are the modules that a service may compile in by importing a package of ours, as they
// stand in their import paths. Each one more is a decision: it is in every binary that links us.
var linked = map[string][]string{
	"uffd/...":     {"golang.org/x/sys"},
	"profiler":     {"golang.org/x/sys"},
	"exporter/...": append(otel, "golang.org/x/sys", "github.com/google/pprof"),
	"agent":        append(otel, "golang.org/x/sys", "github.com/google/pprof"),
}

// otel is the OpenTelemetry API and SDK with what they need; no exporter, and no gRPC.
var otel = []string{
	"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/trace", "go.opentelemetry.io/otel/metric", "go.opentelemetry.io/otel/log", "go.opentelemetry.io/otel/sdk",
	"go.opentelemetry.io/auto/sdk", "github.com/go-logr/logr", "github.com/go-logr/stdr",
	"github.com/google/uuid", "github.com/cespare/xxhash/v2",
}

func TestWhatLinkingCompilesIn(t *testing.T) {
	for _, platform := range platforms {
		for dir, allowed := range linked {
			for _, p := range list(t, platform, "-deps", module+"/"+dir) {
				if p.Standard || p.Module == nil || p.Module.Path == module {
					continue
				}
				if !slices.Contains(allowed, p.Module.Path) {
					t.Errorf("%s: linking %s compiles in %s of module %s", platform, dir, p.ImportPath, p.Module.Path)
				}
			}
		}
	}
}

// TestCoreKnowsNoOpenTelemetry, not even in its tests: who uses the engine alone needs no module
// of it.
func TestCoreKnowsNoOpenTelemetry(t *testing.T) {
	for _, p := range list(t, "linux/amd64", module+"/uffd/...", module+"/profiler/...", module+"/internal/engine/...", module+"/internal/raw/...") {
		for _, dep := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if strings.HasPrefix(dep, "go.opentelemetry.io/") {
				t.Errorf("%s imports %s", p.ImportPath, dep)
			}
		}
	}
}
