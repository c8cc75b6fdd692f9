// Package archtest holds the tests of the tree's structure: which package may import which, what a
// service compiles in by linking the agent, and which files may use package unsafe.
package archtest
