package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// kernel is an unpacked kernel.
type kernel struct {
	image   string // the file that boots
	modules string // the directory of its modules
}

// fetch finds a kernel in the cache, or downloads it, also when fresh is asked for.
func fetch(ctx context.Context, a *apt, m machine, dir string, fresh bool) (kernel, error) {
	if !fresh {
		if k, err := openKernel(dir); err == nil {
			return k, nil
		}
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), m.name+".*")
	if err != nil {
		return kernel{}, err
	}
	defer os.RemoveAll(work)
	if err := a.download(ctx, m, work); err != nil {
		return kernel{}, err
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return kernel{}, err
	}
	root := filepath.Join(work, "root")
	for _, deb := range debs {
		if _, err := output(exec.CommandContext(ctx, "dpkg-deb", "--extract", deb, root)); err != nil {
			return kernel{}, err
		}
	}
	if _, err := openKernel(root); err != nil {
		return kernel{}, err
	}
	if err := errors.Join(os.RemoveAll(dir), os.Rename(root, dir)); err != nil {
		return kernel{}, err
	}
	return openKernel(dir)
}

// openKernel finds the parts, which newer packages have elsewhere.
func openKernel(root string) (k kernel, err error) {
	if k.image, err = one(root, "boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz"); err != nil {
		return k, err
	}
	k.modules, err = one(root, "lib/modules/*/kernel", "usr/lib/modules/*/kernel")
	return k, err
}

// one finds the only file that matches one of the patterns.
func one(root string, patterns ...string) (string, error) {
	var found []string
	for _, p := range patterns {
		names, err := filepath.Glob(filepath.Join(root, p))
		if err != nil {
			return "", err
		}
		found = append(found, names...)
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%s has %d files like %v, want one", root, len(found), patterns)
	}
	return found[0], nil
}
