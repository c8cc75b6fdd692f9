// Package index is the database of the demo: every occurrence of every identifier in a tree of Go
// source files, in one bbolt file, with the text of the files so that a hit can show its line.
//
// The layout is that of a small search engine. Keys that are numbers are big-endian, so that they
// sort; numbers in values are little-endian.
//
//	names     identifier                  -> occurrences, files (uint32 each)
//	postings  identifier, 0, file number  -> for each occurrence: line, offset of the line's start (uint32 each)
//	files     file number                 -> path below the tree, with slashes
//	source    file number                 -> text
//	ranking   block number                -> identifiers, most frequent first, one a line
//	meta      name                        -> see Meta
//
// All reads go through bbolt's read transactions, whose keys and values are the memory-mapped file
// itself. Every method copies what it returns: a value that outlived its transaction could point
// into memory that is gone, and where the profiler runs without the right to serve system calls
// (user-mode-only), a write(2) from a page that was never touched would fail with EFAULT.
package index
