// Package sqlite keeps a store.Store in one SQLite file, or in memory.
//
//	Open ─► migrate (forward only) ─► one connection that writes, a few that read
//
// The file is in WAL mode, so a commit outlives a killed process as soon as it has been written, and readers never wait
// for the writer. What security rests on (keys, denials, accounts) is forced to disk before the call returns; ledger and
// counters, which come every few milliseconds, are handed to the operating system and forced at the next checkpoint:
// they survive kill -9, and a power failure takes at most the latest of them.
//
// One process owns a file at a time; two that share it would overwrite each other's counters. The table "tokens" has
// the shape that maas-api uses, so a database of that program can be opened as it is.
package sqlite
