// Package quota counts what callers spend in fixed windows and says when a
// budget is used up.
//
//	limit, route, counter values, rate ─► Key ─► Bucket
//	Reserve(buckets) ─► Verdict{Allowed, States, Ticket}     before the call
//	Settle(ticket, actual)                                   when the usage is known
//
// A window opens at the first charge after the last one ended and lasts its
// length; it is not aligned to the clock (Kuadrant, acceptance maas 111). A
// draw on several buckets is all or nothing. Buckets of a check (Take 0) are
// charged when the ticket is settled, into whatever window is open then, as
// Kuadrant does. A reservation is settled in the window it was taken from
// while that is open, afterwards in the current one like a check.
//
// In: windows, keys and limit names, and the Memory limiter. Out: which limits
// apply to a request and what a caller is told; package quotatest holds what
// every Limiter must do.
package quota
