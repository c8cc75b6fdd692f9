package serve

import "github.com/firsttouch/firsttouch/uffd"

type config struct {
	process  int // a pidfd, or -1
	observer func(m uffd.Msg)
	child    func(*Server)
	journal  *journal
}

// Option configures a Server.
type Option func(*config)

// WithProcess gives a pidfd (pidfd_open(2)) of the process that is served, so that Run ends as soon as
// that process does. Run asks the kernel once a second anyway. The caller closes it after Run.
func WithProcess(pidfd int) Option { return func(c *config) { c.process = pidfd } }

// WithObserver has each event (not the faults) told once it is applied, in order, from the goroutine
// of Run, for logs and figures; the process may have to wait for it. A message of a fork has no
// descriptor any more.
func WithObserver(f func(m uffd.Msg)) Option { return func(c *config) { c.observer = f } }

// WithChild has the Server of each forked child told before it serves, for prefetching or counting.
// The child's Server has the options of its parent's, but for WithProcess. Its Run is the parent's
// business: it runs until the child has ended, and Run of the parent waits for it.
func WithChild(f func(*Server)) Option { return func(c *config) { c.child = f } }

// Stats counts what a Server did since it began. Its children count for themselves.
type Stats struct {
	Faults     uint64 // messages of faults
	Filled     uint64 // bytes that were filled, prefetched ones among them
	Prefetched uint64 // bytes that were filled before they were touched
	Deferred   uint64 // fills that had to be tried again, since the memory was being changed
	Stray      uint64 // faults of memory that the layout does not have (any more): their threads were woken
	Events     uint64 // messages of forks, moves, discards and unmappings
}
