// Package summary is the one form in which results are shown: the report, the pages, the JSON of an agent and of the command all have a
// Summary, made from a profiler's snapshot and the requests of a service. It is plain data with JSON tags. Durations are nanoseconds
// there, sizes bytes; a size that is not known is -1 in Go and null in JSON.
//
// Where a part of a region was observed, Estimate is what there was and the other totals are what was seen: a view shows the estimate
// first, with its standard error (Region.TouchedSize and its like do).
package summary
