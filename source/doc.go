// Package source says what is read from the world and what is reported back:
// the Snapshot of resources that compile turns into a plan, and the Condition
// that compile answers with. Where resources come from is a matter of the
// packages below it:
//
//	source/file   YAML files, directories, kustomizations, stdin
//	source/kube   a Kubernetes API server, which comes next
//
// Both give every object its namespace, its defaults and its schema
// validation, so that compile sees the same thing whichever it came from.
// Both also agree on the names of what runs per Gateway (fleet.go).
//
// This package holds data and names only: nothing here reads, watches or writes.
package source
