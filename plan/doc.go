// Package plan is everything a data plane needs to serve, resolved: no name in
// it is left to look up.
//
// compile makes a Plan out of a snapshot of resources; a plane swaps it in
// whole. A Plan is immutable plain data from the standard library alone, so it
// can be printed, compared, hashed, sent and held in a golden file. Two equal
// inputs give byte-identical plans: every slice has a defined order and there
// are no maps whose order could show.
//
//	Port (gateway, number) ─► Listener ─► VHost ─► Entry ─┬─► Rule ─► Target ─► Backend
//	                                                      └─► Policy
//
// An Entry is one match of one route rule on one virtual host; the first entry
// that matches wins. Rules say how to forward, policies say who may call and
// how much; both are shared by name. A policy's name is the digest of its
// content, so a change elsewhere leaves it, and everything compiled from it,
// alone.
//
// Out: how a plan is served (engine, proxy), and anything that needs a
// clock or a network. Secret bytes travel beside the plan (Secrets) and are
// neither printed nor hashed; the plan itself holds names and digests.
package plan
