// Package pod is one data plane in a pod of a Gateway's fleet: `egret proxy`,
// which carries the bytes itself, and `egret extproc`, the engine beside
// Envoy.
//
//	controller ══ feed ══► pod ─► engine ─┬─► proxy.Server     (native plane)
//	                                      └─► extproc.Server   (Envoy's)
//	API server ◄── TokenReview, SubjectAccessReview ── engine ──► counters (Redis), ledger (PostgreSQL)
//	kubelet ──► :15021 /ready, /healthz, /metrics, /drain
//
// It serves on with what it was fed last while the controller is away, and
// starts to serve when it has been fed once. In: what the pieces are wired to,
// readiness, draining. Out: what any of them does.
package pod
