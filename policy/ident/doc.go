// Package ident says who is calling.
//
// Extract takes a credential out of a request. A Reviewer (a cluster's
// TokenReview, or the realm in policy/ident/local) says who holds a token, and
// Cache remembers what it said; JWT verifies signed tokens with an issuer's
// public keys; APIKeys compares with keys held in Secrets. All three answer
// with an Identity, or with an error that tells a caller's fault from ours:
//
//	ErrNoCredential  the request carries none
//	*Rejected        there is one and it is not good; the reason is for the log
//	any other        it could not be told: refuse, but do not blame the caller
//
// Every token is bounded (MaxCredential), compared byte for byte and never
// written to a log or an error. A revoked credential is refused at once: a
// Revoked is asked on every use, also of a fresh answer.
//
// Out: which of several ways decides and what a caller may do (policy/auth).
package ident
