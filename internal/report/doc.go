// Package report writes a summary.Summary, and the comparison of two recordings, as text for a terminal.
package report
