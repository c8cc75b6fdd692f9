// Package spantab keeps which goroutine works for which span, and the running totals of each span, for code that has no g:
// what reads a binding or counts a fault is nosplit, allocates nothing and takes no lock.
package spantab
