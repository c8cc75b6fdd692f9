package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	svc "github.com/firsttouch/firsttouch/e2e/field/service"
	"github.com/firsttouch/firsttouch/internal/pagecache"
	"golang.org/x/sys/unix"
)

// field is a file system of its own, and the programs.
type field struct {
	dir, bin, disk string
	logs           string
	readAhead      string            // the file that says how much the kernel reads ahead there
	prepared       map[string]string // directory with the data of a service
}

const (
	diskSize = 4 << 30
	userID   = 65534
)

func newField(logs string) (f *field, err error) {
	f = &field{logs: logs, prepared: map[string]string{}}
	if f.dir, err = os.MkdirTemp("", "firsttouch-field"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(f.dir)
		}
	}()
	f.bin, f.disk = filepath.Join(f.dir, "bin"), filepath.Join(f.dir, "disk")
	for _, d := range []string{f.bin, f.disk} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.Chmod(f.dir, 0o755); err != nil { // the other user runs what is there
		return nil, err
	}
	image := filepath.Join(f.dir, "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Truncate(image, diskSize); err != nil {
		return nil, err
	}
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-F", image}, {"mount", "-o", "loop,noatime", image, f.disk}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("a file system in a file, in which touched pages are known: %s: %w: %s", args[0], err, out)
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(f.disk, &st); err != nil {
		return nil, errors.Join(err, f.close())
	}
	f.readAhead = fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", unix.Major(st.Dev), unix.Minor(st.Dev))
	return f, nil
}

func (f *field) close() error {
	if out, err := exec.Command("umount", f.disk).CombinedOutput(); err != nil {
		return fmt.Errorf("umount %s: %w: %s", f.disk, err, out)
	}
	return os.RemoveAll(f.dir)
}

// data is a fresh directory with the data of a service, for a user.
func (f *field) data(ctx context.Context, s *service, user string) (dir string, err error) {
	from, ok := f.prepared[s.name]
	if !ok {
		from = filepath.Join(f.disk, s.name+"-prepared")
		if err := os.Mkdir(from, 0o755); err != nil {
			return "", err
		}
		c := exec.CommandContext(ctx, f.binary(s), "prepare", from)
		if out, err := c.CombinedOutput(); err != nil {
			return "", fmt.Errorf("prepare: %w: %s", err, out)
		}
		f.prepared[s.name] = from
	}
	dir = filepath.Join(f.disk, s.name)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		return "", err
	}
	if user != "root" {
		err = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, userID, userID)
		})
	}
	return dir, errors.Join(err, cold(dir))
}

// cold takes every file out of the page cache, but for pages that somebody has mapped.
func cold(dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := file.Sync(); err != nil {
			return err
		}
		return unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}

// resident are the pages in the page cache, by file.
func resident(patterns []string) (map[string]svc.Bits, error) {
	out := map[string]svc.Bits{}
	for _, p := range patterns {
		list, err := filepath.Glob(p)
		if err != nil {
			return nil, err
		}
		for _, path := range list {
			if out[path], err = residentOf(path); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func residentOf(path string) (b svc.Bits, err error) {
	list, err := pagecache.File(path)
	for i, there := range list {
		if there&1 != 0 {
			b.Set(int64(i))
		}
	}
	return b, err
}

// seen is what a run gave, and what the page cache held.
type seen struct {
	svc.Result
	before, after []map[string]svc.Bits
	err           error // of the service: it ended, or hung
}

// environ is that of a service.
func (f *field) environ(s *service, dir string, k key) (env []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "FIRSTTOUCH_") {
			env = append(env, v)
		}
	}
	env = append(env, svc.ModeEnv+"="+k.Mode, "FIRSTTOUCH_FILES="+strings.Join(s.patterns(dir), ":"), "HOME="+dir, "TMPDIR="+dir)
	env = append(env, settings[k.Mode]...)
	if k.User != "root" {
		env = append(env, "FIRSTTOUCH_ALLOW_FAILING_SYSTEM_CALLS=true")
	}
	return env
}

func (s *service) patterns(dir string) (list []string) {
	for _, p := range s.files {
		list = append(list, filepath.Join(dir, p))
	}
	return list
}

// allowed is how long one run may take.
func allowed(load string) time.Duration {
	if load == quiet {
		return time.Minute
	}
	return 3 * time.Minute
}

// run runs a service once. The error is one of this command.
// expect is how many mappings it waits for in each stage; nil where it does not wait.
func (f *field) run(ctx context.Context, s *service, k key, expect []string) (out seen, err error) {
	dir, err := f.data(ctx, s, k.User)
	if err != nil {
		return out, err
	}
	ahead := 0
	if k.Mode == readAhead {
		ahead = readAheadKiB
	}
	if err := os.WriteFile(f.readAhead, []byte(strconv.Itoa(ahead)), 0o644); err != nil {
		return out, err
	}
	end, enter, err := loaded(k.Load)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, end()) }()
	limited, cancel := context.WithTimeout(ctx, allowed(k.Load))
	defer cancel()
	c := exec.CommandContext(limited, f.binary(s), "run", dir)
	c.Env, c.Dir = append(f.environ(s, dir, k), svc.ExpectEnv+"="+strings.Join(expect, ",")), dir
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGQUIT) } // for the stacks
	c.WaitDelay = 5 * time.Second
	c.SysProcAttr = &syscall.SysProcAttr{}
	if k.User != "root" {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: userID, Gid: userID}
	}
	var said strings.Builder
	c.Stderr = &said
	stdin, err := c.StdinPipe()
	if err != nil {
		return out, err
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		return out, err
	}
	if err := c.Start(); err != nil {
		return out, err
	}
	talked := talk(stdout, stdin, s.patterns(dir), dir, &out, func() error {
		if k.Load == busy { // as what it is busy with
			return errors.Join(enter(c.Process.Pid), ordinary(c.Process.Pid))
		}
		return enter(c.Process.Pid)
	})
	stdin.Close()
	waited := c.Wait()
	if err := f.keep(s, k, said.String()); err != nil {
		return out, err
	}
	switch {
	case ctx.Err() != nil:
		return out, ctx.Err()
	case limited.Err() != nil:
		out.err = fmt.Errorf("it hung: no end after %v: %s", allowed(k.Load), brief(said.String()))
	case waited != nil:
		out.err = fmt.Errorf("%w: %s", waited, brief(said.String()))
	case talked != nil:
		return out, talked
	}
	return out, nil
}

// ordinary gives all threads of a process that has just been started the priority that processes have.
func ordinary(pid int) error {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, t := range list {
		id, _ := strconv.Atoi(t.Name())
		err = errors.Join(err, unix.Setpriority(unix.PRIO_PROCESS, id, 0))
	}
	return err
}

// brief is the beginning of what a service said, in one line.
func brief(text string) string {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
	if len(text) > 300 {
		text = text[:300] + "..."
	}
	return text
}

// talk does what a service asks for, until it has ended.
func talk(from io.Reader, to io.Writer, patterns []string, dir string, out *seen, enter func() error) error {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		var m svc.Message
		if err := json.Unmarshal(line, &m); err != nil {
			log.Printf("not a message: %s", line) // a library that writes to standard output
			continue
		}
		var pages map[string]svc.Bits
		switch m.Mark {
		case "start":
			err = enter()
		case "cold":
			err = cold(dir)
		case "before":
			pages, err = resident(patterns)
			out.before = append(out.before, pages)
		case "after":
			pages, err = resident(patterns)
			out.after = append(out.after, pages)
		default:
			out.Result = *m.Result
		}
		if err != nil {
			return err
		}
		if _, err := to.Write([]byte("\n")); err != nil {
			return nil // it has ended, which Wait tells
		}
	}
}

func (f *field) keep(s *service, k key, text string) error {
	if f.logs == "" || text == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(f.logs, strings.Join([]string{s.name, k.Load, k.User, k.Mode}, "-")+".txt"), []byte(text), 0o644)
}
