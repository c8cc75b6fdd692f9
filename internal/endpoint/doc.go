// Package endpoint serves what the profiler saw to clients of whom some mean no good, or have gone away: the agent's debug
// endpoint, the handler that a service mounts, firsttouch serve and firsttouch demo -serve all stand behind it.
//
// A Guard is in front of a handler, wherever that is mounted. It asks for the token, refuses what a web page of somebody
// else has a browser ask for, and gives answers out one after the other, in pieces, each with a deadline of its own. So who does not
// read is cut off, at once where somebody else waits.
//
// A Server is an HTTP server of our own around it. It answers on loopback for this machine's names only, bounds connections and
// headers, logs nothing into the service's output, and ends within the bound that it is given.
package endpoint
