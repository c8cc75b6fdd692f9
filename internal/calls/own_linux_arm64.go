package calls

// own are calls of this architecture alone.
var own []Call
