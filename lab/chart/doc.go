// Package chart tests charts/egret with Helm's own library: the chart renders,
// its schema refuses what it does not know, and what it installs is what the
// plain manifests install, object by object and field by field. It is a module
// of its own, so that Helm's dependencies stay out of Egret's.
//
// Run it with make chart; go test alone may answer from its cache, which does
// not see the chart's files.
package chart
