// Package extproc drives the engine beside Envoy: Envoy asks over gRPC on a
// unix socket, one stream per request, and does what it is told.
//
//	filter of the listener:  request_headers ─► Begin ─► NeedBody: BUFFERED ─► request_body ─► Body
//	                                              │                                             │
//	                                              └──────────► Attempt(1) ◄─────────────────────┘
//	filter of the cluster:   per try: request_headers ─► Attempt(n); response_headers, response_body ─► Response: retry?
//	filter of the listener:  response_headers ─► Response │ Fail ─► response_body* ─► Chunk ─► End
//	access log:              what the end was, where no message told ─► End
//
// A flow is one request. Messages of both filters and the log entry of one
// request arrive on different goroutines of gRPC and take turns by its lock.
// What leaves a flow are differences: which fields to remove and to set so that
// what Envoy has becomes what the engine wants.
//
// docs/decisions/012-ext-proc.md says what Envoy can do and how it must be
// configured; package envoy configures it so. What Envoy does itself is not
// done again here: matching, balancing, connections, TLS, time-outs. Endpoints
// of named backends are package endpoint's.
package extproc
