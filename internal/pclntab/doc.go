// Package pclntab answers, from the running program's own function table, how far the stack
// pointer is from where it stood at a function's entry.
//
// Unwinding by frame pointers loses the direct caller of a function that has set up no frame:
// memmove, memequal and small leaves touch memory while the frame pointer is still their
// caller's, so the chain goes on with the caller's caller. The missing return address is the
// word at SP (amd64) or the link register (arm64), but only in such functions; elsewhere that
// word is anything. The pcsp table, with which the Go runtime itself unwinds, decides.
//
// The runtime does not export that table, so the package reads it from the executable's
// .gopclntab section. Its layout is no part of Go's compatibility promise. Nothing is therefore
// believed until it has been compared with what the runtime answers about the same functions,
// and a table that does not match is an error, never a guess.
//
// # Caveats
//
// Only one table is known, the executable's or that of the library with this code: code in plugins, in C and in the vDSO
// is not. An executable without a section table, or packed, or without read permission, cannot be read.
package pclntab
