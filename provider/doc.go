// Package provider is the way out: it turns a backend of the plan into a
// connection. Names are resolved and addresses checked here, TLS is originated
// and verified here, connections are pooled here.
//
//	plan ─► Pool.Prepare ─► Links ─► Links.Target(backend) ─► transport, scheme, address
//	                                                              │
//	    Dialer: our own gateways ─ services in memory ─ mapped names ─ DNS ─► Guard ─► dial
//
//	handshake ─► crypto/tls's chain and name, verifier (names, pins, revocation) ─► the first byte of a request
//
// A backend that cannot be spoken to (a client certificate that is missing, a
// CA bundle without certificates) fails its own requests and nobody else's.
// An exchange keeps the Links it began with, so that a new plan never changes
// where a request under way goes.
//
// In: endpoints, names, the address guard, TLS to backends, connection pools.
// Out: what is sent over them (engine), and when to try again (proxy).
package provider
