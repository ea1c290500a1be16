// Package provider is the way out: it turns a backend of the plan into a
// connection. Names are resolved and addresses checked here, TLS is originated
// and verified here, connections are pooled here.
//
//	plan.Backend ─► Pool.Target (which endpoint, which transport) ─► RoundTrip
//	                                  │
//	                Dialer: our own gateways in memory ─ mapped names ─ DNS ─► Guard ─► dial
//
// In: endpoints, names, the address guard, TLS to backends, connection pools.
// Out: what is sent over them (engine), and when to try again (proxy).
package provider
