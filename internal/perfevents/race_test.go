//go:build race

package perfevents

// raceEnabled: the race detector's own memory is fresh all the time, and its page faults fill the buffers of an ordinary user.
const raceEnabled = true
