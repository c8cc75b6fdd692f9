//go:build race

package profiler

// raceEnabled: under the race detector copy goes through a function of the runtime.
const raceEnabled = true
