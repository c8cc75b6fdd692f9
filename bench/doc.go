// Package bench measures what a first touch costs, with the profiler and without, side by side.
//
// Everything is measured in rounds. One round runs every variant once, one after the other in a
// changing order, so that a machine that is busy with something else disturbs all of them alike. What
// counts are the ratios between variants of the same round; Report prints their medians and
// quartiles, and docs/overhead.md holds what it printed:
//
//	go run ./bench/report
//
// The benchmarks run the same variants one at a time, with the usual flags of go test. A variant
// that needs what is not there (a C compiler, perf, a permission) is skipped with the reason.
package bench
