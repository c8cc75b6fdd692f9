// Package doctor finds out what this kernel, user and container allow, and what to change where it
// is not enough.
//
// It asks in two ways. uffd.Probe asks the kernel about each feature. A trial runs the profiler on
// small memory of its own and looks whether every first touch was seen; it runs in a child
// process, so that a system in which something unforeseen happens cannot take the answer away.
// Examine, a pure function, draws the report from both.
package doctor
