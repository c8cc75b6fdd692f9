// Package recordings opens what the user of the command names: a recording in a file, one on the standard
// input, or a live agent, which is asked for one.
package recordings
