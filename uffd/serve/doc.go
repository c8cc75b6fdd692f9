// Package serve answers the page faults of another process from a copy of its memory: the restore
// handler that virtual machine monitors and checkpoint tools need. It keeps the order that the
// kernel's messages ask for and that is easy to get wrong, see "Events" in package uffd.
//
// A Server follows what the process does to its memory where the descriptor has the event features:
// what it discards reads as zeros and never as the old contents again, what it moves or unmaps is
// followed, and the child of a fork is served by a Server of its own. It fills ahead of the faults on
// request (Server.Prefetch), and ends when the process has ended.
//
// # Death of the handler
//
// When the last duplicate of a descriptor is closed, the kernel fills what is missing with zeros. So a
// supervisor should keep a duplicate and start the next handler with it. A message that the dead
// handler had read and not answered is not sent again by itself: Server.Run begins with a wake of all
// ranges, which makes the threads that wait repeat their touch, and their message. What the process
// had discarded, moved or unmapped before is known from WithObserver, and belongs into the Layout of
// the next Server.
//
// # Source
//
// The rules are those of fs/userfaultfd.c and mm/userfaultfd.c of Linux; the order of events and
// faults is held by a test that races both.
package serve
