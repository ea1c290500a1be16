// Package pods tells the controller which pod is at the other end of a
// stream: it verifies projected ServiceAccount tokens of audience
// feed.Audience against the keys that the API server publishes.
//
//	stream ─► authorization: Bearer … ─► Verifier ─► Pod{Namespace, ServiceAccount, …} ─► nodes it may speak for
//
// No permission is needed for that but to read the two discovery documents,
// which every ServiceAccount has, and keys that are known serve while the API
// server is away. What is given up against a TokenReview: a token stays good
// until it expires, though its pod is gone.
package pods
