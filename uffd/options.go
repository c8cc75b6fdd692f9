package uffd

import "fmt"

// config is what the options set, by value.
type config struct {
	required, optional Features
	nonblock           bool
	paths              []OpenPath
}

// Option configures Open.
type Option interface{ apply(*config) error }

type optionFunc func(*config) error

func (f optionFunc) apply(c *config) error { return f(c) }

// WithFeatures enables features. Where the kernel lacks one, Open fails with a FeatureError.
// It may be given several times; the sets add up.
func WithFeatures(f Features) Option {
	return optionFunc(func(c *config) error { c.required |= f; return nil })
}

// WithOptionalFeatures enables what the kernel and the caller's privileges allow of these, and
// leaves out the rest; FD.Enabled tells.
func WithOptionalFeatures(f Features) Option {
	return optionFunc(func(c *config) error { c.optional |= f; return nil })
}

// WithNonblock opens the descriptor with O_NONBLOCK, for code that reads or polls FD.Fd itself:
// poll(2) reports POLLERR for a blocking userfaultfd. FD.Read and FD.TryRead set the flag anyway,
// so a descriptor that is to stay blocking must not be read through them.
func WithNonblock() Option {
	return optionFunc(func(c *config) error { c.nonblock = true; return nil })
}

// WithPaths restricts Open to these paths, in this order. For example, leave out PathUserModeOnly
// where armed memory will be handed to system calls.
func WithPaths(paths ...OpenPath) Option {
	return optionFunc(func(c *config) error {
		if len(paths) == 0 {
			return fmt.Errorf("%w: no open path given", ErrInvalid)
		}
		for _, path := range paths {
			if path > PathUserModeOnly {
				return fmt.Errorf("%w: Open cannot take the path %v", ErrInvalid, path)
			}
		}
		c.paths = paths
		return nil
	})
}

func newConfig(opts []Option) (config, error) {
	c := config{paths: []OpenPath{PathDevice, PathSyscall, PathUserModeOnly}}
	for _, opt := range opts {
		if err := opt.apply(&c); err != nil {
			return c, err
		}
	}
	return c, nil
}
