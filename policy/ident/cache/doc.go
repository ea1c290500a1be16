// Package cache remembers answers that were expensive to get: who holds a
// token, what a metadata service said, whether an access is allowed.
//
// Key is a digest, so that a cache never holds the credential it is asked
// about. Store is a bounded memory (entries and bytes) that forgets what was
// used least recently. Flight makes concurrent askers of one key share one
// answer. Lifetimes are not in here: the owner of a Store knows when its
// values end and checks that on every hit.
//
// There are no goroutines and no clock in this package.
package cache
