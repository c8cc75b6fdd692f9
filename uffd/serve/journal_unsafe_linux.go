package serve

import (
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// journal is the memory that a handler and its supervisor share: what the process did to its memory so far, so that the
// next handler knows it. read(2) writes messages straight into it, so the handler may die at any moment: a message is
// either unread, or here.
//
//	state      which half of the log is in use (the highest bit), and how many events are in it
//	number     of the batch that is read next
//	batch      the messages of the last read
//	halves     the events that were taken from batches, in order, with the number of the batch and their place in it
type journal struct {
	mem  []byte
	seen int // messages of the batch
}

const (
	stateAt, numberAt = 0, 8
	batchAt           = 4096
	logAt             = 2 * 4096
	halfBit           = 1 << 63
)

// journalEvents is how many events a half of the log has room for. When it is full, discards that follow each other are
// put together. A variable for the tests.
var journalEvents = 1 << 19

func journalSize() int { return logAt + 2*journalEvents*int(unsafe.Sizeof(uffd.Msg{})) }

// newJournal is a file in memory, of which only what is used takes some.
func newJournal() (*os.File, error) {
	fd, err := unix.MemfdCreate("uffd-journal", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	if err := unix.Ftruncate(fd, int64(journalSize())); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("ftruncate: %w", err)
	}
	return os.NewFile(uintptr(fd), "journal"), nil
}

// openJournal maps a journal, for as long as the process is there.
func openJournal(fd int) (*journal, error) {
	mem, err := unix.Mmap(fd, 0, journalSize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mmap of the journal: %w", err)
	}
	return &journal{mem: mem}, nil
}

func (j *journal) word(at int) *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&j.mem[at])) }

func (j *journal) msgs(at, n int) []uffd.Msg {
	return unsafe.Slice((*uffd.Msg)(unsafe.Pointer(&j.mem[at])), n)
}

func (j *journal) batch() []uffd.Msg { return j.msgs(batchAt, batch) }

// half is one of the two halves of the log.
func (j *journal) half(n uint64) []uffd.Msg {
	return j.msgs(logAt+int(n)*journalEvents*int(unsafe.Sizeof(uffd.Msg{})), journalEvents)
}

// log is what is in the log.
func (j *journal) log() []uffd.Msg {
	state := j.word(stateAt).Load()
	return j.half(state >> 63)[:state&^halfBit]
}

// next is the buffer for the next read, empty.
func (j *journal) next() []uffd.Msg {
	b := j.batch()
	clear(b[:j.seen])
	j.word(numberAt).Add(1)
	return b
}

// read notes how many messages came.
func (j *journal) read(n int) { j.seen = n }

// take keeps the events of the batch.
func (j *journal) take() error {
	number := uint32(j.word(numberAt).Load())
	for i, m := range j.batch() {
		if m.Event != 0 && !m.IsPagefault() {
			m.Reserved2, m.Reserved3 = uint16(i+1), number
			if err := j.append(m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *journal) append(m uffd.Msg) error {
	state := j.word(stateAt).Load()
	if int(state&^halfBit) == journalEvents {
		if err := j.compact(); err != nil {
			return err
		}
		state = j.word(stateAt).Load()
	}
	j.half(state >> 63)[state&^halfBit] = m
	j.word(stateAt).Store(state + 1)
	return nil
}

// compact puts discards that follow each other together, in the other half.
func (j *journal) compact() error {
	short := joined(j.log())
	if len(short) > journalEvents/4*3 {
		return fmt.Errorf("the journal is full: the process has moved and discarded its memory in %d pieces", len(short))
	}
	other := 1 - j.word(stateAt).Load()>>63
	copy(j.half(other), short)
	j.word(stateAt).Store(other<<63 | uint64(len(short)))
	return nil
}

// joined is the same events, with those discards joined that touch each other and follow each other in time.
func joined(log []uffd.Msg) (short []uffd.Msg) {
	for len(log) > 0 {
		n := 0
		for n < len(log) && log[n].Event == uffd.EventRemove {
			n++
		}
		removes := slices.Clone(log[:n])
		slices.SortFunc(removes, func(a, b uffd.Msg) int { return compare(a.Removed().Start, b.Removed().Start) })
		for i, m := range removes {
			if i > 0 {
				if last := &short[len(short)-1]; last.Removed().End >= m.Removed().Start {
					last.Arg[1] = max(last.Arg[1], m.Arg[1])
					continue
				}
			}
			short = append(short, m)
		}
		if n < len(log) {
			short, n = append(short, log[n]), n+1
		}
		log = log[n:]
	}
	return short
}

// replay takes what the last handler had read and not taken, and makes the layout what all events made of the memory.
func (j *journal) replay(l *Layout) error {
	log, number := j.log(), uint32(j.word(numberAt).Load())
	taken := map[uint16]bool{}
	for _, m := range log[max(0, len(log)-batch):] {
		if m.Reserved3 == number {
			taken[m.Reserved2] = true
		}
	}
	for i, m := range j.batch() {
		if m.Event != 0 && !m.IsPagefault() && !taken[uint16(i+1)] {
			m.Reserved2, m.Reserved3 = uint16(i+1), number
			if err := j.append(m); err != nil {
				return err
			}
		}
	}
	j.seen = batch // all of it is cleared before the next read
	for _, m := range j.log() {
		if _, err := l.apply(&m); err != nil {
			return err
		}
	}
	return nil
}
