package archtest

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// withoutG are the packages whose nosplit functions run on threads without a g, and on stacks that cannot grow.
var withoutG = []string{"internal/procmaps", "internal/raw", "internal/spantab", "internal/stacktab", "internal/engine"}

// nosplit code may call these of other packages: the compiler puts instructions in their place.
var intrinsics = map[string]bool{"math/bits": true, "sync/atomic": true}

// TestNosplitCallsNothingThatGrows: a nosplit function of the engine calls nosplit functions only, by name, by value
// or by deep, and each tells the race detector, and checkptr where it makes pointers, to leave it alone. What the linker checks is how
// deep such a chain is; that a function is left out of the chain altogether, since it may grow its stack, it allows.
func TestNosplitCallsNothingThatGrows(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("the engine is not built here")
	}
	fset := token.NewFileSet()
	loaded := &loader{fset: fset, packages: map[string]*types.Package{}, nosplit: map[types.Object]bool{}, info: types.Info{
		Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}, Types: map[ast.Expr]types.TypeAndValue{},
	}}
	var files []*ast.File
	for _, dir := range withoutG {
		files = append(files, loaded.load(t, dir)...)
	}
	functions, calls := 0, 0
	for _, file := range files {
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Body == nil || !has(f.Doc, "nosplit") {
				continue
			}
			functions++
			if !has(f.Doc, "norace") {
				t.Errorf("%s: %s is nosplit and not norace", fset.Position(f.Pos()), f.Name.Name)
			}
			if !has(f.Doc, "nocheckptr") && converts(f.Body) {
				t.Errorf("%s: %s is nosplit, makes pointers and is not nocheckptr", fset.Position(f.Pos()), f.Name.Name)
			}
			ast.Inspect(f.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncLit, *ast.GoStmt, *ast.DeferStmt:
					t.Errorf("%s: %s makes a function, a goroutine or a deferred call", fset.Position(n.Pos()), f.Name.Name)
				case *ast.CallExpr:
					calls++
					if why := loaded.mayGrow(n); why != "" {
						t.Errorf("%s: %s is nosplit, and %s", fset.Position(n.Pos()), f.Name.Name, why)
					}
				}
				return true
			})
		}
	}
	if functions < 300 || calls < 1000 {
		t.Errorf("%d functions and %d calls were looked at: the test does not see the engine", functions, calls)
	}
}

// loader type-checks our packages. Of all others it knows the name alone, which is enough: nothing of theirs may be called.
type loader struct {
	fset     *token.FileSet
	info     types.Info
	packages map[string]*types.Package
	nosplit  map[types.Object]bool
}

func (l *loader) Import(path string) (*types.Package, error) {
	if p := l.packages[path]; p != nil {
		return p, nil
	}
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	p := types.NewPackage(path, path[strings.LastIndex(path, "/")+1:])
	p.MarkComplete()
	l.packages[path] = p
	return p, nil
}

func (l *loader) load(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	list, err := build.ImportDir(filepath.Join(root, dir), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range list.GoFiles {
		f, err := parser.ParseFile(l.fset, filepath.Join(root, dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	config := types.Config{Importer: l, Error: func(error) {}, Sizes: types.SizesFor("gc", runtime.GOARCH)}
	p, _ := config.Check(module+"/"+dir, l.fset, files, &l.info) // fails: of other packages nothing is known
	l.packages[module+"/"+dir] = p
	for _, file := range files {
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				o := l.info.Defs[f.Name]
				l.nosplit[o] = f.Body == nil || has(f.Doc, "nosplit") // assembly has NOSPLIT, see the linker
			}
		}
	}
	return files
}

// mayGrow says why a call is not one that nosplit code may make, or "".
func (l *loader) mayGrow(call *ast.CallExpr) string {
	for _, arg := range call.Args { // a function that is passed is called there
		if o := l.object(arg); o != nil {
			if f, ok := o.(*types.Func); ok && !l.nosplit[o] {
				return fmt.Sprintf("passes %s, which is not", f.Name())
			}
		}
	}
	fun := ast.Unparen(call.Fun)
	if l.info.Types[fun].IsType() {
		return ""
	}
	switch o := l.object(fun).(type) {
	case *types.Builtin:
		if slices.Contains([]string{"append", "make", "new", "panic", "print", "println", "recover", "delete"}, o.Name()) {
			return "calls " + o.Name()
		}
		return ""
	case *types.Func:
		if l.nosplit[o] {
			return ""
		}
		return fmt.Sprintf("calls %s, which is not", o.FullName())
	case *types.TypeName:
		return ""
	case *types.Var: // a parameter: whoever passes it is looked at
		return ""
	}
	if s, ok := fun.(*ast.SelectorExpr); ok {
		if x, ok := s.X.(*ast.Ident); ok {
			if p, ok := l.info.Uses[x].(*types.PkgName); ok {
				if intrinsics[p.Imported().Path()] || foreignTypes[p.Imported().Path()+"."+s.Sel.Name] {
					return ""
				}
				return fmt.Sprintf("calls %s.%s", p.Imported().Path(), s.Sel.Name)
			}
		}
	}
	return fmt.Sprintf("calls what is not known here: %s", types.ExprString(fun))
}

// foreignTypes are types of other packages, to which nosplit code converts.
var foreignTypes = map[string]bool{"golang.org/x/sys/unix.Errno": true}

// object is what an expression names, if it is a name, with or without type arguments.
func (l *loader) object(e ast.Expr) types.Object {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return l.info.Uses[e]
	case *ast.SelectorExpr:
		return l.info.Uses[e.Sel]
	case *ast.IndexExpr:
		return l.object(e.X)
	case *ast.IndexListExpr:
		return l.object(e.X)
	}
	return nil
}

// converts reports whether code makes unsafe pointers, which checkptr checks.
func converts(body *ast.BlockStmt) (found bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Pointer" {
			x, ok := s.X.(*ast.Ident)
			found = found || ok && x.Name == "unsafe"
		}
		return true
	})
	return found
}

// has reports whether a function has a directive of the compiler.
func has(doc *ast.CommentGroup, directive string) bool {
	if doc == nil {
		return false
	}
	return slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return c.Text == "//go:"+directive })
}
