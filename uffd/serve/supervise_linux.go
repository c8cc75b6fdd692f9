package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// supervisedEnv tells a handler the numbers of the descriptor and the journal that it inherits.
const supervisedEnv = "UFFD_SERVE_SUPERVISED"

// deathsInARow is after how many deaths within a second of its start a handler is given up: the next one would do no
// better. The descriptor is still the caller's then.
const deathsInARow = 10

// Supervise has a process serve the memory behind fd, and starts the next one when it dies: threads of the process that
// is served then wait a little longer, and none reads zeros for what was not filled. command makes the handler, which
// calls Supervised; it gets two more ExtraFiles and a variable in its environment. What it writes, and how it is
// restricted, is command's business.
//
// Supervise returns nil once a handler has ended with status 0 or the served process has ended, the cause of ctx once that
// is done (and the handler killed), or why no handler can be started. fd stays the caller's to close, and is not to
// be read meanwhile. While nobody serves, nobody is answered: keep the descriptor open until the process has ended.
//
// A descriptor with FeatureEventFork is ErrInvalid: those of the children would die with their handler.
func Supervise(ctx context.Context, fd *uffd.FD, command func() *exec.Cmd) error {
	if fd.Enabled().Has(uffd.FeatureEventFork) {
		return fmt.Errorf("%w: a supervisor cannot keep the descriptors of forked children: leave FeatureEventFork off", uffd.ErrInvalid)
	}
	file, err := newJournal()
	if err != nil {
		return err
	}
	defer file.Close()
	dup, err := unix.FcntlInt(uintptr(fd.Fd()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("dup: %w", err)
	}
	duplicate := os.NewFile(uintptr(dup), "userfaultfd")
	defer duplicate.Close()
	for deaths := 0; ; {
		started := time.Now()
		err, again := superviseOnce(ctx, command(), duplicate, file)
		switch {
		case !again:
			return err
		case fd.Gone():
			return nil
		case time.Since(started) > time.Second:
			deaths = 0
		}
		if deaths++; deaths == deathsInARow {
			return fmt.Errorf("%d handlers died within a second of their start, the last one: %w", deaths, err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Duration(deaths) * 5 * time.Millisecond):
		}
	}
}

// superviseOnce runs one handler, and answers whether another one has to follow.
func superviseOnce(ctx context.Context, c *exec.Cmd, files ...*os.File) (err error, again bool) {
	var numbers []string
	for _, f := range files {
		c.ExtraFiles = append(c.ExtraFiles, f)
		numbers = append(numbers, strconv.Itoa(2+len(c.ExtraFiles)))
	}
	c.Env = append(c.Environ(), supervisedEnv+"="+strings.Join(numbers, ","))
	if err := c.Start(); err != nil {
		return err, false
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Process.Kill() }) // fails where it has ended, which Wait tells
	defer stop()
	err = c.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx), false
	}
	return err, err != nil
}

// Supervised is for a handler that Supervise has started: it answers with the descriptor, which the caller must close, and an
// option for New, whose layout has to be that of the process before anything happened to it. The Server goes on
// where the last handler died. In a process that Supervise did not start it is ErrInvalid.
func Supervised() (*uffd.FD, Option, error) {
	text := os.Getenv(supervisedEnv)
	first, second, ok := strings.Cut(text, ",")
	number, err := strconv.Atoi(first)
	journalFD, err2 := strconv.Atoi(second)
	if err := errors.Join(err, err2); !ok || err != nil {
		return nil, nil, fmt.Errorf("%w: this process was not started by Supervise (%s=%q)", uffd.ErrInvalid, supervisedEnv, text)
	}
	unix.CloseOnExec(journalFD)
	j, err := openJournal(journalFD)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.Close(journalFD); err != nil {
		return nil, nil, fmt.Errorf("close: %w", err)
	}
	fd, err := uffd.Adopt(number)
	if err != nil {
		return nil, nil, err
	}
	return fd, func(c *config) { c.journal = j }, nil
}
