// Package fault kills every part of the quickstart in turn, while 100 calls a
// second and 20 streams go through both gateways, and holds what clients see
// meanwhile to a table:
//
//	row ─► TestKilled (build tag cluster): load, SIGKILL, recovery, accounts
//	    └► TestPage: docs/faults.md
//
// Two things hold in every row and are not in the table: what was answered in
// full is in the ledger and in the counters afterwards, and a token that was
// revoked before is refused throughout.
package fault
