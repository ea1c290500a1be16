// Package scale measures the controller with a cluster's worth of objects: a
// real API server, the real program, and twenty Gateways of both planes whose
// pods are played (lab/apiserver/pods).
//
//	objects ─► API server ─► egret controller ─► pods, which acknowledge
//
// `make scale` runs it, holds the figures against the goals and writes them to
// docs/scale.md. It takes a few minutes and the build tag scale.
package scale
