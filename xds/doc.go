// Package xds delivers configuration to data planes in pods: Envoy's xDS
// protocol (aggregated discovery, incremental and state-of-the-world) over
// gRPC, for Envoy's resource types and for those of package feed alike.
//
//	controller ─► Server.Put(node, Set) ─► stream ─► Envoy           (ADS client of its own)
//	                                          └────► xds.Client ─► feed.Client ─► egret proxy, egret extproc
//
// A Set is everything one node may have at one moment. The server sends each
// stream what it subscribes to and what differs from what it has, type by type
// in the Set's order, each type after the one before was acknowledged, and
// removes what is gone last, so that nothing ever names what is not there yet.
// Versions are hashes of content: an unchanged resource is never sent again,
// also not after a restart of the server (acceptance gateway 100).
//
// In: the protocol, versions, order, acknowledgements, who may have what. Out:
// what the resources mean (packages feed and envoy), where they come from
// (package controller).
package xds
