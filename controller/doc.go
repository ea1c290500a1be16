// Package controller is what runs on a cluster and carries no request: it
// compiles what the API server holds, keeps a fleet per Gateway, feeds the
// planes and writes status.
//
//	source/kube ─► Snapshot ─► compile ─► plan of each Gateway ─┬─► fleet.Applier   its pods and Service
//	     ▲                        │                             └─► xds.Server      its feed, and Envoy's resources
//	     └── status ◄── conditions, addresses, acknowledgements ◄────────┘
//
// One loop owns the state (round.go): snapshots, acknowledgements and results
// of fleets come in on channels and nothing in it waits for the network, so
// that a Gateway that is stuck never holds up another. One replica leads
// (lead.go); the others compile, so that they can take over at once, but write
// nothing and serve nobody.
//
// In: the order of things, who leads, what Programmed means. Out: what
// resources mean (compile), what a fleet consists of (fleet), the protocol
// (xds, feed), Envoy (envoy).
package controller
