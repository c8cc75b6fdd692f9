package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/firsttouch/firsttouch/internal/vm/wire"
	"golang.org/x/sys/unix"
)

// openPort finds the serial port that the host has named.
func openPort(name string) (*os.File, error) {
	for deadline := time.Now().Add(diskWait); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return nil, err
		}
		for _, path := range names {
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			if strings.TrimSpace(string(text)) == name {
				return os.OpenFile(filepath.Join("/dev", filepath.Base(filepath.Dir(path))), os.O_WRONLY, 0)
			}
		}
	}
	return nil, errors.New("no serial port called " + name)
}

// reporter sends frames to the host. It is safe for concurrent use.
type reporter struct {
	mu   sync.Mutex // guards what follows
	port *os.File
	err  error // the first
}

func (r *reporter) send(f wire.Frame) {
	line, err := json.Marshal(f)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		_, err = r.port.Write(append(line, '\n'))
	}
	if r.err == nil {
		r.err = err
	}
}

// Write sends output of a step.
func (r *reporter) Write(b []byte) (int, error) {
	r.send(wire.Frame{Output: b})
	return len(b), nil
}

func describe() *wire.Machine {
	m := &wire.Machine{PageSizeBytes: os.Getpagesize(), CPUs: runtime.NumCPU()}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		m.Release = fmt.Sprintf("uname: %v", err)
	} else {
		m.Release = unix.ByteSliceToString(u.Release[:])
		m.Version = unix.ByteSliceToString(u.Version[:])
		m.Arch = unix.ByteSliceToString(u.Machine[:])
	}
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) == nil {
		m.MemoryBytes = uint64(s.Totalram) * uint64(s.Unit)
	}
	return m
}
