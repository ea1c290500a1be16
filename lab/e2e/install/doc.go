// Package install installs Egret on a cluster in each of the ways that are
// published, and takes it away again: the Helm chart with Helm itself, the
// manifests for OpenShift, and the manifest that users of the reference
// already have, as it is.
//
// Controllers, classes and the MaaS API are the cluster's, so the tests follow
// each other, and nothing else may run beside them.
package install
