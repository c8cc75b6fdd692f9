//go:build !linux

package uffd

// Batch fills several ranges and wakes once. On this system each method answers ErrNotSupported.
type Batch struct{}

// Batch begins a batch of fills.
func (f *FD) Batch() Batch { return Batch{} }

// Copy answers ErrNotSupported.
func (b *Batch) Copy(Addr, []byte, CopyMode) (int, error) { return 0, notHere() }

// Zeropage answers ErrNotSupported.
func (b *Batch) Zeropage(Range, ZeropageMode) (int, error) { return 0, notHere() }

// Move answers ErrNotSupported.
func (b *Batch) Move(Addr, Range, MoveMode) (int, error) { return 0, notHere() }

// Continue answers ErrNotSupported.
func (b *Batch) Continue(Range, ContinueMode) (int, error) { return 0, notHere() }

// Poison answers ErrNotSupported.
func (b *Batch) Poison(Range, PoisonMode) (int, error) { return 0, notHere() }

// Unprotect answers ErrNotSupported.
func (b *Batch) Unprotect(Range) error { return notHere() }

// Wake answers ErrNotSupported.
func (b *Batch) Wake() error { return notHere() }
