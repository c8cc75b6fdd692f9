package uffd

// Batch fills several ranges and lets their waiters sleep until one Wake ends the wait of all: one
// system call in place of one a range, and no thread sees a part of what belongs together.
//
// A Batch is not safe for concurrent use, though several may be in use on one FD. Its zero value is
// of no use, see FD.Batch. Waiters of a Batch that is given up without Wake sleep on.
type Batch struct {
	fd   *FD
	hull Range // what Wake has to wake; empty before the first fill
}

// Batch begins a batch of fills. Each needs the Linux of the fill without a batch.
func (f *FD) Batch() Batch { return Batch{fd: f} }

// Copy is FD.Copy without waking.
func (b *Batch) Copy(dst Addr, src []byte, mode CopyMode) (int, error) {
	b.add(Range{dst, dst + Addr(len(src))})
	return b.fd.Copy(dst, src, mode|CopyModeDontwake)
}

// Zeropage is FD.Zeropage without waking.
func (b *Batch) Zeropage(r Range, mode ZeropageMode) (int, error) {
	b.add(r)
	return b.fd.Zeropage(r, mode|ZeropageModeDontwake)
}

// Move is FD.Move without waking.
func (b *Batch) Move(dst Addr, src Range, mode MoveMode) (int, error) {
	b.add(Range{dst, dst + Addr(src.Len())})
	return b.fd.Move(dst, src, mode|MoveModeDontwake)
}

// Continue is FD.Continue without waking.
func (b *Batch) Continue(r Range, mode ContinueMode) (int, error) {
	b.add(r)
	return b.fd.Continue(r, mode|ContinueModeDontwake)
}

// Poison is FD.Poison without waking.
func (b *Batch) Poison(r Range, mode PoisonMode) (int, error) {
	b.add(r)
	return b.fd.Poison(r, mode|PoisonModeDontwake)
}

// Unprotect is FD.Unprotect without waking.
func (b *Batch) Unprotect(r Range) error {
	b.add(r)
	return b.fd.writeProtect(r, WriteProtectModeDontwake)
}

// Wake wakes, by one UFFDIO_WAKE, whoever waits between the first and the last page of the batch,
// and begins a new one. A thread that waits for a page in between that was not filled repeats its
// touch, and its message. Without a fill since the last Wake it does nothing.
func (b *Batch) Wake() error {
	if b.hull.Len() == 0 {
		return nil
	}
	err := b.fd.Wake(b.hull)
	if err == nil {
		b.hull = Range{}
	}
	return err
}

// add widens the hull before the fill is tried, so that what a failed one finished is woken too.
// What the kernel would refuse as a range stays out.
func (b *Batch) add(r Range) {
	switch {
	case r.Len() == 0 || !r.IsAligned(uintptr(PageSize())):
	case b.hull.Len() == 0:
		b.hull = r
	default:
		b.hull = Range{min(b.hull.Start, r.Start), max(b.hull.End, r.End)}
	}
}
