// Package file reads resources from manifests: files, directories,
// kustomizations and standard input.
//
//	text ─► documents ─► objects ─► typed, defaulted, validated ─► Snapshot
//	        split         parse      admit                          build
//
// Validation is what an API server with the same definitions would do: YAML as
// kubectl reads it, unknown fields and duplicate keys refused, defaults set,
// values and CEL rules checked; rules that compare with an older object do not
// apply, as a file has none. What an API server would answer one object at a
// time is collected here: a broken object is a source.Problem with file, line
// and field, and its neighbours are read all the same.
//
// The package also adds what a cluster would have by itself: the Service of
// every Gateway of ours and the namespaces that objects are in.
//
// Run watches the files and loads again when they change. Nothing here follows
// references between objects: that is compile's work.
package file
