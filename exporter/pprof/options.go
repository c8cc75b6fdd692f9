package pprof

import "github.com/google/pprof/profile"

// config is what the options set.
type config struct {
	spans    bool
	comments []string
	places   int

	executables []*profile.Mapping // the program first
}

// defaultPlaces holds 64 MiB of touched memory in pages of 4 KiB, in a profile that takes some 30 MiB while it is made.
const defaultPlaces = 1 << 14

func newConfig(opts []Option) config {
	c := config{places: defaultPlaces}
	for _, o := range opts {
		c = o.apply(c)
	}
	if len(c.executables) == 0 {
		c.executables = Executables()
	}
	return c
}

// Option configures a profile.
type Option interface{ apply(config) config }

type optionFunc func(config) config

func (f optionFunc) apply(c config) config { return f(c) }

// WithSpans labels the samples of the working-set profile with the trace_id and span_id that their
// faults are attributed to. The profile grows: each span has samples of its own. Faults that are not
// in the snapshot's log carry no such label.
func WithSpans() Option {
	return optionFunc(func(c config) config { c.spans = true; return c })
}

// WithComment adds a line that go tool pprof -comments shows.
func WithComment(line string) Option {
	return optionFunc(func(c config) config { c.comments = append(c.comments, line); return c })
}

// WithMaxPlaces bounds how many distinct places the address profile names; the default is 16,384.
// When there are more, its stacks end at 64 KiB instead of the granule, or at 1 MiB, or, beyond 1,024 places too, at what has no
// more, and a comment says so. Less than 1 means the default.
func WithMaxPlaces(n int) Option {
	return optionFunc(func(c config) config {
		if n < 1 {
			n = defaultPlaces
		}
		c.places = n
		return c
	})
}

// WithExecutables sets the executable mappings that the addresses of stacks lie in, the program's first, for a
// snapshot that was taken in another process. The default is Executables.
func WithExecutables(list []*profile.Mapping) Option {
	return optionFunc(func(c config) config {
		c.executables = nil
		for _, m := range list {
			own := *m // a profile numbers its mappings
			c.executables = append(c.executables, &own)
		}
		return c
	})
}
