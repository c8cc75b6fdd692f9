package profiler

// What the runtime's assembly does on this architecture: the functions that compare and search, and
// the alignment that a search rounds its first address down to.
const (
	equalLeaf  = "memeqbody"
	indexLeaf  = "indexbytebody"
	indexAlign = 1
)
