// Package store says what Egret remembers across restarts and how it is asked for, without naming a database.
//
// In it: the rows of API keys (Key), the ServiceAccounts of the embedded realm (Account), refused tokens and identities
// (Denial), the counters of limits (Counter) and the usage ledger (Entry), each with one small interface, and Writer, the
// bounded queue between the request path and the disk.
//
//	request ends ─► Writer.Entry, Writer.Counter (memory, with Keep also a file; never blocks)
//	                     └─ Run: every 20 ms or 512 entries ─► Saver.Save, one transaction ─► database
//	MaaS API, local identity ─► Keys, Accounts, Denials (at once, on disk when the call returns)
//
// Not in it: tokens and other secrets (a key's token is never stored, not even hashed), prompts and completions, and any
// policy: a caller decides what a key may do, what a limit allows and for how long a denial lasts.
//
// Implementations live in folders of their own (sqlite) and pass the suite in storetest. This package imports the
// standard library only.
package store
