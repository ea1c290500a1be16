// Package account shows backends who the platform is: it puts the credential of
// a plan.Account into a request that is about to leave.
//
//	Request ─► Office.Apply(account in use) ─┬─► a value of the Secret: header, query
//	                                          ├─► a signature: SigV4, with the Secret's keys or a role's
//	                                          └─► a token ─► by digest of account and Secret
//	                                                            │ none yet: wait, 4.5 s at most
//	                      Run ◄── fetch ahead of expiry ────────┘ at 80 % of its life: use it, renew it
//
// Tokens come over plain HTTP: the grants are one POST each (RFC 6749 4.4, RFC
// 7523, AWS STS), and the vendors' libraries would bring caches, retries and
// ways to a network of their own (docs/decisions/016-credentials.md). They are
// fetched once for all that wait; one that was fetched serves until it really expires,
// also when no other can be got; attempts that fail are made less and less
// often. A namespace has a share of the tokens and of those that are fetched at
// once, so that its slow endpoints are its own. The goroutines are Run's.
//
// Only the fixed addresses of the clouds' metadata services are reached past the
// address guard, and only by identities of the pod. No redirect is followed, and
// no error holds more that a token endpoint chose than an error code.
//
// In: making, keeping and placing credentials. Out: which account is used and
// what of the client's is taken out (engine), where Secrets come from (compile).
package account
