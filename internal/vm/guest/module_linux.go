package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// loadModule loads a kernel module. The host has ordered them, so that each comes after those that it
// needs.
func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil {
		return fmt.Errorf("load %s: %w", path, err)
	}
	return nil
}
