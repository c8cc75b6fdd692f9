package agent

import (
	"fmt"
	"strconv"
	"time"
)

// showBytes writes a size, any integer, with three significant digits in binary units.
func showBytes(n any) (string, error) {
	v, err := strconv.ParseFloat(fmt.Sprint(n), 64)
	if err != nil {
		return "", err
	}
	unit := 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	for v >= 1000 && unit < len(units)-1 {
		v /= 1024
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n), nil
	}
	return digits(v) + " " + units[unit], nil
}

// showDuration writes a duration with three significant digits in one unit.
func showDuration(d time.Duration) string {
	switch v := float64(d); {
	case d == 0:
		return "0"
	case v < 1e3:
		return fmt.Sprintf("%d ns", d)
	case v < 1e6:
		return digits(v/1e3) + " µs"
	case v < 1e9:
		return digits(v/1e6) + " ms"
	case v < 120e9:
		return digits(v/1e9) + " s"
	}
	return d.Round(time.Second).String()
}

// digits keeps three significant digits, and all of those in front of the point.
func digits(v float64) string {
	switch {
	case v < 10:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// showCount writes a whole number with a comma after each three digits.
func showCount(n any) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// showPercent writes a share of 1.
func showPercent(v float64) string {
	if p := v * 100; p > 0 && p < 0.01 {
		return "<0.01%"
	}
	return digits(v*100) + "%"
}
