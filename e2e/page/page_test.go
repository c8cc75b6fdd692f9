package page

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/firsttouch/firsttouch/agent"
)

// snapshot is the JSON that is served beside the page.
func snapshot(t *testing.T, at string) (d agent.Document) {
	t.Helper()
	resp, err := http.Get(at + "snapshot?faults=100000")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d
}

// tiles are the texts of a list of figures, by name.
func tiles(t *testing.T, ctx context.Context, id string) map[string]string {
	t.Helper()
	return eval[map[string]string](t, ctx, `Object.fromEntries([...document.querySelectorAll('#`+id+` > div')].map(d => [d.children[0].textContent, d.children[1].childNodes[0].textContent]))`)
}

// number reads a figure as the page writes it.
func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.ReplaceAll(text, ",", ""))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What the page decoded is what the JSON snapshot says: totals, each fault, and the names of its stack.
func TestNumbersAreTheSnapshots(t *testing.T) {
	at := serve(t, demoRecording(t))
	want := snapshot(t, at)
	ctx := open(t, at)
	type region struct {
		Name                                              string
		Size, Mapped, Touched, Faults, Messages, StallMax int64
		StallSum                                          int64
	}
	for i, r := range eval[[]region](t, ctx, "firsttouch.r.regions") {
		w := want.Regions[i]
		if r.Name != w.Name || r.Size != w.Size || r.Mapped != w.Mapped || r.Touched != w.Touched || r.Faults != int64(w.Faults) ||
			r.Messages != int64(w.Messages) || r.StallSum != int64(w.Stall.Sum) || r.StallMax != int64(w.Stall.Max) {
			t.Errorf("region %+v, want %+v", r, w)
		}
	}
	type fault struct {
		Seq, Time, Offset, Stall, Thread, Goroutine int64
		Functions, Trace                            string
	}
	faults := eval[[]fault](t, ctx, `Array.from(firsttouch.r.faults.seq, (seq, i) => { const f = firsttouch.r.faults; return {
		Seq: seq, Time: f.time[i] - firsttouch.r.origin.startMono, Offset: f.offset[i], Stall: f.stall[i], Thread: f.thread[i], Goroutine: f.goroutine[i],
		Functions: firsttouch.r.frames[f.stack[i]].map(x => x.function).join(), Trace: firsttouch.r.spanOf.get(f.span[i])?.trace ?? '' } })`)
	if len(faults) != len(want.Faults) || len(faults) < 1000 {
		t.Fatalf("%d faults, want %d, some thousands", len(faults), len(want.Faults))
	}
	functions := map[uint32]string{}
	for _, s := range want.Stacks {
		var names []string
		for _, f := range s.Frames {
			names = append(names, f.Function)
		}
		functions[s.ID] = strings.Join(names, ",")
	}
	for i, f := range faults {
		w := want.Faults[i]
		if f != (fault{int64(w.Seq), w.TimeNS, w.OffsetBytes, w.StallNS, int64(w.Thread), int64(w.Goroutine), functions[w.Stack], w.TraceID}) {
			t.Fatalf("fault %d: %+v, want %+v with %s", i, f, w, functions[w.Stack])
		}
	}
	head := tiles(t, ctx, "tiles")
	if number(t, head["First touches"]) != int(want.Engine.Faults) || number(t, head["Dropped"]) != int(want.Engine.Dropped) {
		t.Errorf("the head says %v, want %+v", head, want.Engine)
	}
	if part := tiles(t, ctx, "selection"); number(t, part["First touches"]) != len(want.Faults) {
		t.Errorf("the part says %v, want all %d", part, len(want.Faults))
	}
}

// inPart counts the faults of the snapshot in the part that the address of the page names.
func inPart(t *testing.T, ctx context.Context, d agent.Document) int {
	t.Helper()
	hash := eval[string](t, ctx, "location.hash")
	q, err := url.ParseQuery(strings.TrimPrefix(hash, "#"))
	if err != nil {
		t.Fatal(err)
	}
	var t0, t1, o0, o1 int64
	if _, err := fmt.Sscanf(q.Get("part"), "%d_%d_%d_%d", &t0, &t1, &o0, &o1); err != nil {
		t.Fatalf("%q: %v", hash, err)
	}
	n := 0
	for _, f := range d.Faults {
		if f.TimeNS >= t0 && f.TimeNS <= t1 && f.OffsetBytes >= o0 && f.OffsetBytes < o1 {
			n++
		}
	}
	return n
}

// brush drags over a part of the heatmap, in shares of its plot.
func brush(t *testing.T, ctx context.Context, x0, y0, x1, y1 float64) {
	t.Helper()
	until(t, ctx, "!document.querySelector('#findings-section').hidden") // they come last, and move the plot
	type rect struct{ X, Y, Width, Height float64 }
	box := eval[rect](t, ctx, `(() => { const e = document.querySelector('#map .u-over'); e.scrollIntoView({ block: 'center' }); return e.getBoundingClientRect().toJSON() })()`)
	before := eval[string](t, ctx, "location.hash")
	run(t, ctx, chromedp.DragAndDropXY(box.X+x0*box.Width, box.Y+y0*box.Height, box.X+x1*box.Width, box.Y+y1*box.Height, 5))
	until(t, ctx, fmt.Sprintf("location.hash !== %q", before))
}

func TestBrushAndKeysZoom(t *testing.T) {
	at := serve(t, demoRecording(t))
	d := snapshot(t, at)
	ctx := open(t, at)
	all := len(d.Faults)
	count := func() int { return number(t, tiles(t, ctx, "selection")["First touches"]) }
	brush(t, ctx, 0.1, 0.2, 0.6, 0.9)
	first := count()
	if want := inPart(t, ctx, d); first != want || first == 0 || first >= all {
		t.Errorf("after the brush %d faults, want %d, fewer than %d", first, want, all)
	}
	brush(t, ctx, 0.2, 0.2, 0.8, 0.8)
	if n := count(); n != inPart(t, ctx, d) || n >= first {
		t.Errorf("after the second brush %d faults, want %d, fewer than %d", n, inPart(t, ctx, d), first)
	}
	// The address brings it back.
	here := eval[string](t, ctx, "location.href")
	second := count()
	run(t, ctx, chromedp.Navigate("about:blank"), chromedp.Navigate(here))
	until(t, ctx, shown)
	if n := count(); n != second {
		t.Errorf("after a reload %d faults, want %d", n, second)
	}
	run(t, ctx, chromedp.Click("#reset"))
	if n := count(); n != all {
		t.Errorf("of all %d faults, want %d", n, all)
	}
	run(t, ctx, chromedp.Focus("#map"), chromedp.KeyEvent("+"), chromedp.KeyEvent("+"), chromedp.KeyEvent(kb.ArrowDown))
	if n := count(); n != inPart(t, ctx, d) || n >= all {
		t.Errorf("with the keyboard %d faults, want %d", n, inPart(t, ctx, d))
	}
	run(t, ctx, chromedp.KeyEvent("0"))
	if n := count(); n != all {
		t.Errorf("after 0 %d faults, want %d", n, all)
	}
}

// A request's view draws each of its faults, and the other views follow it.
func TestRequestView(t *testing.T) {
	ctx := open(t, serve(t, demoRecording(t)))
	type request struct {
		Trace, Span string
		TreeFaults  int
		Duration    int64
	}
	worst := eval[request](t, ctx, "firsttouch.r.requests.filter(q => q.entry).sort((a, b) => b.treeStall - a.treeStall)[0]")
	run(t, ctx, chromedp.Click("#panel tbody tr:first-child button"), chromedp.WaitVisible("#request-view"))
	if trace := eval[string](t, ctx, "document.querySelector('#trace').textContent"); trace != worst.Trace {
		t.Errorf("trace %s, want that of the request that waited most, %s", trace, worst.Trace)
	}
	if to := eval[string](t, ctx, "document.querySelector('#trace').closest('a').href"); to != "http://traces.example/trace/"+worst.Trace {
		t.Errorf("the trace links to %q", to)
	}
	drawn := eval[int](t, ctx, "document.querySelectorAll('#request-view .fault').length")
	if drawn != worst.TreeFaults || drawn < 2 || number(t, tiles(t, ctx, "selection")["First touches"]) != drawn {
		t.Errorf("%d faults drawn, of %d, and %v in the part", drawn, worst.TreeFaults, tiles(t, ctx, "selection"))
	}
	run(t, ctx, chromedp.Click("//button[text()='Show its time in the heatmap']"))
	if n := number(t, tiles(t, ctx, "selection")["First touches"]); n != drawn {
		t.Errorf("%d faults in its time, want %d", n, drawn)
	}
	// A trace opens its request: what links in Jaeger lead to.
	base := eval[string](t, ctx, "location.origin + location.pathname")
	for _, way := range []string{"about:blank", base} { // from elsewhere, and on the page itself
		run(t, ctx, chromedp.Navigate(way), chromedp.Navigate(base+"#trace="+worst.Trace), chromedp.WaitVisible("#request-view"))
	}
	if trace := eval[string](t, ctx, "document.querySelector('#trace').textContent"); trace != worst.Trace {
		t.Errorf("trace %s by its link, want %s", trace, worst.Trace)
	}
	run(t, ctx, chromedp.Click("//button[text()='All requests']"), chromedp.WaitNotPresent("#request-view"))
}

func TestTabs(t *testing.T) {
	at := serve(t, demoRecording(t))
	d := snapshot(t, at)
	ctx := open(t, at)
	run(t, ctx, chromedp.Click("#tab-callers"))
	// The report has a caller once for each place that it is called from.
	exe, err := command()
	if err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command(exe, "report", "-json", "-callers", "10000", demoRecording(t)).Output()
	if err != nil {
		t.Fatal(err)
	}
	var told struct {
		Callers []struct {
			Function string
			Line     int
			Faults   int
		}
	}
	if err := json.Unmarshal(text, &told); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{}
	for _, c := range told.Callers {
		want[fmt.Sprintf("%s:%d", c.Function, c.Line)] += c.Faults
	}
	got := map[string]int{}
	for _, row := range eval[[][3]string](t, ctx, `[...document.querySelectorAll('#panel tbody tr')].map(r =>
		[r.querySelector('summary code').textContent, r.querySelector('summary small')?.textContent ?? ':0', r.children[2].textContent])`) {
		function := strings.TrimSuffix(row[0], "(no stack taken)")
		got[function+row[1][strings.LastIndexByte(row[1], ':'):]] += number(t, row[2])
	}
	if !maps.Equal(got, want) || len(want) < 3 {
		t.Errorf("the callers are %v, want %v", got, want)
	}
	run(t, ctx, chromedp.KeyEvent(kb.ArrowRight))
	if tab := eval[string](t, ctx, "document.activeElement.id"); tab != "tab-flame" {
		t.Errorf("the right arrow leads to %q", tab)
	}
	if n := eval[int](t, ctx, "document.querySelectorAll('#panel .frame').length"); n < 10 {
		t.Errorf("the flame graph has %d frames", n)
	}
	// The frames side by side are as wide as the one above them.
	if over := eval[float64](t, ctx, `(() => { const rows = {}; for (const f of document.querySelectorAll('#panel .frame')) rows[f.y.baseVal.value] = (rows[f.y.baseVal.value] ?? 0) + f.width.baseVal.value
		return Math.max(...Object.values(rows)) })()`); over > 1000.5 {
		t.Errorf("a row of the flame graph is %v wide, of 1000", over)
	}
	run(t, ctx, chromedp.Click("#tab-latency"), chromedp.WaitVisible("#latency canvas"))
	run(t, ctx, chromedp.Click("#tab-order"))
	first := eval[[]string](t, ctx, "[...document.querySelector('#panel tbody tr').children].map(c => c.textContent)")
	if first[2] != fmt.Sprintf("%#x", d.Faults[0].OffsetBytes) {
		t.Errorf("the first touch is %v, want that of %+v", first, d.Faults[0])
	}
}
