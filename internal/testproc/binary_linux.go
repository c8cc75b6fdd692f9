package testproc

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// PublicDir makes a directory that every user can enter and write to, removed after the test.
// Those of testing.T.TempDir are their owner's only.
func PublicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "testproc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// readableBinary copies the test binary to where every user can run it and read it.
func readableBinary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(PublicDir(t), filepath.Base(os.Args[0]))
	from, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
