// Package kube reads resources from a Kubernetes API server and writes what
// compile says about them as status.
//
//	API server ─► watch per kind ─► store per kind ─► hold-off ─► Snapshot
//	    ▲              (reflector)    (typed, trimmed)
//	    └──────── merge patch ◄─ merge ◄─ Status ◄── conditions
//
// Reading. There is one watch per kind. A kind that is not installed, or that
// one may not read, counts as empty and is named by Missing; it is tried again
// and may come and go. Kinds without which nothing can be served must be allowed
// before there is a first snapshot, as an empty one would remove what runs. What
// was read once is only given up when the server says for certain that it is
// gone: during an outage, and when a permission is withdrawn, the last state
// stays, as a policy that vanished for a moment would open what it guards. For
// the same reason routes and Gateways that are new or changed wait while it is
// not known which policies there are; the rest of the snapshot does not. Objects
// hold what compile reads and no more: no managedFields, no status that only
// controllers write.
//
// Writing. Status is compared with what was asked for, and only what differs is
// sent, as a merge patch that carries the resourceVersion it was made from.
// Entries of other controllers are taken over byte by byte; entries of ours that
// nobody asks for are withdrawn, also those that an earlier process wrote. It is
// no server-side apply, as a route's status.parents is one list that all its
// controllers share, and no update, which would drop fields of later versions.
//
// Out: what a resource means (compile), and what runs per Gateway (fleet).
package kube
