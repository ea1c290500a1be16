//go:build !race

package process

// gentle divides the load of tests that need a machine's full speed.
const gentle = 1
