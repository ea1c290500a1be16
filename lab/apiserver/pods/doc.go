// Package pods plays the pods of Gateways on an API server that has no nodes.
//
//	fleet's objects ─► token, CA ─► xdstest.Peer: the engine's stream, and Envoy's
//	       ▲                              │ acknowledges
//	       └── status of Deployment ◄─────┘
//
// A Pod signs in as a real one does, with a token of its ServiceAccount and the
// CA of its ConfigMap, and asks for what its plane asks for. It serves nobody.
package pods
