// Handler measures handlers of another process's page faults, beside the same in C: how many faults a second the process
// gets answered, and how much processor time of the handler a fault costs.
//
//	CGO_ENABLED=0 go run ./bench/handler            # the table of uffd/README.md
//	CGO_ENABLED=0 go run ./bench/handler -rounds 3 -pages 8192
//
// Everything is measured in rounds, each of which has every handler once in a changing order. What counts are the ratios
// to the C handler that makes the same system calls, in the same round; the medians of these are printed. It needs gcc.
package main
