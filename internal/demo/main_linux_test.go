package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// asService makes the test binary the service, as the command's hidden subcommand is.
const asService = "demo-service"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == asService {
		if err := ServeControl(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// small are options for a demo of some hundred kilobytes and some dozen requests. Every directory
// is new.
func small(t *testing.T) Options {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	if err := os.Mkdir(source, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		text := fmt.Sprintf("package p%d\n", i)
		for j := range 400 {
			text += fmt.Sprintf("\nfunc name%d(common int) int { return common + other%d }\n", j%(i+7), j)
		}
		if err := os.WriteFile(filepath.Join(source, fmt.Sprintf("file%d.go", i)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	exe, err := os.Executable() // not os.Args[0], which a child of another user may not run
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Out: filepath.Join(dir, "out"), Cache: filepath.Join(dir, "cache"), Source: source, Listen: "127.0.0.1:0",
		Requests: 60, Concurrency: 3, Seed: 1, JSON: true,
		Stdout: &bytes.Buffer{}, Stderr: os.Stderr, Service: []string{exe, asService},
	}
}

// run executes a demo that has to succeed, and reads its JSON.
func run(t *testing.T, o Options) Summary {
	t.Helper()
	if err := Execute(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	var sum Summary
	if err := json.Unmarshal(o.Stdout.(*bytes.Buffer).Bytes(), &sum); err != nil {
		t.Fatal(err)
	}
	return sum
}
