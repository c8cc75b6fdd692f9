// Package workingset computes working sets from windows: from which granules were touched between two
// re-arms, and in which order. It knows nothing of how they were observed.
//
// A Tracker keeps, for each granule of one region, when it was touched last, and answers for each window
// what was touched, new and reused, and what has been idle for how long. A Curve gives the size of the
// working set over the length of a window: the mean number of distinct granules in so many windows in a
// row. Reuse estimates reuse distances and the miss-ratio curve from granules that are sampled by a hash
// of their number.
//
// # Caveats
//
// A window shows each granule once, however often it was used. So a reuse is one from window to window:
// what was used again within a window is no reuse here, and the miss ratio is that of first touches per
// window. Shorter windows show more.
package workingset
