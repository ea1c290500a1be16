// Package maas walks through the MaaS API and its policies on a cluster, number
// by number of the acceptance list, once per plane where a plane decides. The
// same numbers have tests within one process; here the API server is real: its
// TokenRequests and TokenReviews, its answers about access, its watches.
package maas
