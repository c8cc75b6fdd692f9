package page

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"html"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

var (
	update = flag.Bool("update", false, "write docs/images anew")
	// It takes minutes to make.
	windowed = flag.String("windowed", "", "`recording` of firsttouch demo -windows, for the picture of its windows")
)

// kept are the pictures for the documentation.
var kept = map[string]bool{"page-light": true, "page-dark": true, "request-light": true, "flame-dark": true, "latency-light": true, "windows-light": true, "report-dark": true}

// Both themes draw everything: the page is light or dark as the reader wants it, and so is the heatmap.
func TestPictures(t *testing.T) {
	at := serve(t, demoRecording(t))
	for _, theme := range []string{"light", "dark"} {
		t.Run(theme, func(t *testing.T) {
			ctx := open(t, at)
			if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
			}); err != nil {
				t.Fatal(err)
			}
			run(t, ctx, chromedp.EmulateViewport(1280, 1250))
			picture(t, ctx, theme, "page-"+theme)
			// From here on what the tabs show.
			run(t, ctx, chromedp.EmulateViewport(1280, 640))
			run(t, ctx, chromedp.Click("#panel tbody tr:first-child button"), chromedp.WaitVisible("#request-view"))
			picture(t, ctx, theme, "request-"+theme)
			run(t, ctx, chromedp.Click("//button[text()='All requests']"), chromedp.Click("#tab-flame"))
			picture(t, ctx, theme, "flame-"+theme)
			run(t, ctx, chromedp.Click("#tab-latency"), chromedp.WaitVisible("#latency canvas"))
			picture(t, ctx, theme, "latency-"+theme)
		})
	}
}

// The windows of a recording that has some.
func TestPictureOfWindows(t *testing.T) {
	if *windowed == "" {
		t.Skip("no recording of firsttouch demo -windows is named with -windowed")
	}
	ctx := open(t, serve(t, *windowed))
	run(t, ctx, chromedp.EmulateViewport(1280, 900), chromedp.Click("#tab-windows"), chromedp.WaitVisible("#windows-chart"))
	picture(t, ctx, "light", "windows-light")
}

// What firsttouch report prints, as a terminal shows it.
func TestPictureOfReport(t *testing.T) {
	recording := demoRecording(t)
	exe, err := command()
	if err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command(exe, "report", recording).Output()
	if err != nil {
		t.Fatal(err)
	}
	screen := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>report</title>
<body style="margin:0;background:#16181c;color:#d8dce2"><pre style="margin:0;padding:12px 16px;font:13px/1.35 monospace">$ firsttouch report recording.ftr
%s</pre>`, html.EscapeString(strings.ReplaceAll(string(text), filepath.Dir(exe)+"/", "")))
	}))
	defer screen.Close()
	ctx := browse(t, screen.URL)
	until(t, ctx, "document.readyState === 'complete' && document.querySelector('pre').textContent.includes('Code that waited most')")
	size := eval[[]float64](t, ctx, "[document.querySelector('pre').scrollWidth, document.querySelector('pre').scrollHeight]")
	if columns := size[0] / 7.8; columns > 200 {
		t.Errorf("the report is %.0f columns wide", columns)
	}
	run(t, ctx, chromedp.EmulateViewport(int64(max(size[0]+16, 1080)), int64(min(size[1], 1400))))
	picture(t, ctx, "dark", "report-dark")
}

// picture takes what is on the screen, looks at its background and at how many colors it has, and keeps it with
// -update.
func picture(t *testing.T, ctx context.Context, theme, name string) {
	t.Helper()
	place := "#h-selection"
	switch {
	case strings.HasPrefix(name, "page-"):
		place = "h1"
	case strings.HasPrefix(name, "report-"):
		place = "pre"
	}
	eval[bool](t, ctx, fmt.Sprintf("(document.querySelector(%q).scrollIntoView(), true)", place))
	shot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		t.Fatal(err)
	}
	r, _, _, _ := img.At(3, 3).RGBA()
	if light := r > 0x8000; light != (theme == "light") {
		t.Errorf("%s: the corner is %x", name, r)
	}
	colors := map[[3]uint32]bool{}
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y += 2 {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x += 2 {
			r, g, b, _ := img.At(x, y).RGBA()
			colors[[3]uint32{r, g, b}] = true
		}
	}
	if len(colors) < 50 {
		t.Errorf("%s has %d colors: something was not drawn", name, len(colors))
	}
	if *update && kept[name] {
		if err := os.WriteFile(filepath.Join("..", "..", "docs", "images", name+".png"), shot, 0o644); err != nil {
			t.Error(err)
		}
	}
}
