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
// namespace, which carry the label that maas.DenialsLabel names; package maas
// has their format (WriteDenials, ReadDenials). A controller reads them all,
// hands them to its planes, and once those have them it annotates each of the
// ConfigMaps:
//
//	egret.dev/delivered-<controller>: <maas.DenialsHash of the ConfigMap>
//
// <controller> is a name that no other controller has and that does not change
// when it restarts, of at most 53 letters, digits and dashes. Deny returns when
// every controller that ever annotated the ConfigMap has delivered what it says
// now, or after three seconds, which is logged: the denial is written then and
// will be delivered, but it is not known to be.
//
// # The hop
//
// The API believes X-MaaS-Username and X-MaaS-Group, so whoever sends them has
// to prove to be one of our gateways: header X-MaaS-Proof holds a
// ServiceAccount token of audience maas-api. The API server reviews it and its
// account must be the gateway's (acceptance maas 27-29 and 69 are about calls
// that come past a gateway and apply with --gateway-proof=none). GET /health
// needs no proof, nor does POST /v1/tiers/lookup: it believes no header, and
// says nothing but what tier a group is in.
package kube
