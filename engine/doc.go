// Package engine is one request from headers to usage: match, admit, choose,
// meter, settle, record. Everything that is AI or policy happens here, once,
// for every data plane.
//
// An Engine holds the program of the current plan. A body (the native plane,
// the processor beside Envoy, a test) drives one Exchange per request, in its
// own order and on its own goroutine; the engine makes no upstream call and
// starts no goroutine. Attempt may wait, 4.5 s at most, for a credential that
// is not there yet:
//
//	Begin(head) ─► Refuse ──────────────────────────────────────────────► End
//	    │                                                                  ▲
//	    ├─► NeedBody ─► Body(bytes) ─► Forward │ Refuse                    │
//	    └─► Forward ─► Attempt(n) ─► Response(head) ─► Chunk(bytes)* ──────┘
//	                       ▲              │ Retry, Peek
//	                       └──────────────┘
//
// Begin finds the route and runs its AuthPolicy; what needs the body (the
// model, limits and policies over it) waits for Body; every limit that matches
// is checked before the upstream is called. Chunk reads the usage out of the passing bytes
// and settles the limits before the last of them is released, so that a
// client's next request already sees what this one cost. End makes the Record,
// the only account there is.
//
// In: routing semantics, header hygiene, limits, refusals and their shapes.
// Out: sockets, TLS, time-outs as they tick (proxy); who a caller is
// (policy/auth); what a body says (dialect); counting (policy/quota).
package engine
