package page

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/firsttouch/firsttouch/exporter/recording"
)

// What the page offers to save opens in the tools that it is for.
func TestDownloads(t *testing.T) {
	at := serve(t, demoRecording(t))
	d := snapshot(t, at)
	ctx := open(t, at)
	dir := t.TempDir()
	if _, err := chromedp.CallBrowser(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir,
	}); err != nil {
		t.Fatal(err)
	}
	// The server names a recording by its time and process.
	saved := func(name, pattern string) []byte {
		t.Helper()
		run(t, ctx, chromedp.Click("//*[@id='downloads']/a[text()='"+name+"']"))
		for deadline := time.Now().Add(budget); ; time.Sleep(20 * time.Millisecond) {
			files, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			if len(files) == 1 {
				if b, err := os.ReadFile(files[0]); err == nil && len(b) > 0 {
					return b
				}
			}
			if time.Now().After(deadline) {
				left, _ := os.ReadDir(dir) // for the message
				t.Fatalf("%s was not saved within %v: %v", name, budget, left)
			}
		}
	}
	for name, want := range map[string]string{"profile.pb.gz": "bbolt", "address.pb.gz": ".db"} {
		saved(name, name)
		if text, err := exec.Command("go", "tool", "pprof", "-top", filepath.Join(dir, name)).CombinedOutput(); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
	r, err := recording.Read(strings.NewReader(string(saved("recording.ftr", "firsttouch-*.ftr"))))
	if err != nil || len(r.Snapshot.Faults) != len(d.Faults) {
		t.Errorf("the recording that was saved: %v", err)
	}
	if lines := strings.Count(string(saved("order.csv", "order.csv")), "\n"); lines != len(d.Faults)+1 {
		t.Errorf("the order has %d lines, want %d and a head", lines, len(d.Faults))
	}
	if text := string(saved("snapshot.json", "snapshot.json")); !strings.HasPrefix(text, `{"schema":"firsttouch/snapshot/`) {
		t.Errorf("the snapshot begins with %.60q", text)
	}
}
