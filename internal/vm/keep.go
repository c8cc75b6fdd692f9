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

// publish writes the page, when there is a result of every kernel for this commit.
func publish(o options, commit string) error {
	if o.only != "" || commit == "" {
		fmt.Printf("%s stays: it is written for all tests of a commit, from a worktree without changes\n", page)
		return nil
	}
	var all []*result
	for _, m := range matrix {
		text, err := os.ReadFile(filepath.Join(o.cache, "results", commit, m.name))
		if errors.Is(err, fs.ErrNotExist) {
			fmt.Printf("%s stays: no result for %s at %s yet\n", page, m.name, commit)
			return nil
		} else if err != nil {
			return err
		}
		r := new(result)
		if err := json.Unmarshal(text, r); err != nil {
			return err
		}
		all = append(all, r)
	}
	return os.WriteFile(page, render(all), 0o644)
}
