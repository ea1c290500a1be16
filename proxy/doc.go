// Package proxy is the native data plane: Go listeners, Go upstream
// connections, and the engine in between.
//
//	Apply(plan) ─► ports bound and released, pool and engine loaded
//
//	conn ─► serve ─► engine.Begin ─► [body] ─► forward ─► links ─► backend
//	                     │                        │
//	                     └─ refuse                └─ relay: each piece through
//	                                                 engine.Chunk, flushed at once
//
// A new plan never touches a connection: listeners that stay keep their
// sockets, also when they turn from HTTP to HTTPS; requests under way keep the
// plan they began with; certificates are chosen per handshake.
//
// What a client sends is taken apart and framed anew, never relayed raw.
// Interim answers of a backend (100, 103) end here on purpose: they belong to
// the hop, and clients of AI models do nothing with them.
//
// In: sockets, TLS termination, streaming, time-outs as they tick, upgrades,
// drain. Out: every decision about a request (engine), how backends are reached
// (provider).
package proxy
