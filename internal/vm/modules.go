package main

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// drivers are what a guest needs of its kernel: its disk, and the serial port for results. What is no
// module is part of the kernel.
var drivers = []string{"virtio_pci", "virtio_blk", "virtio_console", "ext4"}

// module is a kernel module as it is loaded.
type module struct {
	name  string // of its file
	image []byte
}

// loadOrder reads the drivers and what they depend on, each after those that it needs.
func loadOrder(ctx context.Context, k kernel) ([]module, error) {
	paths, err := modulePaths(k.modules)
	if err != nil {
		return nil, err
	}
	var order []module
	seen := make(map[string]bool)
	var add func(name string) error
	add = func(name string) error {
		path, ok := paths[name]
		if !ok || seen[name] {
			return nil
		}
		seen[name] = true
		image, err := readModule(ctx, path)
		if err != nil {
			return err
		}
		needs, err := dependencies(image)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, n := range needs {
			if err := add(n); err != nil {
				return err
			}
		}
		order = append(order, module{name + ".ko", image})
		return nil
	}
	for _, d := range drivers {
		if err := add(d); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// modulePaths finds all modules by name. In names, a dash of the file is an underscore.
func modulePaths(dir string) (map[string]string, error) {
	paths := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if name, _, ok := strings.Cut(d.Name(), ".ko"); err == nil && ok && d.Type().IsRegular() {
			paths[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	return paths, err
}

// readModule reads a module, which newer packages have compressed.
func readModule(ctx context.Context, path string) ([]byte, error) {
	switch filepath.Ext(path) {
	case ".ko":
		return os.ReadFile(path)
	case ".xz":
		return output(exec.CommandContext(ctx, "xz", "--decompress", "--stdout", path))
	}
	return nil, fmt.Errorf("%s is compressed in a way that this program does not know", path)
}

// dependencies reads "depends" and the soft ones that come first from a module's own description,
// fields of key=value that end in a zero byte.
func dependencies(image []byte) (names []string, err error) {
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("no .modinfo")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for field := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(field, "depends="); ok {
			names = append(names, strings.Split(list, ",")...)
		}
		if list, ok := strings.CutPrefix(field, "softdep=pre: "); ok {
			list, _, _ = strings.Cut(list, "post:")
			names = append(names, strings.Fields(list)...)
		}
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == "" })
	for i, n := range names {
		names[i] = strings.ReplaceAll(n, "-", "_")
	}
	return names, nil
}
