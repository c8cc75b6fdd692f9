//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Advice reaches what was touched and what was not, changes nothing of what is seen, and stays when the region is closed.
func TestAdvise(t *testing.T) {
	const pages = 64
	for _, d := range []Delivery{DeliveryThread, DeliverySignal} {
		t.Run(d.String(), func(t *testing.T) {
			p := newProfiler(t, WithDelivery(d))
			path := newFile(t, pages*pageSize)
			b := mapFile(t, path, pages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
			r, err := attached(func() (*Region, error) { return p.AttachFile(path) })
			must(t, err)
			for i := range pages / 4 {
				wordAt(t, b, i*pageSize)
			}
			from, to := int64(8*pageSize+1), int64(40*pageSize-1) // widened to whole pages
			for _, advice := range []string{"willneed", "cold", "pageout", "sequential", "random"} {
				n, err := r.Advise(advice, from, to)
				if err != nil || n != 32*int64(pageSize) {
					t.Errorf("%s: %d bytes, %v", advice, n, err)
				}
			}
			for i := range pages {
				wordAt(t, b, i*pageSize)
			}
			if n := p.Snapshot().Stats.Faults; n != pages {
				t.Errorf("%d faults, want %d", n, pages)
			}
			closeBusy(t, r.Close)
			for page := range pages {
				m, err := smapAt(addressOf(b[page*pageSize:]))
				must(t, err)
				if want := page >= 8 && page < 40; m.has("rr") != want {
					t.Errorf("page %d is to be read at random: %v, want %v", page, m.has("rr"), want)
				}
			}
			_, err = r.Advise("random", 0, 1)
			wantError(t, "closed", err, ErrClosed)
		})
	}
}

func TestAdviseRefused(t *testing.T) {
	p := newProfiler(t)
	r, err := p.NewArena("arena", 16*pageSize)
	must(t, err)
	r.Bytes()[0] = 1
	for _, c := range []struct {
		advice   string
		from, to int64
		err      error
		text     string
	}{
		{"fast", 0, 1, nil, "choose one of cold, collapse, normal, pageout, random, sequential, willneed"},
		{"cold", 1, 1, nil, "an end behind it"},
		{"cold", -1, 1, nil, "a first offset of 0 or more"},
		{"cold", 16 * int64(pageSize), 17 * int64(pageSize), ErrNotMapped, "from offset"},
		{"willneed", 0, 1, ErrNotSupported, "not read ahead"},
		{"collapse", 0, 1, ErrNotSupported, "delivery observe"},
	} {
		if _, err := r.Advise(c.advice, c.from, c.to); err == nil || c.err != nil && !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s from %d to %d: %v, want %v: %s", c.advice, c.from, c.to, err, c.err, c.text)
		}
	}
	if n, err := r.Advise("cold", 0, 16*int64(pageSize)); err != nil || n != 16*int64(pageSize) {
		t.Errorf("cold: %d bytes, %v", n, err)
	}
}
