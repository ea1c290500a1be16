// Package provider is the way out: it turns a backend of the plan into a
// connection. Names are resolved and addresses checked here, TLS is originated
// and verified here, connections are pooled here.
//
//	plan ─► Pool.Prepare ─► Links ─► Links.Target(backend) ─► transport, scheme, address
//	                                                              │
//	    Dialer: our own gateways ─ services in memory ─ mapped names ─ names (DNS) ─► Guard, Fence, Lists ─► race
//	                                                                  └ the operator's proxy ─► tunnel
//
//	handshake ─► crypto/tls's chain and name, verifier (names, pins, revocation) ─► the first byte of a request
//
// A backend that cannot be spoken to (a client certificate that is missing, a
// CA bundle without certificates) fails its own requests and nobody else's.
// A name with a dot is looked up as it stands, and the name of a Service must not
// be an alias (System). What DNS said is remembered for five seconds and checked at each dial, so that
// an answer that changes is of no use; connections to a name are left after five
// minutes. A Relay opens the same tunnels for an Envoy of the same pod.
//
// An exchange keeps the Links it began with, so that a new plan never changes
// where a request under way goes.
//
// In: endpoints, names, the address guard, TLS to backends, connection pools.
// Out: what is sent over them (engine), and when to try again (proxy).
package provider
