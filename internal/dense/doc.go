// Package dense waits for messages that come one after the other in a system call of which the Go scheduler does not
// know. A wait of some microseconds by the poller, or in a system call that it knows, costs more processor time than the
// page fault that is waited for: futex(2) to hand the processor over and back, and the monitor that looks every 20 µs for
// processors that a system call holds up.
package dense
