// Package telemetry reads the Records of the engine and tells others: the
// Prometheus metrics, the JSON access log, the usage ledger, and the log where a
// backend cannot be called.
//
//	engine.Record ─► Metrics.Record ─► /metrics
//	              ├► AccessLog.Record ─► one JSON line
//	              ├► Trouble.Record ─► now and then a line
//	              └► Ledger.Record ─► store.Writer ─► SQLite
//
// A reader never blocks the request and never counts what the Record does not
// say. Prompts and completions are in none of them. Label values that callers
// choose (users, models) are bounded.
package telemetry
