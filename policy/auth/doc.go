// Package auth runs an AuthPolicy over a request: Authorino's pipeline, in
// Go.
//
//	when ─► authentication ─► metadata ─► authorization ─► response
//	         first success     absent      all must pass    headers, filters
//	         wins; else 401    on failure  else 403
//
// New compiles a plan.Auth once; Pipeline.Check runs it and fills in what
// later phases see (rule.Input's Identity, Metadata, Authorization, Response).
// Caches outlive reloads. What goes out (reviews, access reviews, metadata,
// JWKS) is bounded in time and size, and shared between concurrent requests.
//
// Where Authorino lets something pass that was not understood, this does not:
// a condition of an authorization rule that cannot be evaluated denies, a
// policy condition that cannot be evaluated does not switch authentication
// off, and a filter "identity" that is incomplete denies, because limits would
// not match and the call would be free (docs/decisions, 7).
//
// Out: removing credentials and client-sent headers from the request (engine);
// who holds a token (policy/ident); expressions (policy/rule).
package auth
