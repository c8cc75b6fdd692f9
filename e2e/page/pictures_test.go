package page

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image/png"
	"os"
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
var kept = map[string]bool{"page-light": true, "page-dark": true, "request-light": true, "flame-dark": true, "latency-light": true, "windows-light": true}

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

// picture takes what is on the screen, looks at its background and at how many colors it has, and keeps it with
// -update.
func picture(t *testing.T, ctx context.Context, theme, name string) {
	t.Helper()
	place := "#h-selection"
	if strings.HasPrefix(name, "page-") {
		place = "h1"
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
