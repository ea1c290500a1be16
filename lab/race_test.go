//go:build race

package lab

// The race detector makes pools forget at random, so that more is allocated.
const slack = 10
