package uffd

import "fmt"

// Msg is one message, struct uffd_msg of include/uapi/linux/userfaultfd.h, as read(2) delivers it.
// The fields are the kernel's; the methods decode them without allocating. A Msg is a plain value.
type Msg struct {
	Event     Event
	Reserved1 uint8
	Reserved2 uint16
	Reserved3 uint32
	Arg       [3]uint64 // depends on Event
}

// IsPagefault reports whether a thread waits for a page.
func (m *Msg) IsPagefault() bool { return m.Event == EventPagefault }

// Flags of a page fault.
func (m *Msg) Flags() PagefaultFlags { return PagefaultFlags(m.Arg[0]) }

// Address of a page fault: of the access itself with FeatureExactAddress, else of its page.
func (m *Msg) Address() Addr { return Addr(m.Arg[1]) }

// Thread of a page fault: the kernel thread id of the thread that waits; 0 without FeatureThreadID.
// It is the number that the waiting thread has in its own PID namespace, not in the reader's: a
// handler outside a container is told the ids of the inside (task_pid_vnr in fs/userfaultfd.c).
func (m *Msg) Thread() int32 { return first32(&m.Arg[2]) }

// ForkFD of an EventFork: the number of a new descriptor, for the child's memory, that the read
// installed in the reading process. The reader owns it and takes it by FD.Forked; -1 afterwards.
func (m *Msg) ForkFD() int { return int(first32(&m.Arg[0])) }

// Remap of an EventRemap: where the range was, and where it begins now. The length did not change.
func (m *Msg) Remap() (from Range, to Addr) {
	return Range{Addr(m.Arg[0]), Addr(m.Arg[0] + m.Arg[2])}, Addr(m.Arg[1])
}

// Removed of an EventRemove or an EventUnmap: the range whose contents, or whose mapping, went.
func (m *Msg) Removed() Range { return Range{Addr(m.Arg[0]), Addr(m.Arg[1])} }

// String describes the message for logs and tests.
func (m *Msg) String() string {
	switch m.Event {
	case EventPagefault:
		return fmt.Sprintf("pagefault %s at %v by thread %d", m.Flags(), m.Address(), m.Thread())
	case EventFork:
		return fmt.Sprintf("fork: descriptor %d", m.ForkFD())
	case EventRemap:
		from, to := m.Remap()
		return fmt.Sprintf("remap %v to %v", from, to)
	case EventRemove:
		return fmt.Sprintf("remove %v", m.Removed())
	case EventUnmap:
		return fmt.Sprintf("unmap %v", m.Removed())
	}
	return m.Event.String()
}

// String names the kind of fault and the access.
func (flags PagefaultFlags) String() string {
	kind := "missing"
	switch {
	case flags&PagefaultFlagWP != 0:
		kind = "write-protected"
	case flags&PagefaultFlagMinor != 0:
		kind = "minor"
	case flags&PagefaultFlagRWP != 0:
		kind = "read-write-protected"
	}
	if flags&PagefaultFlagWrite != 0 {
		return kind + " write"
	}
	return kind + " read"
}

// String is the kernel's name of the event, without UFFD_EVENT_, in lower case.
func (e Event) String() string {
	switch e {
	case EventPagefault:
		return "pagefault"
	case EventFork:
		return "fork"
	case EventRemap:
		return "remap"
	case EventRemove:
		return "remove"
	case EventUnmap:
		return "unmap"
	}
	return fmt.Sprintf("unknown event %#x", uint8(e))
}
