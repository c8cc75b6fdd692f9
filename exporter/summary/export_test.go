package summary

// Blame is what the tests ask directly: stacks of other binaries cannot be made.
var Blame = blame
