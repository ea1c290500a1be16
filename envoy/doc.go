// Package envoy is the second data plane: Envoy carries the bytes, the engine
// decides beside it (package envoy/extproc).
//
//	controller:  plan of a Gateway ─► Translate ─► listeners, routes, clusters, endpoints, secrets ─► xds.Server
//	in the pod:  Envoy ── ext_proc on a unix socket ─► egret extproc (engine)
//	             Envoy ◄─ EDS on the same socket ───── egret extproc (names resolved and checked)
//
// xDS carries transport only: which listener, which route matches, which
// cluster, which time-outs. Everything that is AI or policy is said by the
// engine per request, headers and rewritten paths included, so that it cannot
// differ from the native plane.
//
// In: translation and bootstrap, Envoy's names. Out: delivery (package xds),
// the plan (package compile), what runs in the pod (packages fleet and pod).
package envoy
