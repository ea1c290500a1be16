// Package maas is the MaaS REST API: it exchanges a person's own credential
// for short-lived tokens of a ServiceAccount in the namespace of their tier,
// keeps the metadata of long-lived ones (API keys), says which tier a list of
// groups is in, and lists local and external models in one.
//
//	gateway ─ X-MaaS-Username, X-MaaS-Group ─► Handler ─► Cluster   ServiceAccounts, tokens, deny-list
//	                                              │  ├──► store.Keys metadata of API keys
//	                                              │  └──► Prober    GET /v1/models of local models
//	snapshot ─► Load ─► catalog (tiers, registry, models), swapped whole
//
// What it believes: the identity headers. The gateway reviews the token and
// sets them, so nothing else may reach the handler.
//
// Where it leaves the reference on purpose: a MaaS token is exchanged for one
// of the same ServiceAccount, never for a new identity, and for a day at most;
// revoking reaches every tier and is effective at once; single keys can be
// revoked; a key is visible to its owner only; local models are listed by
// namespace and name.
//
// Not in it: reviewing tokens (policy/ident), counting tokens (policy/quota),
// databases (store) and the Kubernetes client behind Cluster.
package maas
