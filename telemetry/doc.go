// Package telemetry reads the Records of the engine and tells others: the
// Prometheus metrics, the JSON access log and the usage ledger.
//
//	engine.Record ─► Metrics.Record ─► /metrics
//	              ├► AccessLog.Record ─► one JSON line
//	              └► Ledger.Record ─► store.Writer ─► SQLite
//
// A reader never blocks the request and never counts what the Record does not
// say. Prompts and completions are in none of them. Label values that callers
// choose (users, models) are bounded.
package telemetry
