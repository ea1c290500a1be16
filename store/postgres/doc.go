// Package postgres keeps a store.Store in PostgreSQL, for replicas that share
// their keys, accounts, denials and ledger.
//
//	Open ─► connect (10 s at most) ─► migrate (forward only, one replica at a time) ─► bounded pool
//
// What was acknowledged has been committed. A statement whose connection breaks
// is repeated for five seconds on another one, so that a restart of the server
// is a pause and not an error: every write here leaves the same rows when it is
// made twice. No call lasts longer than 15 s.
//
// Counters of limits that several replicas share are not here but in
// policy/quota/redis; SaveCounters serves a single gateway. The table "tokens"
// has the shape that maas-api uses, so a database of that program can be opened
// as it is. PostgreSQL 12 or newer; behind a pooler that shares connections
// between transactions add default_query_exec_mode=exec to the URL.
package postgres
