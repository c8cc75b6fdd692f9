//go:build !linux

package uffd

// Pagemap is an open /proc/PID/pagemap. On this system there is none.
type Pagemap struct{}

// OpenPagemap answers ErrNotSupported.
func OpenPagemap(int) (*Pagemap, error) { return nil, notHere() }

// Close answers ErrNotSupported.
func (p *Pagemap) Close() error { return notHere() }

// Entries answers ErrNotSupported.
func (p *Pagemap) Entries(Addr, []PagemapEntry) error { return notHere() }

// Scan answers ErrNotSupported.
func (p *Pagemap) Scan(Range, ScanQuery, []PageRegion, func([]PageRegion) bool) error {
	return notHere()
}
