//go:build cluster

// Package stage sets the scene for tests on a cluster: the quickstart as its
// manifests have it, people with tokens, a Redis and a PostgreSQL, and a load
// that keeps account of every answer.
//
//	s := stage.Quickstart(t, cluster.Open(t))
//	s.Budget(t, 1_000_000)
//	load := s.Load(t, stage.Steady{Token: s.Mint(t), Rate: 100, Streams: 20})
//	... something happens ...
//	calls := load.Stop()
//
// Everything is removed when the test ends. One stage at a time: classes,
// controllers and the MaaS API are the cluster's.
package stage
