//go:build !race

package perfevents

const raceEnabled = false
