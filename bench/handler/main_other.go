//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "handler: userfaultfd exists on Linux only")
	os.Exit(1)
}
