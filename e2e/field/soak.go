package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	svc "github.com/firsttouch/firsttouch/e2e/field/service"
)

// soaked is what became of a soak.
type soaked struct {
	Service string
	Commit  string
	svc.Soaked
}

// soak runs the chosen services at once, for a time.
func (f *field) soak(ctx context.Context, c choice, d time.Duration, p *page) error {
	type ended struct {
		s   soaked
		err error
	}
	done := make(chan ended)
	list := c.services()
	for _, s := range list {
		if err := f.build(ctx, s); err != nil {
			return err
		}
		dir, err := f.data(ctx, s, "root")
		if err != nil {
			return err
		}
		go func() {
			out := soaked{Service: s.name, Commit: commitNow(ctx)}
			c := exec.CommandContext(ctx, "nice", "-n", "19", f.binary(s), "soak", dir, d.String())
			c.Env, c.Dir = append(f.environ(s, dir, key{Mode: "thread", User: "root"}), "FIRSTTOUCH_WINDOWS=1s"), dir
			var said strings.Builder
			c.Stderr = &said
			text, err := c.Output()
			if err == nil {
				err = json.Unmarshal(text, &out.Soaked)
			} else {
				err = fmt.Errorf("%s: %w: %s", s.name, err, last(said.String()))
			}
			done <- ended{out, err}
		}()
	}
	var errs []error
	for range list {
		e := <-done
		if e.err != nil {
			errs = append(errs, e.err)
			continue
		}
		fmt.Printf("%s: %s\n", e.s.Service, e.s.Soaked)
		errs = append(errs, e.s.Grown())
		p.setSoak(e.s)
	}
	return errors.Join(errs...)
}

// last is the last line of what a service said.
func last(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

func (p *page) renderSoak(b *strings.Builder) {
	if len(p.Soaks) == 0 {
		return
	}
	b.WriteString(`
## Soak

    cd e2e/field && go run . -soak 24h -update

Each service runs in a process of its own, all at once at the lowest priority. Again and again the agent is started, the data opened, questions are asked
with a window each second, files replaced, questions asked, and the profiler taken off. What the process had is counted without the profiler, after the third
round and after the last one; the command fails where descriptors, mappings or threads have become more, or memory by half and 16 MiB.

| service | commit | for | rounds | windows | first touches | dropped | taken off by the fuse | longest Shutdown | descriptors | mappings | threads | memory | answer |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
`)
	for _, s := range p.Soaks {
		a, z := s.First, s.Last
		fmt.Fprintf(b, "| %s | %s | %v | %d | %d | %d | %d | %d | %v | %d, %d | %d, %d | %d, %d | %.0f, %.0f MiB | %.1f, %.1f ms |\n", s.Service, s.Commit, s.For.Round(time.Minute), s.Rounds, s.Windows, s.Faults, s.Dropped, s.Off, s.Shutdown.Round(10*time.Millisecond),
			a.Descriptors, z.Descriptors, a.Mappings, z.Mappings, a.Threads, z.Threads, mib(a.Memory), mib(z.Memory), ms(a.Answer), ms(z.Answer))
	}
}

func mib(n int64) float64        { return float64(n) / (1 << 20) }
func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
