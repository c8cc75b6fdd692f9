package uffd

import (
	"fmt"
	"strings"
)

// Refusal is why one path did not yield a descriptor.
type Refusal struct {
	Path   OpenPath
	Err    error  // the errno
	Remedy string // what to change, for the user or the administrator
	// Passing: the path may well be open, but memory or descriptors ran out while it was asked.
	Passing bool
}

// OpenError says that no path yielded a descriptor, and why, one refusal a path in the order tried.
// It matches every errno in it, and ErrNotSupported unless one of the refusals was a passing one.
type OpenError struct{ Refusals []Refusal }

// Error names every path, its reason and its remedy.
func (e *OpenError) Error() string {
	parts := make([]string, len(e.Refusals))
	for i, r := range e.Refusals {
		parts[i] = fmt.Sprintf("%v: %v (%s)", r.Path, r.Err, r.Remedy)
	}
	return "userfaultfd is not available: " + strings.Join(parts, "; ")
}

// Unwrap makes ErrNotSupported and the errnos visible to errors.Is.
func (e *OpenError) Unwrap() []error {
	var errs []error
	passing := false
	for _, r := range e.Refusals {
		errs = append(errs, r.Err)
		passing = passing || r.Passing
	}
	if !passing {
		errs = append(errs, ErrNotSupported)
	}
	return errs
}

// FeatureError says that the kernel lacks required features. It matches ErrNotSupported.
type FeatureError struct{ Missing, Offered Features }

// Error names the features and the kernels that brought them.
func (e *FeatureError) Error() string {
	var parts []string
	for _, f := range e.Missing.list() {
		parts = append(parts, fmt.Sprintf("%s (Linux %s)", f.name, f.since))
	}
	return "this kernel does not offer " + strings.Join(parts, ", ") +
		": use a newer kernel, or one that is configured for it"
}

// Unwrap makes ErrNotSupported visible to errors.Is.
func (e *FeatureError) Unwrap() error { return ErrNotSupported }
