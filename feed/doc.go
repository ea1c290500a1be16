// Package feed is what a data plane in a pod gets from the controller: the
// plan of its own Gateway, the settings of its fleet, and who has been
// refused, as resources of package xds.
//
//	controller ─► Feed.Resources ─► xds.Server ══► xds.Client ─► Join ─► Feed ─► pod
//
// A plan is sent in parts, so that a change sends what changed. The parts are
// put together again in the pod; resource Head names the hash of the whole,
// and nothing is served before the whole has it. Secret bytes are in resources
// of their own and in no other.
package feed
