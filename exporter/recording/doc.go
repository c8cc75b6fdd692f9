// Package recording writes a snapshot of first touches, with the requests that had them, to a file or a
// connection, and reads it back anywhere: on another machine, with the code of the stacks named.
//
// A recording holds all that a profiler.Snapshot does. Read returns a Recording whose Snapshot is
// equal to the one that Write was given, and whose stacks carry the names that they had in the process
// that was profiled. The format is streamed, compressed and checked part by part, so that of a file that
// was cut off everything before the cut can be read; docs/recording.md describes it.
//
// A Flight holds the last faults and requests of a running process in bounded memory, as
// runtime/trace.FlightRecorder does for the scheduler's events, for recordings that show how it came
// to what somebody just noticed.
package recording
