// Package standalone is the whole system in one process, without a cluster.
//
//	files ─► source/file ─► take ─► compile ─► proxy.Server (engine, pool)
//	                         │        └─► conditions ─► admin: /status, /plan, /explain
//	                         ├─► policy/ident/local   what an API server would know
//	                         ├─► maas                 on a listener in memory, behind the gateway
//	                         └─► sim                  one per Deployment of the simulator's image
//
//	records ─► telemetry ─► metrics, access log, ledger (SQLite in the data directory)
//
// In: which pieces run, what they are wired to, where they listen. Out: what
// any of them does. Commands `run` and `quickstart` are two settings of it.
package standalone
