package main

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// kernel names the running kernel, as uname -sr does.
func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "Linux of an unknown release: " + err.Error()
	}
	text := func(b []byte) string { return string(bytes.TrimRight(b, "\x00")) }
	return text(u.Sysname[:]) + " " + text(u.Release[:])
}
