// Package manifests holds everything installable: the objects of the
// quickstart (common, openshift), the MaaS deployment that it takes for granted
// (maas) and the custom resource definitions (crds). The files are what users
// apply to a cluster, and, embedded here, what `egret quickstart` serves in one
// process. There is no second copy of the configuration.
// Of maas, what only a cluster needs (controller, kubernetes, openshift, host) is
// not embedded.
package manifests

import "embed"

// FS holds the manifests by their paths in this directory.
//
//go:embed common openshift maas/base
var FS embed.FS
