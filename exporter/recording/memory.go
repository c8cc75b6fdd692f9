package recording

// Figure is what the system says of the memory of the profiled process. The name ends in its unit: _bytes, _us, or nothing for a count.
type Figure struct {
	Name  string
	Value int64
}

func visitFigure(c *columns, f *Figure) {
	text(c, 1, &f.Name)
	number(c, 2, &f.Value)
}
