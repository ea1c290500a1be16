// Package badinput holds the table of what bad input gets, and runs every row
// of it against the whole system: gateways, MaaS API, admin page and log.
//
//	requests, tokens ─► one system for all rows ─► answer, access log
//	edits of the manifests ─► another system ─► /status, log, egret check, what is served meanwhile
//
// The same rows make docs/bad-input.md: `go test ./lab/badinput -update`
// rewrites it, and a test fails while it is stale. A time in the table is a
// promise: a row that takes longer fails. Nothing waits but for what it waits
// for; two rows wait for the bounds on slow clients themselves.
package badinput
