package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEachCallSaysWhatItNeeds: each call of package uffd says on a line of its own which kernel it needs.
func TestEachCallSaysWhatItNeeds(t *testing.T) {
	// What makes no call to the kernel, or one that every kernel has.
	without := strings.Fields("Fd Path UserModeOnly Features Enabled Close Gone SetReadDeadline Batch Entries")
	files, err := filepath.Glob(filepath.Join(root, "uffd", "*_linux.go"))
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !isCall(f) || slices.Contains(without, f.Name.Name) {
				continue
			}
			calls++
			if text := f.Doc.Text(); !strings.Contains(text, "\n\nNeeds Linux ") && !strings.Contains(text, "\n\nNeeds a Linux after ") {
				t.Errorf("%s does not say which kernel it needs", f.Name.Name)
			}
		}
	}
	if calls < 20 {
		t.Errorf("only %d calls were found", calls)
	}
}

// isCall is a method of FD or Pagemap, or what makes an FD.
func isCall(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return slices.Contains([]string{"Open", "Adopt", "Receive"}, f.Name.Name)
	}
	p, ok := f.Recv.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	name, ok := p.X.(*ast.Ident)
	return ok && f.Name.IsExported() && (name.Name == "FD" || name.Name == "Pagemap")
}
