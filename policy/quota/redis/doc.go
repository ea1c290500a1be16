// Package redis counts in Redis or Valkey what several replicas spend together:
// a quota.Limiter with the rules of quota.Memory and one budget for all.
//
//	Reserve ─► reserve.lua ─┐
//	                        ├─ one round trip each, atomic, by the server's clock
//	Settle ─► settle.lua ───┘
//	   └ out of reach ─► backlog (and diary) ─► Run ─► settle.lua, when it is back
//
// A call takes a quarter of a second at most. After three failures in a row,
// which where there is no answer last for a moment also, the limiter is away:
// calls get an error at once, without a packet, until Run, which asks every
// second, finds the counters again. Charges made meanwhile are kept, merged by
// bucket, with Keep also in files, and delivered (acceptance maas 95 as
// changed). A charge whose answer was lost is sent again under its number, by
// which settle.lua knows it, and so counts once.
//
// Redis 6 or newer, or Valkey: one primary, one that Sentinel elects, or one
// slot of a cluster. All keys of a prefix share the hash tag {prefix}, because
// a draw is atomic over buckets of different users; a cluster therefore adds
// failover, not capacity. A failover may lose the charges that the old primary
// had not replicated.
package redis
