// Package local is the identity service of a cluster, without the cluster:
// what an API server answers to TokenReview, SubjectAccessReview and
// TokenRequest, in one process.
//
//	users file ─► Users ──┐
//	RSA key ───► Issuer ──┼─► Realm ─► ident.Reviewer    who holds this token?
//	RBAC objects ─► Load ─┤         ─► ident.Authorizer  may they do that?
//	store ─ accounts, ────┘         ─► ident.Revoked     has it been taken back since?
//	        deny-list               ─► maas.Cluster      ServiceAccounts and their tokens
//
// A person's token is random text whose SHA-256 stands in the users file; a
// ServiceAccount's is a JWT signed with RS256. Both are refused unless
// everything about them checks out, and neither is logged or stored.
//
// Not in it: caching of reviews (the policy's), other issuers (OIDC), and the
// API server's built-in roles: only RBAC objects that were loaded count, and
// the group system:masters.
package local
