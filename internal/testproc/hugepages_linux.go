package testproc

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const hugePagesFile = "/proc/sys/vm/nr_hugepages"

// HugePages adds to the kernel's pool of huge pages for the length of the test. It does nothing where that is not permitted, or there is no memory for
// them: whoever needs some looks what is free. Tests of other processes that add or take away wait meanwhile, and with alone until the end
// of this test: what others have reserved is among what is free.
func HugePages(t testing.TB, pages int, alone bool) {
	t.Helper()
	pool, err := os.Open(hugePagesFile)
	if err != nil {
		return
	}
	lock := func(how int) {
		if err := unix.Flock(int(pool.Fd()), how); err != nil {
			t.Errorf("flock %s: %v", hugePagesFile, err)
		}
	}
	got := 0
	t.Cleanup(func() {
		lock(unix.LOCK_EX)
		addHugePages(-got)
		pool.Close()
	})
	lock(unix.LOCK_EX)
	if got = max(addHugePages(pages), 0); !alone {
		lock(unix.LOCK_UN)
	}
}

// addHugePages returns by how many the pool has become larger.
func addHugePages(n int) int {
	if n == 0 {
		return 0
	}
	before, ok := hugePages()
	if !ok || os.WriteFile(hugePagesFile, []byte(strconv.Itoa(max(before+n, 0))), 0o644) != nil {
		return 0
	}
	after, _ := hugePages()
	return after - before
}

func hugePages() (n int, ok bool) {
	text, err := os.ReadFile(hugePagesFile)
	if err != nil {
		return 0, false
	}
	n, err = strconv.Atoi(strings.TrimSpace(string(text)))
	return n, err == nil
}
