package bbolttest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/profiler"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

const killEnv = "FIRSTTOUCH_BBOLTTEST_KILL"

// A process that is killed in the middle, while it writes, its readers wait for pages and the mapping is
// armed again, leaves a consistent database with all that was committed.
func TestKilledInTheMiddle(t *testing.T) {
	if path := os.Getenv(killEnv); path != "" {
		writeUntilKilled(t, path)
		return
	}
	for _, faults := range []string{"1", "500", "3000"} {
		t.Run(faults, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bolt.db")
			r := testproc.Do(t, "TestKilledInTheMiddle", []string{killEnv + "=" + path, "FIRSTTOUCH_BBOLTTEST_FAULTS=" + faults}, budget)
			if strings.Contains(r.Out, "--- SKIP") {
				t.Skip(r.Out)
			}
			if r.TimedOut || r.Err == nil || r.Err.Error() != "signal: killed" {
				t.Fatalf("the child was not killed: %v\n%s", r.Err, r.Out)
			}
			d := openAt(t, path)
			err := d.View(func(tx *bolt.Tx) error {
				d.keys.Store(int64(tx.Bucket(bucket).Inspect().KeyN))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if n := d.keys.Load(); n < 1000 {
				t.Errorf("%d keys, want the 1,000 of the beginning at least", n)
			}
			d.verify(t, "after the kill")
			d.put(t, 100)
			d.verify(t, "written again")
		})
	}
}

// writeUntilKilled grows the database, with readers and windows, and kills its process after so many
// faults.
func writeUntilKilled(t *testing.T, path string) {
	d := openAt(t, path)
	d.put(t, 1000)
	p := start(t, profiler.WithRescan(5*time.Millisecond))
	r := attach(t, p, path)
	d.readers(t, 8)
	var most int
	if _, err := fmt.Sscan(os.Getenv("FIRSTTOUCH_BBOLTTEST_FAULTS"), &most); err != nil {
		t.Fatal(err)
	}
	go func() {
		for p.Snapshot().Stats.Faults < uint64(most) {
			time.Sleep(100 * time.Microsecond)
		}
		unix.Kill(os.Getpid(), unix.SIGKILL)
	}()
	for {
		d.put(t, 200)
		if err := r.Rearm(); err != nil && !errors.Is(err, profiler.ErrBusy) {
			t.Error(err)
		}
	}
}
