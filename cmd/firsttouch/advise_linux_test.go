package main

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/agent"
)

// advise asks before it changes a process, gives the advice, and compares what was touched before and after.
func TestAdviseCommand(t *testing.T) {
	a, _ := profiled(t, 10, agent.WithAdvice())
	mem, err := a.Arena("memory", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	mem.Bytes()[0] = 1
	s := httptest.NewServer(a.Handler())
	defer s.Close()
	at := s.URL + "/debug/firsttouch/"
	for _, c := range []struct {
		args   []string
		status int
		out    string
	}{
		{[]string{"dump", at}, exitDone, "firsttouch profiles this process: "},
		{[]string{"advise", at, "memory", "cold"}, exitUsage, "add -yes"},
		{[]string{"advise", "-seconds", "301", "-yes", at, "memory", "cold"}, exitUsage, "1 to 300"},
		{[]string{"advise", at, "memory"}, exitUsage, "wants the advice"},
		{[]string{"advise", "-yes", "-seconds", "0", at, "other", "cold"}, exitFailed, "choose one of: memory"},
		{[]string{"advise", "-yes", "-seconds", "0", "-to", "8KiB", at, "memory", "cold"}, exitDone, "madvise(cold) was given for 8.00 KiB of memory"},
		{[]string{"advise", "-yes", "-seconds", "1", at, "memory", "cold"}, exitDone, "before the advice"},
	} {
		got := runCommand(t, c.args...)
		if got.status != c.status || !strings.Contains(got.out+got.diag, c.out) {
			t.Errorf("%v: status %d\n%s%s, want %d and %q", c.args, got.status, got.out, got.diag, c.status, c.out)
		}
	}
}
