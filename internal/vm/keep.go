package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const page = "docs/kernels.md"

// keep stores a result until there is one of every kernel for the same commit.
func keep(cache string, r *result) error {
	dir := filepath.Join(cache, "results", r.Commit)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, r.Name), text, 0o644)
}

// publish writes the page from what is kept for a commit. Kernels without a result are named there.
func publish(cache, commit string) error {
	var all []*result
	var missing []string
	for _, m := range matrix {
		text, err := os.ReadFile(filepath.Join(cache, "results", commit, m.name))
		if errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, m.name)
			continue
		} else if err != nil {
			return err
		}
		r := new(result)
		if err := json.Unmarshal(text, r); err != nil {
			return err
		}
		all = append(all, r)
	}
	if len(all) == 0 {
		return fmt.Errorf("no results are kept for commit %q", commit)
	}
	return os.WriteFile(page, render(all, missing), 0o644)
}
