// Package kube asks a Kubernetes API server who holds a token and what they
// may do, and remembers who was refused since.
//
//	ident.Cache ─► Client.Review ─► TokenReview          ┐ one HTTP/2 connection, at most
//	policy/auth ─► Client.Access ─► SubjectAccessReview  ┘ 64 questions at once, 3 s each
//	feed ─► Denials.Set, Heard ─► Revoked, Epoch           asked on every request, from memory
//
// The API server decides; nothing is concluded from a token that it has not
// confirmed. What the answer does not say and a cache needs, the end of a token
// and its jti, is read from the token's claims afterwards. When the API server
// does not answer, that is an error and never a yes.
//
// An API server may confirm a token for about ten seconds after its
// ServiceAccount is gone, from a memory of its own; Denials closes that gap
// (acceptance maas 42, 56).
//
// Out: remembering reviews (policy/ident), how denials travel (package feed).
package kube
