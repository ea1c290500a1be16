//go:build race

package envoy_test

// gentle divides the load of tests that need a machine's full speed, which the
// race detector takes most of.
const gentle = 5
