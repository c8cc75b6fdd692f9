package uffd

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// Random sequences of calls, held against a model of private anonymous memory: each answer of the kernel, and after each
// call what the pagemap has for every page, is what the model says. Touches are SIGBUS in place of messages, so one
// thread can make them, and a sequence is the same again with the same seed:
//
//	FIRSTTOUCH_SEED=42 go test ./uffd -run TestRandomCalls -count 1

const modelPages = 12

// slot is what a page table's entry holds.
type slot struct {
	mode                      RegisterMode // of the mapping there
	present, protected, guard bool         // guard: the marker of UFFDIO_POISON
	value                     byte         // where present
}

type model struct {
	t      *testing.T
	rng    *rand.Rand
	fd     *FD
	mem    []byte
	source []byte
	slots  [modelPages]slot
	log    []string
	copies bool // COPY takes the place of a marker of POISON, as kernels up to now do
}

func TestRandomCalls(t *testing.T) {
	needs(t, FeatureSigbus|FeatureWPUnpopulated|FeaturePoison)
	if !inChild(t) {
		return
	}
	runtime.LockOSThread()
	seeds := []uint64{rand.Uint64()}
	if text := os.Getenv(seedEnv); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{seed}
	} else {
		for seed := range testproc.Times(20, 400) {
			seeds = append(seeds, uint64(seed))
		}
	}
	for _, seed := range seeds {
		m := newModel(t, seed)
		for range 200 {
			m.step()
			if m.check(); t.Failed() {
				t.Fatalf("seed %d (%s=%d repeats it), after:\n%s", seed, seedEnv, seed, strings.Join(m.log[max(0, len(m.log)-40):], "\n"))
			}
		}
		m.end()
	}
}

const seedEnv = "FIRSTTOUCH_SEED"

func newModel(t *testing.T, seed uint64) *model {
	t.Helper()
	m := &model{t: t, rng: rand.New(rand.NewPCG(seed, 19))}
	// Between two pages that nobody may touch, so that no mapping beside it becomes one with it.
	all := anonymous(t, modelPages+2)
	noErr(t, "mprotect", unix.Mprotect(page(all, 0), unix.PROT_NONE))
	noErr(t, "mprotect", unix.Mprotect(page(all, modelPages+1), unix.PROT_NONE))
	m.mem = all[PageSize() : (modelPages+1)*PageSize()]
	_ = unix.Madvise(m.mem, unix.MADV_NOHUGEPAGE) // where there are none, they are not advised against
	m.source = anonymous(t, modelPages)
	m.fd = openTest(t, WithFeatures(FeatureSigbus|FeatureWPUnpopulated))
	m.copies = m.copyTakesPoison()
	return m
}

// copyTakesPoison asks for the one thing that the model does not know.
func (m *model) copyTakesPoison() bool {
	r := m.at(0, 1)
	_, err := m.fd.Register(r, ModeMissing)
	noErr(m.t, "register", err)
	_, err = m.fd.Poison(r, 0)
	noErr(m.t, "poison", err)
	n, err := m.fd.Copy(r.Start, pattern(1, 1), 0)
	noErr(m.t, "copy", err)
	noErr(m.t, "discard", unix.Madvise(page(m.mem, 0), unix.MADV_DONTNEED))
	noErr(m.t, "unregister", m.fd.Unregister(r))
	return n > 0
}

func (m *model) end() { noErr(m.t, "close", m.fd.Close()) }

func (m *model) at(from, to int) Range {
	return Range{pageRange(m.mem, from).Start, pageRange(m.mem, to-1).End}
}

// span is a random range of pages.
func (m *model) span() (from, to int) {
	from = m.rng.IntN(modelPages)
	return from, from + 1 + m.rng.IntN(min(4, modelPages-from))
}

// say notes a call, for the seed that fails.
func (m *model) say(format string, args ...any) { m.log = append(m.log, fmt.Sprintf(format, args...)) }

// want holds an answer against the model's.
func (m *model) want(what string, n, wantN int, err, wantErr error) {
	m.t.Helper()
	if n != wantN || !errors.Is(err, wantErr) {
		m.t.Errorf("%s: %d bytes, %v; the model has %d, %v", what, n, err, wantN, wantErr)
	}
}

// oneMapping tells whether the pages are of one mapping, as every fill wants. Where the kernel joins what it split, and
// where not, is its own business, so it is asked.
func (m *model) oneMapping(from, to int) bool {
	text, err := os.ReadFile("/proc/self/maps")
	noErr(m.t, "maps", err)
	for line := range strings.Lines(string(text)) {
		var r Range
		if n, _ := fmt.Sscanf(line, "%x-%x", &r.Start, &r.End); n == 2 && r.Contains(m.at(from, to).Start) {
			return m.at(from, to).End <= r.End
		}
	}
	return false
}

// registered is all of the range's being registered with any mode, and in one mapping.
func (m *model) registered(from, to int) bool {
	for _, s := range m.slots[from:to] {
		if s.mode == 0 {
			return false
		}
	}
	return m.oneMapping(from, to)
}

func (m *model) step() {
	from, to := m.span()
	switch m.rng.IntN(13) {
	case 0:
		m.register(from, to)
	case 1:
		m.unregister(from, to)
	case 2, 3:
		m.copy(from, to)
	case 4:
		m.zeropage(from, to)
	case 5:
		m.protect(from, to)
	case 6:
		m.unprotect(from, to)
	case 7:
		m.poison(from, to)
	case 8:
		m.move(from)
	case 9:
		m.say("discard %d-%d", from, to)
		noErr(m.t, "madvise", unix.Madvise(m.mem[from*PageSize():to*PageSize()], unix.MADV_DONTNEED))
		for i := from; i < to; i++ {
			m.slots[i] = slot{mode: m.slots[i].mode}
		}
	case 10:
		m.say("wake %d-%d", from, to)
		noErr(m.t, "wake", m.fd.Wake(m.at(from, to)))
	case 11:
		m.load(from)
	case 12:
		m.store(from, byte(1+m.rng.IntN(200)))
	}
}

// register sets modes. It never takes WP away from a mapping that has it: what the kernel does with pages that are
// still protected then is nothing that a program should rely on.
func (m *model) register(from, to int) {
	mode := RegisterMode(1 + m.rng.IntN(3))
	for _, s := range m.slots[from:to] {
		mode |= s.mode & ModeWP
	}
	m.say("register %d-%d %v", from, to, mode)
	_, err := m.fd.Register(m.at(from, to), mode)
	noErr(m.t, "register", err)
	for i := from; i < to; i++ {
		if s := &m.slots[i]; s.mode&mode != mode {
			s.mode = mode
		}
	}
}

func (m *model) unregister(from, to int) {
	m.say("unregister %d-%d", from, to)
	noErr(m.t, "unregister", m.fd.Unregister(m.at(from, to)))
	for i := from; i < to; i++ {
		m.slots[i].mode, m.slots[i].protected = 0, false
	}
}

func (m *model) copy(from, to int) {
	mode, value := CopyMode(m.rng.IntN(4)), byte(1+m.rng.IntN(200))
	m.say("copy %d-%d mode %d of %d", from, to, mode, value)
	n, err := m.fd.Copy(m.at(from, to).Start, pattern(value, to-from), mode)
	switch {
	case !m.registered(from, to):
		m.want("copy", n, 0, err, ErrNotRegistered)
		return
	case mode&CopyModeWP != 0 && m.slots[from].mode&ModeWP == 0:
		m.want("copy", n, 0, err, ErrInvalid)
		return
	}
	filled := 0
	for i := from; i < to; i++ {
		if s := &m.slots[i]; !s.present && (!s.guard || m.copies) {
			*s = slot{mode: s.mode, present: true, protected: mode&CopyModeWP != 0, value: value}
			filled++
		}
	}
	m.want("copy", n, filled*PageSize(), err, nil)
}

func (m *model) zeropage(from, to int) {
	m.say("zeropage %d-%d", from, to)
	n, err := m.fd.Zeropage(m.at(from, to), 0)
	if !m.registered(from, to) {
		m.want("zeropage", n, 0, err, ErrNotRegistered)
		return
	}
	filled := 0
	for i := from; i < to; i++ {
		if s := &m.slots[i]; !s.present && !s.guard && !s.protected {
			s.present, s.value = true, 0
			filled++
		}
	}
	m.want("zeropage", n, filled*PageSize(), err, nil)
}

// protect goes on until a mapping that is not registered for it.
func (m *model) protect(from, to int) {
	m.say("protect %d-%d", from, to)
	err, want := m.fd.Protect(m.at(from, to)), error(nil)
	for i := from; i < to; i++ {
		s := &m.slots[i]
		if s.mode&ModeWP == 0 {
			want = ErrNotRegistered
			break
		}
		s.protected = s.protected || !s.guard
	}
	m.want("protect", 0, 0, err, want)
}

func (m *model) unprotect(from, to int) {
	m.say("unprotect %d-%d", from, to)
	err, want := m.fd.Unprotect(m.at(from, to)), error(nil)
	for i := from; i < to; i++ {
		s := &m.slots[i]
		if s.mode&ModeWP == 0 {
			want = ErrNotRegistered
			break
		}
		s.protected = false
	}
	m.want("unprotect", 0, 0, err, want)
}

func (m *model) poison(from, to int) {
	m.say("poison %d-%d", from, to)
	n, err := m.fd.Poison(m.at(from, to), 0)
	if !m.registered(from, to) {
		m.want("poison", n, 0, err, ErrNotRegistered)
		return
	}
	for i := from; i < to; i++ {
		s := &m.slots[i]
		if s.present || s.guard || s.protected {
			m.want("poison", n, (i-from)*PageSize(), err, ErrExist)
			return
		}
		s.guard = true
	}
	m.want("poison", n, (to-from)*PageSize(), err, nil)
}

// move takes a page of the source, which is made anew for it.
func (m *model) move(at int) {
	if HaveIoctl(IoctlMove) != nil {
		return
	}
	value := byte(1 + m.rng.IntN(200))
	m.say("move %d of %d", at, value)
	page(m.source, at)[0] = value
	arg := moveArg{Dst: uint64(m.at(at, at+1).Start), Src: uint64(pageRange(m.source, at).Start), Len: uint64(PageSize())}
	errno, want := m.fd.rawMove(&arg), unix.Errno(0)
	switch s := &m.slots[at]; {
	case s.mode == 0:
		want = unix.EINVAL
	case s.present || s.guard || s.protected:
		want = unix.EEXIST
	default:
		s.present, s.value = true, value
	}
	if errno != want {
		m.t.Errorf("move: %v, the model has %v", errno, want)
	}
}

// load maps the page of zeros where nothing stands in the way.
func (m *model) load(at int) {
	m.say("load %d", at)
	var got byte
	came := comesThrough(func() { got = m.mem[at*PageSize()] })
	s := &m.slots[at]
	want := s.present || !s.guard && s.mode&ModeMissing == 0
	if want && !s.present {
		s.present, s.value = true, 0
	}
	if came != want || came && got != s.value {
		m.t.Errorf("load: %v with %d, the model has %v with %d", came, got, want, s.value)
	}
}

func (m *model) store(at int, value byte) {
	m.say("store %d of %d", at, value)
	came := comesThrough(func() { m.mem[at*PageSize()] = value })
	s := &m.slots[at]
	there := s.present || !s.guard && s.mode&ModeMissing == 0
	want := there && !s.protected
	if there && !s.present {
		s.present, s.value = true, 0
	}
	if want {
		s.value = value
	}
	if came != want {
		m.t.Errorf("store: %v, the model has %v", came, want)
	}
}

// check holds every page's entry against the model.
func (m *model) check() {
	p, err := OpenPagemap(0)
	if err != nil {
		m.t.Fatal(err)
	}
	defer p.Close()
	var entries [modelPages]PagemapEntry
	if err := p.Entries(RangeOf(m.mem).Start, entries[:]); err != nil {
		m.t.Fatal(err)
	}
	for i, e := range entries {
		s := m.slots[i]
		if e.Present() != s.present || e.WriteProtected() != s.protected || !s.present && e.Swapped() != (s.guard || s.protected) {
			m.t.Errorf("page %d: present %v, protected %v, swapped %v; the model has %+v", i, e.Present(), e.WriteProtected(), e.Swapped(), s)
		}
		if got := byte(0); e.Present() && s.present {
			if !comesThrough(func() { got = m.mem[i*PageSize()] }) || got != s.value {
				m.t.Errorf("page %d holds %d, the model has %d", i, got, s.value)
			}
		}
	}
}
