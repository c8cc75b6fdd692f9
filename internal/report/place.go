package report

import (
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/firsttouch/firsttouch/agent"
)

// Place names the code of a stack that a reader can change, and its line, both short.
func Place(frames []agent.DocumentFrame) (function, line string) {
	list := make([]runtime.Frame, len(frames))
	for i, f := range frames {
		list[i] = runtime.Frame{Function: f.Function, File: f.File, Line: f.Line}
	}
	f, _ := blame(list)
	return shorten(ShortFunction(f.Function), nameWidth), filepath.Base(f.File) + ":" + strconv.Itoa(f.Line)
}
