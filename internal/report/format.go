package report

import (
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Bytes writes a size in binary units.
func Bytes(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// Count writes a number with separators.
func Count[N int | int64 | uint64](n N) string { return humanize.Comma(int64(n)) }

// Percent writes a part of a whole.
func Percent(part float64) string {
	switch p := part * 100; {
	case p == 0:
		return "0%"
	case p < 0.1:
		return "<0.1%"
	case p < 10:
		return strconv.FormatFloat(p, 'f', 1, 64) + "%"
	default:
		return strconv.FormatFloat(p, 'f', 0, 64) + "%"
	}
}

// ratio is 0 where there is no whole.
func ratio(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// Duration writes a time with three digits and the unit that fits.
func Duration(d time.Duration) string {
	switch {
	case d < time.Microsecond:
		return strconv.FormatInt(int64(d), 10) + " ns"
	case d < time.Millisecond:
		return digits(d, time.Microsecond) + " µs"
	case d < time.Second:
		return digits(d, time.Millisecond) + " ms"
	case d < 10*time.Minute:
		return digits(d, time.Second) + " s"
	}
	return d.Round(time.Second).String()
}

// digits writes d in units with three significant digits, and never fewer than the whole ones.
func digits(d, unit time.Duration) string {
	v := float64(d) / float64(unit)
	switch {
	case v < 9.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// ShortFunction keeps of a function's name what is after the last slash of its import path, and
// leaves the type arguments out.
func ShortFunction(name string) string {
	if bracket := strings.IndexByte(name, '['); bracket >= 0 {
		end := strings.LastIndexByte(name, ']')
		name = name[:bracket] + "[...]" + name[max(end, bracket)+1:]
	}
	return name[strings.LastIndexByte(name, '/')+1:]
}

// shorten cuts a third from the start out of a text that is too long: of a function the package stays, and of a path the end.
func shorten(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	const dots = "..."
	start := max(width-len(dots), 0) / 3
	return string(r[:start]) + dots + string(r[len(r)-max(width-len(dots)-start, 0):])
}
