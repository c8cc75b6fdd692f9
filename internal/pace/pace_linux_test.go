package pace

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A look that waits, as for a processor on a busy machine, does not make the next one late.
func TestWaitingIsNoCost(t *testing.T) {
	p := New(10 * time.Millisecond)
	if rest := p.Look(func() { time.Sleep(300 * time.Millisecond) }); rest > 500*time.Millisecond {
		t.Errorf("after a look that slept for 300 ms the rest is %v", rest)
	}
}

// A look that costs is followed by a rest in proportion, and by no more than the longest.
func TestRestFollowsTheCost(t *testing.T) {
	work := func(d time.Duration) func() {
		return func() {
			for before, _ := processorTime(); ; {
				if now, _ := processorTime(); now-before >= d {
					return
				}
			}
		}
	}
	p := New(10 * time.Millisecond)
	if rest := p.Look(work(8 * time.Millisecond)); rest < 400*time.Millisecond || rest > Longest {
		t.Errorf("after 8 ms of work the rest is %v, want 400 ms or more", rest)
	}
	if rest := p.Look(work(200 * time.Millisecond)); rest != Longest {
		t.Errorf("after 200 ms of work the rest is %v, want %v", rest, Longest)
	}
	if p.Due() || p.Wait() < 500*time.Millisecond {
		t.Errorf("due at once: %v, and to wait for %v", p.Due(), p.Wait())
	}
	slow := New(5 * time.Second)
	if rest := slow.Look(func() {}); rest != 5*time.Second {
		t.Errorf("the rest of one that looks every 5 s is %v", rest)
	}
}

// Where looks are dear, none is due while the process has the size that it had, but after a second; and one is when something was mapped.
func TestDue(t *testing.T) {
	p := New(time.Millisecond)
	p.Look(func() {})
	p.rest, p.quiet, p.looked = 2*time.Millisecond, Longest, time.Now().Add(-3*time.Millisecond)
	for p.size = size(); string(size()) != string(p.size); p.size = size() { // the runtime maps memory too
	}
	if p.Due() && string(size()) == string(p.size) {
		t.Error("a look is due, and nothing was mapped")
	}
	b, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(b)
	if !p.Due() {
		t.Error("64 MiB were mapped, and no look is due")
	}
	p.size, p.looked = size(), time.Now().Add(-Longest)
	if !p.Due() {
		t.Errorf("no look is due after %v", Longest)
	}
	// Where a look costs 200 ms it is one in fifty of the time only while nothing tells that it is due.
	p.rest, p.quiet, p.looked = Longest, 200*restShare*time.Millisecond, time.Now().Add(-Longest-time.Millisecond)
	for p.size = size(); string(size()) != string(p.size); p.size = size() {
	}
	if p.Due() && string(size()) == string(p.size) {
		t.Errorf("a dear look is due after %v, and nothing was mapped", Longest)
	}
	if p.size = nil; !p.Due() {
		t.Errorf("no look is due after %v, and the size is another one", Longest)
	}
	if p.size, p.looked = size(), time.Now().Add(-p.quiet); !p.Due() {
		t.Errorf("no look is due after %v", p.quiet)
	}
}
