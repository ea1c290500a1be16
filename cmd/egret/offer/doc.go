// Package offer is what the quickstart makes of the provider keys that the
// environment holds: OPENAI_API_KEY and others of its like.
//
//	environment ─► Find ─► Offers ─► Amend   objects beside those of the manifests
//	                          └────► Print   what may be called, and how
//
// The objects are what a user would apply to a cluster (objects.yaml): per
// provider a Secret, an XBackendDestination with a CredentialInjector and a list
// of models; one route of the MaaS gateway for all of them, with its AuthPolicy.
// They live in memory, in a namespace of their own, so that no backend of another
// may use a key, and give way to what the manifests say themselves.
//
// In: which providers there are, where their keys are looked for, what is
// offered of them. Out: everything that serves it. Only calls that the gateway
// can meter are offered, and only listed models, or limits would not hold. Nothing
// here opens a connection.
package offer
