// Package calls lists the system calls that the engine makes and a Go service as a rule does not, asks which of them are
// refused to this process, and says what is lost with each. SECURITY.md has the same list; a test holds it against strace.
package calls
