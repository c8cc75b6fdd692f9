// Package stacktab walks stacks along their frame pointers and numbers the distinct ones, on any thread and in signal
// handlers: what adds to a table is nosplit, allocates nothing and takes no lock.
package stacktab
