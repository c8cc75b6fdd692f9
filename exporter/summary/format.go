package summary

import (
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Bytes writes a size in binary units, with three significant digits.
func Bytes(n int64) string {
	v, unit := float64(max(n, 0)), 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	for v >= 999.5 && unit < len(units)-1 {
		v /= 1024
		unit++
	}
	if unit == 0 {
		return strconv.FormatInt(max(n, 0), 10) + " B"
	}
	return digits(v) + " " + units[unit]
}

// Count writes a number with separators.
func Count[N int | int64 | uint64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	if n > math.MaxInt64 {
		s = strconv.FormatUint(uint64(n), 10)
	}
	first := 0
	if s[0] == '-' {
		first = 1
	}
	for i := len(s) - 3; i > first; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Percent writes a part of a whole.
func Percent(part float64) string {
	switch p := part * 100; {
	case p == 0:
		return "0%"
	case p > 0 && p < 0.1:
		return "<0.1%"
	case p < 9.95:
		return strconv.FormatFloat(p, 'f', 1, 64) + "%"
	default:
		return strconv.FormatFloat(p, 'f', 0, 64) + "%"
	}
}

// Ratio is 0 where there is no whole.
func Ratio(part, whole int64) float64 {
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
		return digits(float64(d)/1e3) + " µs"
	case d < time.Second:
		return digits(float64(d)/1e6) + " ms"
	case d < 10*time.Minute:
		return digits(float64(d)/1e9) + " s"
	}
	return d.Round(time.Second).String()
}

// digits writes three significant digits, and never fewer than the whole ones.
func digits(v float64) string {
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

// NoStack stands for the code of faults whose stack was not taken.
const NoStack = "(no stack taken)"

// Place is the code as a table has it: its function and its line, or NoStack and nothing.
func (c *Caller) Place() (function, line string) {
	if c.Function == "" {
		return NoStack, ""
	}
	return ShortFunction(c.Function), filepath.Base(c.File) + ":" + strconv.Itoa(c.Line)
}

// SourceName is a Source's name in words.
func SourceName(name string) string { return strings.ReplaceAll(name, "_", " ") }
