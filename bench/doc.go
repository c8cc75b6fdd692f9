// Package bench measures what a first touch costs, with the profiler and without, side by side.
//
// Everything is measured in rounds. One round runs every variant once, one after the other in a
// changing order, so that a machine that is busy with something else disturbs all of them alike. What
// counts are the ratios between variants of the same round; Report prints their medians and
// quartiles, and docs/overhead.md holds what it printed:
//
//	CGO_ENABLED=0 go run ./bench/report         # all of it: half an hour
//	CGO_ENABLED=0 go run ./bench/report -quick  # a few minutes
//	CGO_ENABLED=0 go run ./bench/report -parts compare -json compare.json && go run -C bench/plot . $PWD/compare.json
//	CGO_ENABLED=0 go run ./bench/report -scale  # some minutes: a cold file by processors and goroutines, with a verdict
//
// Without cgo, since the C library's threads take longer at each switch to them, see docs/overhead.md.
//
// The report has four parts. Cold has random touches of a file that is in no cache, where the storage decides. The groups have the ratios of what one fault costs. Rates has what an agent
// costs by the rate of faults, what an export takes, and what a ring that is too small loses. Compare has
// every observer (perf record, perf trace, bpftrace, a C loop, ours) watch the same touches, in a process
// of its own each time, and counts what each saw. A new mode of ours is one line in modes and one in
// observers.
//
// "Allocations per page" are those of the whole process from the first touch to the last, so with what the
// first fault of a region, stack and thread sets up, and with the looks at /proc/self/maps every 100 ms.
//
// The benchmarks run the same variants one at a time, with the usual flags of go test. A variant
// that needs what is not there (a C compiler, perf, a permission) is skipped with the reason.
package bench

// Pages is how many pages of an arena or file a variant touches in one round, unless asked for more.
const Pages = 8192
