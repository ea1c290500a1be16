// Package endpoint tells Envoy where named backends are: endpoint discovery
// (EDS) out of names that are resolved and checked here, in the pod, so that
// changes of DNS neither stir the controller nor wait for it.
//
//	plan's Backends with a Host ─► look up every few seconds ─► leave out what is refused ─► EDS ─► Envoy
//
// Envoy subscribes by the backend's name. What it got last stays when a lookup
// fails. An address that nobody may dial (plan.Refused), or that the operator
// keeps from the backend's namespace, is never told, whatever name led to it. A
// backend behind a proxy is at a socket of the pod (provider.Relay).
package endpoint
