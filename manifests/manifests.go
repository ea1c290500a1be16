// Package manifests holds everything installable: the objects of the
// quickstart (common, openshift), the MaaS deployment that it takes for granted
// (maas) and the custom resource definitions (crds). The files are what users
// apply to a cluster, and, embedded here, what `egret quickstart` serves in one
// process. There is no second copy of the configuration.
// Of maas there are overlays for clusters (overlays), which are not embedded.
package manifests

import "embed"

// FS holds the manifests by their paths in this directory.
//
//go:embed common openshift maas
var FS embed.FS
