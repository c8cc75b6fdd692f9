// Package serve answers the page faults of another process from a copy of its memory: the restore
// handler that virtual machine monitors and checkpoint tools need. It keeps the order that the
// kernel's messages ask for and that is easy to get wrong, see "Events" in package uffd.
//
// The process that is served opens the descriptor (uffd.Open), registers its memory with uffd.ModeMissing and sends the
// descriptor by a Unix socket (uffd.FD.Send); the handler takes it there (uffd.Receive), or from whoever started it
// (uffd.Adopt). Which features the descriptor has is decided by who opened it: FeatureEventRemove, without which what
// the process discards comes back with its old contents; FeatureEventRemap and FeatureEventUnmap where it moves or unmaps
// registered memory; FeatureEventFork, without which what a forked child lacks reads as zeros. A Server answers
// missing pages; any other fault ends its Run.
//
// A Server follows what the process does to its memory where the descriptor has the event features:
// what it discards reads as zeros and never as the old contents again, what it moves or unmaps is
// followed, and the child of a fork is served by a Server of its own. It fills ahead of the faults on
// request (Server.Prefetch), and ends when the process has ended.
//
// # Death of the handler
//
// When the last duplicate of a descriptor is closed, the kernel fills what is missing with zeros. Supervise keeps a
// duplicate, and starts the next handler when one dies: threads that wait for a page wait for it. A message that the dead
// handler had read and not answered is not sent again by itself: Server.Run begins with a wake of all ranges, which makes
// the threads that wait repeat their touch, and their message. What the process had discarded, moved or unmapped is in memory
// that the handlers share with the supervisor, into which they read their messages, so that none is lost wherever a handler dies.
// Children of forks cannot be kept in this way: Supervise refuses a descriptor that follows them.
//
// # Speed
//
// A fault costs some processor time more than in C, see README.md of package uffd. Where faults come one after the other,
// Server.Run keeps its processor (GOMAXPROCS) for up to 500 µs between two of them.
//
// # Source
//
// The rules are those of fs/userfaultfd.c and mm/userfaultfd.c of Linux; the order of events and
// faults is held by a test that races both.
package serve
