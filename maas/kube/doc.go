// Package kube runs the MaaS API on a Kubernetes cluster.
//
//	gateway ─ X-MaaS-Proof ─► hop ─► maas.Server ─► Cluster ─► API server   ServiceAccounts, TokenRequest
//	                                     ▲             └─────► ConfigMap maas-denials ─► controllers ─► planes
//	source.Source ── ConfigMaps, models, routes
//
// Run wires it all: storage, listener, certificate, readiness. Cluster is
// maas.Cluster over an API server, without caches of its own, so that what was
// just deleted is never taken for being there. Whose ServiceAccount one is and
// when its person last came with a credential of their own is kept in
// annotations of the ServiceAccount (AnnotationOwner, AnnotationHumanMint).
//
// # The deny-list
//
// It is in ConfigMaps maas-denials, maas-denials-1 and so on of the API's
// namespace; package source has their format and tells controllers what they
// do with it (source.Denials). Deny returns when every controller that ever
// annotated the ConfigMap has delivered what it says now, or after three
// seconds, which is logged: the denial is written then and will be delivered,
// but it is not known to be. A controller that let three seconds pass is not
// waited for again until it annotates the ConfigMap anew, so that one which is
// gone for good costs time once.
//
// # The hop
//
// The API believes X-MaaS-Username and X-MaaS-Group, so whoever sends them has
// to prove to be one of our gateways: header X-MaaS-Proof holds a
// ServiceAccount token of audience maas-api. The API server reviews it and its
// account must be the gateway's: the ServiceAccount that our fleet gives the
// Gateway of --gateway-namespace and --gateway-name, or those of
// --gateway-accounts. GET /health needs no proof. With --gateway-proof=none,
// behind a gateway that cannot send a proof, everybody who reaches the listener
// is believed (acceptance maas 27-29 and 69 are about such calls).
package kube
