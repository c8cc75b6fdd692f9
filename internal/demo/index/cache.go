package index

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// buildingPrefix starts the names of the directories that an index is built in.
const buildingPrefix = "building-"

// abandonedAfter is the age from which a build directory is left from a process that was killed:
// a build takes seconds.
const abandonedAfter = time.Hour

// Ensure returns the path of the tree's index in dir, and builds it first where it is missing or
// unusable. The file appears under its name only when it is whole and on the disk, so that an
// interrupted build, or two at once, leave nothing that could be taken for an index.
func Ensure(ctx context.Context, t Tree, dir string, progress Progress) (path string, built bool, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", false, fmt.Errorf("directory for the index: %w: choose another with -cache", err)
	}
	path = filepath.Join(dir, fmt.Sprintf("identifiers-v%d-%s.db", schemaVersion, t.Key()))
	if ix, err := Open(path); err == nil {
		return path, false, ix.Close()
	}
	sweep(dir)
	tmp, err := os.MkdirTemp(dir, buildingPrefix)
	if err != nil {
		return "", false, fmt.Errorf("directory for the index: %w: choose another with -cache", err)
	}
	defer os.RemoveAll(tmp)
	file := filepath.Join(tmp, "index.db")
	if err := Build(ctx, t, file, progress); err != nil {
		return "", false, err
	}
	if err := os.Rename(file, path); err != nil {
		return "", false, fmt.Errorf("building the index: %w", err)
	}
	return path, true, syncDir(dir)
}

// sweep removes what killed builds left. Failing at that is no reason not to build.
func sweep(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && e.IsDir() && strings.HasPrefix(e.Name(), buildingPrefix) && time.Since(info.ModTime()) > abandonedAfter {
			_ = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}

// syncDir makes the rename last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("building the index: %w", err)
	}
	defer d.Close()
	// Some file systems cannot sync a directory; the worst is that the index is built again.
	_ = d.Sync()
	return nil
}
