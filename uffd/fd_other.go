//go:build !linux

package uffd

import (
	"fmt"
	"runtime"
	"syscall"
	"time"
)

// FD is an open userfaultfd. On this system there is none, so no FD can be made, and each method
// answers ErrNotSupported.
type FD struct{}

func notHere() error {
	return fmt.Errorf("%w: it exists on Linux, not on %s", ErrNotSupported, runtime.GOOS)
}

// Open answers ErrNotSupported, or ErrInvalid where an option is wrong on every system.
func Open(opts ...Option) (*FD, error) {
	if _, err := newConfig(opts); err != nil {
		return nil, err
	}
	return nil, notHere()
}

// Adopt answers ErrNotSupported, or ErrInvalid where an option is wrong on every system.
func Adopt(_ int, opts ...Option) (*FD, error) { return Open(opts...) }

// Fd is -1.
func (f *FD) Fd() int { return -1 }

// Path is PathDevice.
func (f *FD) Path() OpenPath { return PathDevice }

// UserModeOnly is false.
func (f *FD) UserModeOnly() bool { return false }

// Features is none.
func (f *FD) Features() Features { return 0 }

// Enabled is none.
func (f *FD) Enabled() Features { return 0 }

// Close answers ErrNotSupported.
func (f *FD) Close() error { return notHere() }

// Forked answers ErrNotSupported.
func (f *FD) Forked(*Msg) (*FD, error) { return nil, notHere() }

// Gone is false.
func (f *FD) Gone() bool { return false }

// Pending answers ErrNotSupported.
func (f *FD) Pending() (unread, waiting int, err error) { return 0, 0, notHere() }

// Wait answers ErrNotSupported.
func (f *FD) Wait() error { return notHere() }

// Register answers ErrNotSupported.
func (f *FD) Register(Range, RegisterMode) (IoctlSet, error) { return 0, notHere() }

// Unregister answers ErrNotSupported.
func (f *FD) Unregister(Range) error { return notHere() }

// Wake answers ErrNotSupported.
func (f *FD) Wake(Range) error { return notHere() }

// Protect answers ErrNotSupported.
func (f *FD) Protect(Range) error { return notHere() }

// Unprotect answers ErrNotSupported.
func (f *FD) Unprotect(Range) error { return notHere() }

// RWProtect answers ErrNotSupported.
func (f *FD) RWProtect(Range) error { return notHere() }

// RWUnprotect answers ErrNotSupported.
func (f *FD) RWUnprotect(Range) error { return notHere() }

// SetMode answers ErrNotSupported.
func (f *FD) SetMode(_, _ Features) error { return notHere() }

// Copy answers ErrNotSupported.
func (f *FD) Copy(Addr, []byte, CopyMode) (int, error) { return 0, notHere() }

// Zeropage answers ErrNotSupported.
func (f *FD) Zeropage(Range, ZeropageMode) (int, error) { return 0, notHere() }

// Move answers ErrNotSupported.
func (f *FD) Move(Addr, Range, MoveMode) (int, error) { return 0, notHere() }

// Continue answers ErrNotSupported.
func (f *FD) Continue(Range, ContinueMode) (int, error) { return 0, notHere() }

// Poison answers ErrNotSupported.
func (f *FD) Poison(Range, PoisonMode) (int, error) { return 0, notHere() }

// Read answers ErrNotSupported.
func (f *FD) Read([]Msg) (int, error) { return 0, notHere() }

// TryRead answers ErrNotSupported.
func (f *FD) TryRead([]Msg) (int, error) { return 0, notHere() }

// SetReadDeadline answers ErrNotSupported.
func (f *FD) SetReadDeadline(time.Time) error { return notHere() }

// Send answers ErrNotSupported.
func (f *FD) Send(syscall.Conn, []byte) error { return notHere() }

// Receive answers ErrNotSupported, or ErrInvalid where an option is wrong on every system.
func Receive(_ syscall.Conn, _ []byte, opts ...Option) (*FD, int, error) {
	f, err := Open(opts...)
	return f, 0, err
}
