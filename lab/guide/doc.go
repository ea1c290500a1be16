// Package guide runs what the documentation tells people to type: every bash
// block of the README and of docs/guides, in order, in one shell, on a machine
// with curl and jq. What a block must print stands in its test; a guide
// without expectations fails.
package guide
