// Package share tests on a cluster what several pods share: one budget over one
// Redis or Valkey, whichever plane the pods run, while it is there and while it
// is away; keys and ledger in one PostgreSQL.
package share
